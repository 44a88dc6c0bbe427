"""One plain line of progress to the person at the terminal. Never asks anything."""

from __future__ import annotations

import sys


def say(line: str) -> None:
    """Print one line at once, so that a long download has been announced before it starts."""
    print("setup: " + line, file=sys.stderr, flush=True)


class SetupError(Exception):
    """What could not be prepared, and the one command that would help."""
