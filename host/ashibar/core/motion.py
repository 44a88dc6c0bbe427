"""Motion: whether the bar load changes too fast for statics to hold. Says nothing about what moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A standing person's tremor reaches the threshold in single samples now and then. So what is longer ago than
# this counts by its mean over as long; what is newer counts sample by sample, and nothing waits for a mean.
RECENT_US: Final = 250_000
MICRO: Final = 1_000_000


def spread(
    utc_us: NDArray[np.int64], load_n: NDArray[np.float64], window_us: int, start: int = 0
) -> NDArray[np.float64]:
    """Return by how much the load (newtons) changed within the window before each sample from `start` on.

    The result is [S - start]. It is the range of the samples of the last quarter of a second and of all
    quarter-second means of the window. `utc_us` ascends; samples needed from before `start` are those of the
    window and a quarter of a second more.
    """
    near = _first(utc_us, RECENT_US)
    mean_n = _mean(load_n, near)
    high, low = _extremes(load_n, near, start)
    high_mean, low_mean = _extremes(mean_n, _first(utc_us, window_us), start)
    change: NDArray[np.float64] = np.maximum(high, high_mean) - np.minimum(low, low_mean)
    change[np.isneginf(change)] = 0.0  # nothing known at all
    return change


def _first(utc_us: NDArray[np.int64], window_us: int) -> NDArray[np.intp]:
    """Return the first sample of the window (t - window_us, t] of each."""
    return np.searchsorted(utc_us, utc_us - window_us, side="right")


def _mean(value: NDArray[np.float64], first: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the mean of the known values from `first` to each sample, nan where none is known.

    Summed in whole micronewtons: so it does not depend on what else was summed before, to the last bit.
    """
    known = ~np.isnan(value)
    micro = np.rint(np.where(known, value, 0.0) * MICRO).astype(np.int64)
    total = np.concatenate([[0], np.cumsum(micro)])
    number = np.concatenate([[0], np.cumsum(known)])
    size = number[1:] - number[first]
    mean: NDArray[np.float64] = np.full(len(value), np.nan)
    np.divide(total[1:] - total[first], size * MICRO, out=mean, where=size > 0)
    return mean


def _extremes(
    value: NDArray[np.float64], first: NDArray[np.intp], start: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return greatest and least known value from `first` to each sample from `start` on, both [S - start].

    -inf and inf where none is known. A table of the extremes of 1, 2, 4 ... samples answers every window, of
    however many samples, in two look-ups.
    """
    last, count = np.arange(start, len(value)), len(value)
    from_first = first[start:]
    level = np.frexp(last - from_first + 1)[1].astype(np.intp) - 1  # greatest power of two that fits
    one = level * count + from_first
    two = level * count + last + 1 - (1 << level)
    unknown, levels = np.isnan(value), int(level.max(initial=0))
    high = _table(np.where(unknown, -np.inf, value), levels, np.maximum)
    low = _table(np.where(unknown, np.inf, value), levels, np.minimum)
    greatest: NDArray[np.float64] = np.maximum(high.take(one), high.take(two))
    least: NDArray[np.float64] = np.minimum(low.take(one), low.take(two))
    return greatest, least


def _table(value: NDArray[np.float64], levels: int, pick: np.ufunc) -> NDArray[np.float64]:
    """Return `pick` over 1, 2, 4 ... values from each on, [levels + 1, S]."""
    table = np.empty((levels + 1, len(value)))
    table[0] = value
    for level in range(1, levels + 1):
        step = 1 << (level - 1)
        pick(table[level - 1, :-step], table[level - 1, step:], out=table[level, :-step])
        table[level, -step:] = table[level - 1, -step:]
    return table
