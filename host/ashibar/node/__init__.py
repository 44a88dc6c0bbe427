"""Runs the real firmware on a virtual board, under MicroPython or CPython."""
