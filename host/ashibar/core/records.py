"""Who did something: the one check that every action in the record carries a person's name.

It checks form only; whether that person may act is for the edges to decide.
"""

from __future__ import annotations

import re

NAME_MAX_LENGTH = 64
US_PER_S = 1_000_000
SOURCES = ("page", "cli", "api", "mqtt", "host")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class RefusedError(ValueError):
    """An action was refused; the message says what was expected, what came and what to do."""


def require_name(by: str, what: str) -> str:
    """Give `by` without surrounding blanks, or refuse `what` because nobody signed for it."""
    name = by.strip()
    if not name:
        raise RefusedError(f"{what} needs the name of the person who does it, none came: give a name.")
    if len(name) > NAME_MAX_LENGTH or _CONTROL.search(name):
        raise RefusedError(
            f"{what} needs a name of at most {NAME_MAX_LENGTH} printable characters, "
            f"{name[:NAME_MAX_LENGTH]!r} came: shorten it."
        )
    return name


def require_text(text: str, what: str) -> str:
    """Give `text` without surrounding blanks, or refuse `what` because it is empty."""
    given = text.strip()
    if not given:
        raise RefusedError(f"{what} was expected, nothing came: write it in a few words.")
    return given


def require_source(source: str) -> str:
    """Give `source` if it is one of `SOURCES`, the ways a person or program reaches the host."""
    if source not in SOURCES:
        raise RefusedError(f"a source was expected, one of {', '.join(SOURCES)}; {source!r} came: name one.")
    return source


def seconds_us(seconds: float) -> int:
    """Microseconds, whole: times are compared exactly, so they are never floats."""
    return round(seconds * US_PER_S)
