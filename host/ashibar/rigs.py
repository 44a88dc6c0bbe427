"""The load model's parameters of each rig: from configuration and nodes, to and from the record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from ashibar.core import bodyweight, decoding
from ashibar.core.rig import Cell, RigParameters, Target, Zero

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ashibar.core.config import Config, RigConfig
    from ashibar.core.messages import SessionZero
    from ashibar.ingest import Node

RECORDED: Final = (
    "cells",
    "body_weight",
    "body_weight_max_age_s",
    "zero",
    "zero_max_age_s",
    "calibration_due_us",
    "session_required",
    "in_session",
    "motion_n",
    "motion_window_s",
    "unit",
    "target",
)


class _Recorded(msgspec.Struct):
    """The stored form: what `RigParameters` is made from."""

    cells: tuple[Cell, ...]
    body_weight: bodyweight.BodyWeight | None
    body_weight_max_age_s: float
    zero: Zero | None
    zero_max_age_s: float
    calibration_due_us: int | None
    session_required: bool
    in_session: bool
    motion_n: float
    motion_window_s: float
    unit: Any
    target: Target


def configured(config: Config, rig: RigConfig, now_us: int) -> RigParameters:
    """Return the parameters of a rig as configured; the body weight counts as entered at `now_us`."""
    cells = tuple(
        Cell(cell.hanger, cell.node, cell.channel, cell.capacity_n, cell.accuracy_class) for cell in rig.cells
    )
    weight = None
    if config.session.body_weight_n is not None:
        weight = bodyweight.enter(config.session.body_weight_n, config.session.source, now_us)
    limits = config.limits
    target = Target(limits.target_low, limits.target_high, limits.client_limit)
    return RigParameters(cells=cells, body_weight=weight, unit=config.unit, target=target)


def session_zero(
    params: RigParameters,
    nodes: Mapping[str, Node],
    device_utc_us: Callable[[str, int, int], int | None],
) -> Zero | None:
    """Return the session zero of the rig if each of its nodes says one, else None: the calibration's counts.

    `device_utc_us(node, boot, device_us)` maps a device time where the node knows no other.
    """
    counts: list[float] = []
    at_us: list[int] = []
    for cell in params.cells:
        node = nodes.get(cell.node)
        zero = None if node is None or node.about is None else node.about.zeros.session
        if node is None or node.about is None or zero is None or cell.channel >= len(zero.counts):
            return None
        taken_us = _taken_us(zero, node.name, node.about.boot, device_utc_us)
        if taken_us is None:
            return None
        counts.append(zero.counts[cell.channel])
        at_us.append(taken_us)
    return Zero("session", tuple(counts), min(at_us))


def _taken_us(
    zero: SessionZero, node: str, boot: int, device_utc_us: Callable[[str, int, int], int | None]
) -> int | None:
    if zero.unix_s is not None:
        return round(zero.unix_s * 1e6)
    return None if zero.device_us is None else device_utc_us(node, boot, zero.device_us)


def to_json(params: RigParameters) -> str:
    """Return the parameters for the record."""
    return msgspec.json.encode({name: getattr(params, name) for name in RECORDED}).decode()


def from_json(record: str) -> RigParameters:
    """Return the parameters that `to_json` wrote; msgspec.ValidationError or ValueError if they are none."""
    stored = decoding.from_json(record, _Recorded)
    return RigParameters(**{name: getattr(stored, name) for name in RECORDED})
