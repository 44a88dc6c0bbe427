"""Prepares a checkout: environment and programs. Standard library only."""
