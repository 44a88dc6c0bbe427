"""How far the cells of a rig may move before any alarm can change: what stays within need not be hurried.

It decides only when samples are looked at, never what they come to: an alarm is evaluated on every sample.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ashibar.core.alarm import delay_deadline_us, next_deadline_us
from ashibar.core.alarm_conditions import FALL_RISE_N, LOST_AFTER_US, UNEVEN_AFTER_US
from ashibar.core.cell_faults import NOISE_WINDOW_US

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ashibar.core.alarm_bank import Bank
    from ashibar.core.alarm_conditions import Plan
    from ashibar.core.calibration import NodeCalibration
    from ashibar.core.rig import RigParameters

LEAST_N: Final = 1.0  # of room for a cell: noise alone is within it
UNEVEN_SPARE_US: Final = 1_000_000
U_SPARE: Final = 1.25  # the uncertainty grows with the load, by less than this over the room


class Room(NamedTuple):
    """Each cell may move so far down and up (newtons) from where it is, until `until_us` (UTC)."""

    down_n: float
    up_n: float
    until_us: int


class Span(NamedTuple):
    """The room of one rig in counts of a node's frame: `low` to `high` of each of `channels`."""

    calibration_id: int
    channels: tuple[int, ...]
    low: tuple[int, ...]
    high: tuple[int, ...]
    until_us: int


def room(
    plan: Plan, bank: Bank, force_n: Sequence[float], weight_n: float | None, u_client_n: float
) -> Room | None:
    """Return the room around the newest final forces [C], None where something is about to change.

    `u_client_n` is the expanded uncertainty there. Within the room no level reaches its limit, bar load
    cannot rise by what counts as a fall, and no verdict on a cell's noise is due.
    """
    bar_n = sum(force_n)
    if bank.last_us is None or math.isnan(bar_n) or not _settled(plan, bank):
        return None
    least_n = float(np.fmin.reduce(bank.carry.recent_n)) if len(bank.carry.recent_n) else bar_n
    near_n, _, rig_n, *hangers_n, fall_n = plan.high_n.tolist()
    cells = len(force_n)
    up_n = min(rig_n - bar_n, fall_n - bar_n, least_n + FALL_RISE_N - bar_n, FALL_RISE_N / 2) / cells
    down_n = FALL_RISE_N / 2 / cells
    if not math.isinf(near_n):
        if weight_n is None:
            return None
        down_n = min(down_n, (bar_n + near_n - weight_n - U_SPARE * u_client_n) / cells)
    spare_n = min(limit_n - abs(each) for limit_n, each in zip(hangers_n, force_n, strict=True))
    up_n, down_n = min(up_n, spare_n), min(down_n, spare_n)
    if not (up_n > LEAST_N and down_n > LEAST_N):
        return None
    until_us = min((bank.carry.faults.window + 1) * NOISE_WINDOW_US, bank.last_us + LOST_AFTER_US)
    return Room(down_n, up_n, until_us)


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
    low, high = [], []
    for column, channel in zip(params.columns[node].tolist(), channels, strict=True):
        zero = calibration.zero_count[channel] if params.zero is None else params.zero.counts[column]
        per = calibration.span_n_per_count[channel]
        ends = sorted((zero + (force_n[column] - of.down_n) / per, zero + (force_n[column] + of.up_n) / per))
        low.append(math.ceil(ends[0]))
        high.append(math.floor(ends[1]))
    return Span(calibration.id, tuple(channels), tuple(low), tuple(high), of.until_us)
