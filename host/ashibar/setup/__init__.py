"""Prepares a checkout: environment and programs. Standard library only; the product never imports it."""
