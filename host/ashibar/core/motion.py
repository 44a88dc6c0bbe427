"""Motion: whether the bar load changes too fast for statics to hold. Says nothing about what moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def trailing_range(
    utc_us: NDArray[np.int64], value: NDArray[np.float64], window_us: int, start: int = 0
) -> NDArray[np.float64]:
    """Return max - min of `value` over a trailing window for each sample from `start` on.

    The window is (t - window_us, t], the result [S - start]. Unknown values (nan) are left out; a window of
    none but those has range 0. Measured time stamps, ascending. A table of ranges of 1, 2, 4 ... samples
    answers every window of uneven length in two look-ups.
    """
    count = len(value)
    first = np.searchsorted(utc_us, utc_us[start:] - window_us, side="right")
    length = np.arange(start + 1, count + 1) - first
    level = np.frexp(length)[1] - 1  # greatest power of two that fits
    high, low = _tables(value, int(level.max(initial=0)))
    last = np.arange(start + 1, count + 1) - (1 << level.astype(np.int64))
    top = np.fmax(high[level, first], high[level, last])
    bottom = np.fmin(low[level, first], low[level, last])
    spread: NDArray[np.float64] = top - bottom
    return np.nan_to_num(spread, copy=False, nan=0.0)


def _tables(value: NDArray[np.float64], levels: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    high = np.empty((levels + 1, len(value)))
    low = np.empty_like(high)
    high[0] = low[0] = value
    for level in range(1, levels + 1):
        step = 1 << (level - 1)
        for table, pick in ((high, np.fmax), (low, np.fmin)):
            table[level] = table[level - 1]
            pick(table[level - 1, :-step], table[level - 1, step:], out=table[level, :-step])
    return high, low
