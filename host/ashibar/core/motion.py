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


NOTHING: Final[NDArray[np.float64]] = np.empty(0)


def spread(
    utc_us: NDArray[np.int64],
    load_n: NDArray[np.float64],
    window_us: int,
    mean_n: NDArray[np.float64] = NOTHING,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return by how much the load (newtons) changed within the window before each new sample, and the means.

    The first samples are those before the new ones; `mean_n` are their quarter-second means as an earlier
    call returned them. The change [new] is the range of the samples of the last quarter of a second and of
    all quarter-second means of the window; the means are of all samples given. `utc_us` ascends; samples
    needed from before are those of the window and a quarter of a second more.
    """
    start = len(mean_n)
    new_us = utc_us[start:]
    near = utc_us.searchsorted(new_us - RECENT_US, side="right")
    high_n, low_n = _extremes(load_n, near, start)
    means_n = np.concatenate([mean_n, _mean(load_n, near, start)])
    far = utc_us.searchsorted(new_us - window_us, side="right")
    high_mean_n, low_mean_n = _extremes(means_n, far, start)
    change: NDArray[np.float64] = np.fmax(high_n, high_mean_n) - np.fmin(low_n, low_mean_n)
    change[np.isnan(change)] = 0.0  # nothing known at all
    return change, means_n


def _mean(value: NDArray[np.float64], first: NDArray[np.intp], start: int) -> NDArray[np.float64]:
    """Return the mean of the known values from `first` to each sample from `start` on, nan without any.

    Summed in whole micronewtons: so it does not depend on what else was summed before, to the last bit.
    """
    if not len(first):
        return NOTHING
    begin = int(first[0])
    known = ~np.isnan(value[begin:])
    number = np.zeros(len(known) + 1, np.int64)
    total = np.zeros(len(known) + 1, np.int64)
    known.cumsum(out=number[1:])
    micro = value[begin:] * MICRO
    if number[-1] < len(known):
        micro[~known] = 0.0
    np.rint(micro, out=micro)
    micro.astype(np.int64).cumsum(out=total[1:])
    size = number[start - begin + 1 :] - number[first - begin]
    mean: NDArray[np.float64] = np.full(len(first), np.nan)
    np.divide(total[start - begin + 1 :] - total[first - begin], size * MICRO, out=mean, where=size > 0)
    return mean


def _extremes(
    value: NDArray[np.float64], first: NDArray[np.intp], start: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return greatest and least known value from `first` to each sample from `start` on, nan without any.

    Where every window begins before `start` each is two parts, one that ends there and one that begins
    there. Else a table of the extremes of 1, 2, 4 ... samples answers every window in two look-ups.
    """
    if not len(first):
        return NOTHING, NOTHING
    if first[-1] > start:
        return _by_table(value, first, start)
    begin = int(first[0])
    at = first - begin
    before = np.empty(start - begin + 1)
    before[-1] = np.nan
    backwards, new = value[begin:start][::-1], value[start:]
    before[-2::-1] = np.fmax.accumulate(backwards)
    high = np.fmax(before[at], np.fmax.accumulate(new))
    before[-2::-1] = np.fmin.accumulate(backwards)
    return high, np.fmin(before[at], np.fmin.accumulate(new))


def _by_table(
    value: NDArray[np.float64], first: NDArray[np.intp], start: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    last, count = np.arange(start, len(value)), len(value)
    level = np.frexp(last - first + 1)[1].astype(np.intp) - 1  # greatest power of two that fits
    one = level * count + first
    two = level * count + last + 1 - (1 << level)
    levels = int(level.max())
    high, low = _table(value, levels, np.fmax), _table(value, levels, np.fmin)
    greatest: NDArray[np.float64] = np.fmax(high.take(one), high.take(two))
    least: NDArray[np.float64] = np.fmin(low.take(one), low.take(two))
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
