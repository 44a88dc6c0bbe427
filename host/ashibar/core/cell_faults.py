"""What is wrong with a load cell as its own samples show it: a code, a stuck value, noise above its record.

It raises nothing; alarm_conditions.py asks it for every block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ashibar.core.alarm_conditions import SignalBlock

STUCK: Final = 64  # beside the values of validity.CellFault
NOISE: Final = 65
STUCK_AFTER_US: Final = 5_000_000  # 400 equal 24-bit readings: no live bridge does that
NOISE_WINDOW_US: Final = 5_000_000
NOISE_TIMES: Final = 3.0  # breathing and hands triple it at most for a moment, not over a still window
NOISE_LEAST: Final = 100  # samples; fewer say little about scatter
STEADY_SPACING_US: Final = 100_000  # second differences across a hole are no noise
# Mean of |f[i] - 2 f[i-1] + f[i-2]| of white noise of deviation 1: sqrt(6) * sqrt(2 / pi).
SECOND_DIFFERENCE: Final = float(np.sqrt(12 / np.pi))


@dataclass(frozen=True, slots=True)
class FaultCarry:
    """What a block leaves for the next; C cells."""

    last_n: NDArray[np.float64]  # [2, C], the last two rows
    last_dt_us: int
    changed_us: NDArray[np.int64]  # [C], when the reading last changed
    window: int  # number of the noise window the sums belong to
    sum_mn: NDArray[
        np.int64
    ]  # [C], of |second difference|, whole millinewtons so that any order adds up alike
    count: NDArray[np.int64]  # [C]
    noisy: NDArray[np.bool_]  # [C], the verdict of the last full window


def first_fault_carry(cells: int) -> FaultCarry:
    """Give the carry of a stream that has not begun."""
    zero = np.zeros(cells, dtype=np.int64)
    return FaultCarry(
        np.full((2, cells), np.nan),
        STEADY_SPACING_US + 1,
        zero,
        -1,
        zero,
        zero,
        np.zeros(cells, dtype=np.bool_),
    )


def follow_faults(
    block: SignalBlock, dt_us: NDArray[np.int64], noise_n: NDArray[np.float64], carry: FaultCarry
) -> tuple[NDArray[np.uint8], FaultCarry]:
    """Give each cell's fault at each sample [S, C], 0 for none; and the carry. `noise_n` [C]: the record."""
    force_n = np.concatenate([carry.last_n, block.force_n])
    changed_us = _changed(block.utc_us, dt_us, force_n, carry.changed_us)
    stuck = block.utc_us[:, None] - changed_us >= STUCK_AFTER_US
    noisy, window, sum_mn, count, verdict = _noise(block, dt_us, force_n, noise_n, carry)
    fault = block.cell_fault
    if noisy.any() or stuck.any():
        own = np.where(stuck, STUCK, np.where(noisy, NOISE, 0)).astype(np.uint8)
        fault = np.where(fault != 0, fault, own)
    after = FaultCarry(force_n[-2:], int(dt_us[-1]), changed_us[-1], window, sum_mn, count, verdict)
    return fault, after


def calm_faults(
    block: SignalBlock, dt_us: NDArray[np.int64], noise_n: NDArray[np.float64], carry: FaultCarry
) -> FaultCarry | None:
    """Return the carry of `follow_faults` where it plainly finds nothing, else None: then it is to be asked.

    All forces of the block are known, and it holds the end of one window of noise at most.
    """
    end_us, greatest_us = int(block.utc_us[-1]), int(dt_us.max())
    window = end_us // NOISE_WINDOW_US
    if not 0 <= window - carry.window <= 1 or max(greatest_us, carry.last_dt_us) > STEADY_SPACING_US:
        return None
    if carry.noisy.any() or end_us - int(carry.changed_us.min()) >= STUCK_AFTER_US:
        return None
    force_n = np.concatenate([carry.last_n, block.force_n])
    changed_us = np.where(force_n[2:] != force_n[1:-1], block.utc_us[:, None], carry.changed_us).max(axis=0)
    second_n = np.abs(force_n[2:] - 2 * force_n[1:-1] + force_n[:-2])
    if np.isnan(second_n[:2]).any():  # beside what came before
        return None
    sum_mn, count = carry.sum_mn, carry.count
    if window != carry.window:
        edge = int(block.utc_us.searchsorted(window * NOISE_WINDOW_US))
        sum_mn, count = _scatter(second_n[:edge], block.motion[:edge], sum_mn, count)
        if _verdict(sum_mn, count, noise_n, carry.noisy).any():
            return None
        second_n, sum_mn, count = second_n[edge:], np.zeros_like(sum_mn), np.zeros_like(count)
    sum_mn, count = _scatter(second_n, block.motion[len(dt_us) - len(second_n) :], sum_mn, count)
    return FaultCarry(force_n[-2:], int(dt_us[-1]), changed_us, window, sum_mn, count, carry.noisy)


