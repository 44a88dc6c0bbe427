"""Spikes of the electronics: one sample of one cell that no load can explain.

What could be load is never dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ashibar.core.units import NEWTON_PER_KG

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPIKE_N: Final = 5.0 * NEWTON_PER_KG  # off by more than this
AGREE_N: Final = 1.0 * NEWTON_PER_KG  # while its four neighbours lie within this of each other
STILL_N: Final = 0.5 * NEWTON_PER_KG  # and every other cell stays this close to its own neighbours
NEAR_US: Final = 150_000  # neighbours farther away in time say nothing; slower than this is no full rate
LAG: Final = 2  # samples that must follow before one can be judged


def find(
    force_n: NDArray[np.float64],
    utc_us: NDArray[np.int64],
    whole: NDArray[np.bool_],
    judged: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_] | None:
    """Return which samples of which cells are spikes, [S, C], None if there are none.

    The first and last two never are. `force_n` [S, C], `utc_us` [S]; `whole` [S] is False where a sample does
    not follow its predecessor; `judged` [C] is False for cells whose bar also hangs from cells not given
    here, for those could have seen the blow. A cell that is unknown (nan) cannot vouch for the others, so
    nothing is dropped beside it. At least two cells are needed.
    """
    count = len(force_n)
    if count < 2 * LAG + 1 or force_n.shape[1] < 2:
        return None
    if np.abs(force_n[2:-2] - force_n[1:-3]).max() <= SPIKE_N - AGREE_N:  # nan is not
        return None
    jump = np.zeros(count - 2 * LAG, bool)
    for column in force_n.T:  # far quicker than any(axis=1) over a few columns
        jump |= np.abs(column[2:-2] - column[1:-3]) > SPIKE_N - AGREE_N
    suspect = np.flatnonzero(jump) + LAG
    if not suspect.size:
        return None
    found = _judge(force_n, utc_us, whole, suspect)
    if judged is not None:
        found &= judged
    if not found.any():
        return None
    spikes = np.zeros(force_n.shape, dtype=bool)
    spikes[suspect] = found
    return spikes


def _judge(
    force_n: NDArray[np.float64], utc_us: NDArray[np.int64], whole: NDArray[np.bool_], at: NDArray[np.intp]
) -> NDArray[np.bool_]:
    around = np.stack([force_n[at + step] for step in (-2, -1, 1, 2)])
    agree = around.max(axis=0) - around.min(axis=0) <= AGREE_N
    off = np.abs(force_n[at] - around.mean(axis=0))
    near = np.ones(len(at), bool)
    for step in (-1, 0, 1, 2):
        near &= whole[at + step] & (utc_us[at + step] - utc_us[at + step - 1] <= NEAR_US)
    return isolated(off, around[1:3].mean(axis=0), force_n[at], agree) & near[:, np.newaxis]


def isolated(
    off_n: NDArray[np.float64],
    expected_n: NDArray[np.float64],
    force_n: NDArray[np.float64],
    agree: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Return which cells alone are off among cells that all stay where their neighbours are.

    All arguments [K, C].
    """
    still = np.abs(force_n - expected_n) <= STILL_N
    alone = still.sum(axis=1, keepdims=True) == force_n.shape[1] - 1
    result: NDArray[np.bool_] = (off_n > SPIKE_N) & agree & ~still & alone
    return result


def may_withhold(force_n: NDArray[np.float64], undecided: int) -> bool:
    """Tell whether `withheld` may be true of any of the last samples; `force_n` [S, C].

    Not where none moved by more than SPIKE_N - AGREE_N: with its neighbours within AGREE_N it is not off by
    SPIKE_N then.
    """
    tail_n = force_n[max(len(force_n) - undecided - 1, 0) :]
    return len(tail_n) > 1 and not np.abs(tail_n[1:] - tail_n[:-1]).max() <= SPIKE_N - AGREE_N  # nan may


def withheld(force_n: NDArray[np.float64], judged: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
    """Return which of the last `LAG` samples may yet turn out to be spikes, [<= LAG].

    `force_n` [S, C] are samples in a row. Such a sample jumped by more than 5 kg away from two that agree, in
    one cell only, and the one after it, if there is one, did not stay with it.
    """
    count = len(force_n)
    undecided = range(max(count - LAG, 0), count)
    return np.array([_may_be_spike(force_n, at, judged) for at in undecided], dtype=bool)


def _may_be_spike(force_n: NDArray[np.float64], at: int, judged: NDArray[np.bool_] | None) -> bool:
    if at < LAG or force_n.shape[1] < 2:
        return False
    here, before, earlier = force_n[at], force_n[at - 1], force_n[at - 2]
    agree = np.abs(before - earlier) <= AGREE_N
    off = np.abs(here - (before + earlier) / 2.0)
    alone = isolated(off[np.newaxis], before[np.newaxis], here[np.newaxis], agree[np.newaxis])[0]
    if at + 1 < len(force_n):
        alone &= np.abs(force_n[at + 1] - before) <= SPIKE_N
    if judged is not None:
        alone &= judged
    return bool(alone.any())
