"""Whether hands are on the bars, and since when: what arms the limit alarms of a session.

It reads bar loads in the time of the signal; cutting the stream elsewhere changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from ashibar.core.units import NEWTON_PER_KG

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

HANDS_ON_N: Final = 2 * NEWTON_PER_KG  # more than U of the bar load of good cells; a towel weighs less
HANDS_ON_US: Final = 1_000_000  # a bar that is bumped in passing swings back within less
BROKEN_US: Final = 500_000  # the age at which a cell counts as missing: a hole hides what happened in it


class Hands(msgspec.Struct, frozen=True):
    """What is known of the hands since a session began. Microseconds UTC.

    `on`: they have been on the bars for HANDS_ON_US, once; it stays so. `since_us`: the first sample of the
    load that goes on, None without one; `last_us`: the newest sample that could be read.
    """

    on: bool = True
    since_us: int | None = None
    last_us: int | None = None


AWAITED: Final = Hands(on=False)


def is_touched(
    force_n: NDArray[np.float64], bar_n: NDArray[np.float64], bars: Iterable[tuple[str, int, int]]
) -> NDArray[np.bool_]:
    """Tell where the sum or one bar carries more than HANDS_ON_N, pulled or pushed; nan is not.

    `force_n` [S, C] newtons, `bar_n` [S] their sum, `bars` name and both columns of each.
    """
    touched = np.abs(bar_n) > HANDS_ON_N
    for _, one, other in bars:
        touched |= np.abs(force_n[:, one] + force_n[:, other]) > HANDS_ON_N
    return touched


def follow(
    hands: Hands, utc_us: NDArray[np.int64], touched: NDArray[np.bool_], known: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], Hands]:
    """Give for each sample [S] whether hands have been on by it, and what to carry to the next block.

    A sample that is not `known` neither ends a touch nor adds to it, unless BROKEN_US pass without one.
    """
    if hands.on:
        return np.ones(len(utc_us), dtype=np.bool_), hands
    rows = np.flatnonzero(known)
    if not len(rows):
        return np.zeros(len(utc_us), dtype=np.bool_), hands
    times, load = utc_us[rows], touched[rows]
    before_us = times[0] if hands.last_us is None else hands.last_us
    whole = np.diff(times, prepend=np.int64(before_us)) < BROKEN_US
    held = np.concatenate([[hands.since_us is not None], load[:-1]]) & whole
    # Where a touch begins its own time stands; where it goes on, that of its beginning.
    begun_us = np.where(load & ~held, times, np.iinfo(np.int64).min)
    if held[0] and hands.since_us is not None:
        begun_us[0] = hands.since_us
    since_us = np.maximum.accumulate(begun_us)
    enough = load & (times - since_us >= HANDS_ON_US)
    if enough.any():
        return np.arange(len(utc_us)) >= rows[int(np.argmax(enough))], Hands(on=True)
    since = int(since_us[-1]) if load[-1] else None
    return np.zeros(len(utc_us), dtype=np.bool_), Hands(on=False, since_us=since, last_us=int(times[-1]))