def _scatter(
    second_n: NDArray[np.float64],
    motion: NDArray[np.bool_],
    sum_mn: NDArray[np.int64],
    count: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return sums and counts with the second differences [S, C] of samples that are still."""
    moving = int(np.count_nonzero(motion))
    if moving == len(second_n):
        return sum_mn, count
    still_n = second_n[~motion] if moving else second_n
    return sum_mn + np.rint(still_n * 1000).astype(np.int64).sum(axis=0), count + len(still_n)


def _changed(
    utc_us: NDArray[np.int64],
    dt_us: NDArray[np.int64],
    force_n: NDArray[np.float64],
    before: NDArray[np.int64],
) -> NDArray[np.int64]:
    # nan differs from everything: an unreadable stretch is a fault of its own, not a stuck value.
    changed = force_n[2:] != force_n[1:-1]
    changed |= (dt_us > STUCK_AFTER_US)[:, None]  # a hole says nothing about what the cell did in it
    times = np.where(changed, utc_us[:, None], before)
    latest: NDArray[np.int64] = np.maximum.accumulate(times, axis=0)
    return latest


def _noise(
    block: SignalBlock,
    dt_us: NDArray[np.int64],
    force_n: NDArray[np.float64],
    noise_n: NDArray[np.float64],
    carry: FaultCarry,
) -> tuple[NDArray[np.bool_], int, NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Judge scatter, while still, in windows of the clock, so that cutting the stream moves nothing."""
    second_n = np.abs(force_n[2:] - 2 * force_n[1:-1] + force_n[:-2])
    steady = (dt_us <= STEADY_SPACING_US) & ~block.motion
    steady[1:] &= dt_us[:-1] <= STEADY_SPACING_US
    steady[0] &= carry.last_dt_us <= STEADY_SPACING_US
    usable = steady[:, None] & ~np.isnan(second_n)
    scatter_mn = np.rint(np.where(usable, second_n, 0.0) * 1000).astype(np.int64)
    windows = block.utc_us // NOISE_WINDOW_US
    starts = np.flatnonzero(np.diff(windows, prepend=carry.window)).tolist()
    noisy = np.empty(second_n.shape, dtype=np.bool_)
    sum_mn, count, verdict, at = carry.sum_mn, carry.count, carry.noisy, 0
    for start in [*starts, len(windows)]:
        sum_mn = sum_mn + scatter_mn[at:start].sum(axis=0)
        count = count + usable[at:start].sum(axis=0)
        noisy[at:start] = verdict
        at = start
        if start < len(windows):
            verdict = _verdict(sum_mn, count, noise_n, verdict)
            sum_mn, count = np.zeros_like(sum_mn), np.zeros_like(count)
    return noisy, int(windows[-1]), sum_mn, count, verdict


def _verdict(
    sum_mn: NDArray[np.int64],
    count: NDArray[np.int64],
    noise_n: NDArray[np.float64],
    before: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    deviation_n = sum_mn / np.maximum(count, 1) / (1000 * SECOND_DIFFERENCE)
    verdict: NDArray[np.bool_] = np.where(count >= NOISE_LEAST, deviation_n > NOISE_TIMES * noise_n, before)
    return verdict
