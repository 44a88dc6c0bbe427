"""How far the cells of a rig may move before any alarm can change: what stays within need not be hurried.

It decides only when samples are looked at, never what they come to: an alarm is evaluated on every sample.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ashibar.core.alarm import delay_deadline_us, next_deadline_us
from ashibar.core.alarm_conditions import FALL_RISE_N, UNEVEN_AFTER_US
from ashibar.core.cell_faults import NOISE_WINDOW_US
from ashibar.core.codes import COUNT_MAX, COUNT_MIN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ashibar.core.alarm_bank import Bank
    from ashibar.core.alarm_conditions import Plan
    from ashibar.core.calibration import NodeCalibration
    from ashibar.core.rig import RigParameters

LEAST_N: Final = 1.0  # of room for a cell: noise alone is within it
WIDEST_N: Final = 150.0  # of room for a cell: beyond it the uncertainty would have to be worked out anew
# Samples wait so long for each other: beyond a window of noise, whose end all rigs share.
HELD_US: Final = 5_500_000
# So long after the end of a window of noise every node has sent samples that lie behind it.
VERDICT_SPARE_US: Final = 350_000
UNEVEN_SPARE_US: Final = HELD_US + 1_000_000
U_SPARE: Final = 1.1  # the uncertainty grows with the age of the zero, by less than this while samples wait
U_PER_N: Final = 0.02  # and with the load: U of span, hysteresis, creep and swing together, of any class


class Room(NamedTuple):
    """Where no alarm can change until `until_us` (UTC); samples held are looked at in the beat after that.

    Each cell may move so far down and up (newtons) from where it is, as long as the bar load does not rise by
    `rise_n` within the time of a fall; it does not where no cell moves by more than `still_n`.
    """

    down_n: float
    up_n: float
    still_n: float
    rise_n: float
    until_us: int


class Edges(NamedTuple):
    """The room of one channel in counts: `low` to `high`, of which `still_low` to `still_high` is no rise."""

    low: int
    high: int
    still_low: int
    still_high: int
    n_per_count: float


class Span(NamedTuple):
    """The room of one rig in counts of a node's frame: `edges` of each of `channels`, which ascend.

    Within them the channels may swing by less than `rise_n` newtons together, in the time of a fall.
    """

    calibration_id: int
    channels: tuple[int, ...]
    edges: tuple[Edges, ...]
    rise_n: float


def room(
    plan: Plan, bank: Bank, force_n: Sequence[float], weight_n: float | None, u_client_n: float
) -> Room | None:
    """Return the room around the newest final forces [C], None where something is about to change.

    `u_client_n` is the expanded uncertainty there. Within the room no level reaches its limit, and a verdict
    on a cell's noise is not due. It says nothing of samples that do not come, or do not follow each other:
    whoever holds them notices.
    """
    bar_n = sum(force_n)
    if bank.last_us is None or math.isnan(bar_n) or not _settled(plan, bank):
        return None
    least_n = float(np.fmin.reduce(bank.carry.recent_n)) if len(bank.carry.recent_n) else bar_n
    near_n, _, rig_n, *hangers_n, fall_n = plan.high_n.tolist()
    cells = len(force_n)
    up_n, down_n = min(rig_n - bar_n, fall_n - bar_n) / cells, WIDEST_N
    if not math.isinf(near_n):
        if weight_n is None:
            return None
        down_n = (bar_n + near_n - weight_n - U_SPARE * u_client_n) / (cells * (1.0 + U_PER_N))
    spare_n = min(limit_n - abs(each) for limit_n, each in zip(hangers_n, force_n, strict=True))
    up_n, down_n = min(up_n, spare_n, WIDEST_N), min(down_n, spare_n, WIDEST_N)
    rise_n = min(FALL_RISE_N, least_n + FALL_RISE_N - bar_n)
    still_n = min(rise_n, FALL_RISE_N / 2) / cells
    if not min(up_n, down_n, still_n) > LEAST_N:
        return None
    verdict_us = (bank.carry.faults.window + 1) * NOISE_WINDOW_US + VERDICT_SPARE_US
    return Room(down_n, up_n, still_n, rise_n, min(verdict_us, bank.last_us + HELD_US))


def _settled(plan: Plan, bank: Bank) -> bool:
    """Tell that no condition of the signal holds or waits for its delay, and all is known and armed."""
    carry = bank.carry
    if not carry.hands.on or max(carry.uneven_us, default=0) > UNEVEN_AFTER_US - UNEVEN_SPARE_US:
        return False
    if (bank.last_true & np.array(plan.armed[: plan.signals])).any():
        return False
    alarms = plan.live_alarms if bank.live else plan.alarms
    return not any(
        plan.armed[column]
        and (
            delay_deadline_us(alarms[column], bank.states[column]) is not None
            or next_deadline_us(alarms[column], bank.states[column]) is not None
        )
        for column in bank.waiting
        if column < plan.signals
    )


def span(
    of: Room, params: RigParameters, node: str, calibration: NodeCalibration | None, force_n: Sequence[float]
) -> Span | None:
    """Return the room in counts of the frames of `node`, None where its counts are not known to be forces."""
    if calibration is None:
        return None
    channels = params.channels[node].tolist()
    if len(calibration.span_n_per_count) <= max(channels):
        return None
    columns = params.columns[node].tolist()
    zeros = calibration.zero_count if params.zero is None else params.zero.counts
    at = channels if params.zero is None else columns
    per = [calibration.span_n_per_count[channel] for channel in channels]
    here = [zeros[k] + force_n[column] / each for k, column, each in zip(at, columns, per, strict=True)]
    still_n = min(of.still_n, of.down_n), min(of.still_n, of.up_n)
    found = [
        Edges(*_ends(mid, each, of.down_n, of.up_n), *_ends(mid, each, *still_n), abs(each))
        for mid, each in zip(here, per, strict=True)
    ]
    order = sorted(range(len(channels)), key=channels.__getitem__)
    rise_n = FALL_RISE_N * len(channels) / len(force_n)
    numbers, edges = tuple(channels[k] for k in order), tuple(found[k] for k in order)
    return Span(calibration.id, numbers, edges, rise_n)


def _ends(middle: float, n_per_count: float, down_n: float, up_n: float) -> tuple[int, int]:
    """Return the counts between which a cell stays in its room; none of them is a code of the converter."""
    low, high = sorted((middle - down_n / n_per_count, middle + up_n / n_per_count))
    return max(math.ceil(low), COUNT_MIN + 1), min(math.floor(high), COUNT_MAX - 1)
