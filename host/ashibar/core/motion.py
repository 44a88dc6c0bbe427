"""Motion: whether the bar load changes too fast for statics to hold. Says nothing about what moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A standing person's tremor reaches the threshold in single samples now and then. So what is longer ago than
# this counts by its mean over as long; what is newer counts sample by sample, and nothing waits for a mean.
RECENT_US: Final = 250_000


def spread(
    utc_us: NDArray[np.int64], load_n: NDArray[np.float64], window_us: int, start: int = 0
) -> NDArray[np.float64]:
    """Return by how much the load (newtons) changed within the window before each sample from `start` on.

    The result is [S - start]. It is the range of the samples of the last quarter of a second and of all
    quarter-second means of the window. `utc_us` ascends; samples needed from before `start` are those of the
    window and a quarter of a second more.
    """
    mean_n = trailing_mean(utc_us, load_n, RECENT_US)
    high, low = trailing_extremes(utc_us, load_n, RECENT_US, start)
    high_mean, low_mean = trailing_extremes(utc_us, mean_n, window_us, start)
    change: NDArray[np.float64] = np.fmax(high, high_mean) - np.fmin(low, low_mean)
    return np.nan_to_num(change, copy=False, nan=0.0)


def trailing_mean(
    utc_us: NDArray[np.int64], value: NDArray[np.float64], window_us: int
) -> NDArray[np.float64]:
    """Return the mean of the known values of (t - window_us, t] at each sample, nan where none is known."""
    known = ~np.isnan(value)
    total = np.concatenate([[0.0], np.cumsum(np.where(known, value, 0.0))])
    number = np.concatenate([[0], np.cumsum(known)])
    first = np.searchsorted(utc_us, utc_us - window_us, side="right")
    size = number[1:] - number[first]
    mean: NDArray[np.float64] = np.full(len(value), np.nan)
    np.divide(total[1:] - total[first], size, out=mean, where=size > 0)
    return mean


def trailing_extremes(
    utc_us: NDArray[np.int64], value: NDArray[np.float64], window_us: int, start: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return greatest and least known `value` of (t - window_us, t] for each sample from `start` on.

    Both are [S - start]. A window without known values has nan. A table of the extremes of 1, 2, 4 ...
    samples answers every window, of however many samples, in two look-ups.
    """
    count = len(value)
    first = np.searchsorted(utc_us, utc_us[start:] - window_us, side="right")
    length = np.arange(start + 1, count + 1) - first
    level = np.frexp(length)[1] - 1  # greatest power of two that fits
    high, low = _tables(value, int(level.max(initial=0)))
    last = np.arange(start + 1, count + 1) - (1 << level.astype(np.int64))
    greatest: NDArray[np.float64] = np.fmax(high[level, first], high[level, last])
    least: NDArray[np.float64] = np.fmin(low[level, first], low[level, last])
    return greatest, least


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
