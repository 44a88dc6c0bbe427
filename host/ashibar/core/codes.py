"""The codes a count can carry instead of a reading, as docs/protocol.md lists them.

A code is never a weight and never enters an average; what a code does to a figure is decided elsewhere.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COUNT_MIN: Final = -0x800000
COUNT_MAX: Final = 0x7FFFFF


class Code(IntEnum):
    """A value below the 24-bit range: why there is no reading."""

    NOT_READY = -0x800001
    DESYNC = -0x800002
    SATURATED_HIGH = -0x800003
    SATURATED_LOW = -0x800004
    ABSENT = -0x800005


UNKNOWN_CODE: Final = "unknown"


def is_reading(counts: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Tell, in the shape of `counts`, which values are 24-bit readings and not codes or foreign values."""
    readable: NDArray[np.bool_] = (counts >= COUNT_MIN) & (counts <= COUNT_MAX)
    return readable


def code_name(count: int) -> str | None:
    """Return the wire's name of a code, `unknown` for a value no code has, None for a reading."""
    if COUNT_MIN <= count <= COUNT_MAX:
        return None
    try:
        return Code(count).name.lower()
    except ValueError:
        return UNKNOWN_CODE
