"""The short way through blocks in which no alarm's condition holds, by their extremes: most blocks are so.

What it leaves is what alarm_conditions.py leaves, to the last bit; where it cannot plainly tell, it says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ashibar.core.alarm_conditions import (
    FALL_RISE_N,
    FALL_WITHIN_US,
    UNEVEN_LOADED_N,
    UNEVEN_SHARE,
    Carry,
    spacing,
)
from ashibar.core.cell_faults import calm_faults

if TYPE_CHECKING:
    from ashibar.core.alarm_conditions import Plan, SignalBlock


def calm(plan: Plan, carry: Carry, block: SignalBlock, previous_us: int) -> Carry | None:
    """Return the carry of `evaluate_conditions` where plainly none holds and all are known, else None.

    None also where stamps do not ascend or leave a hole in which a cell counts as missing.
    """
    dt_us = spacing(block.utc_us, previous_us)
    if not carry.hands.on or carry.above.any() or any(carry.uneven_us) or int(dt_us.min()) <= 0:
        return None
    if not _is_low(plan, block):
        return None
    times = np.concatenate([carry.recent_us, block.utc_us])
    loads = np.concatenate([carry.recent_n, block.bar_n])
    if not float(block.bar_n.max()) - float(loads.min()) <= FALL_RISE_N:  # nan is not
        return None
    faults = calm_faults(block, dt_us, plan.noise_n, carry.faults)
    if faults is None:
        return None
    keep = int(times.searchsorted(times[-1] - FALL_WITHIN_US))
    return Carry(carry.above, times[keep:], loads[keep:], carry.uneven_us, faults, carry.hands)


def _is_low(plan: Plan, block: SignalBlock) -> bool:
    """Tell that all is known and no limit reached: by client, bars or hangers, and both ends carry."""
    near_n, _, rig_n, *hangers_n, fall_n = plan.high_n.tolist()
    if not float(block.bar_n.max()) <= min(rig_n, fall_n):  # nan is not
        return False
    if not float((block.client_n + block.u_client_n).max()) <= near_n:
        return False
    low_n, high_n = block.force_n.min(axis=0).tolist(), block.force_n.max(axis=0).tolist()
    if any(max(-low, high) > limit for low, high, limit in zip(low_n, high_n, hangers_n, strict=True)):
        return False
    most_n = [high_n[one] + high_n[other] for _, one, other in plan.bars]
    least_n = [min(low_n[one], low_n[other]) for _, one, other in plan.bars]
    return all(
        most <= UNEVEN_LOADED_N or least >= UNEVEN_SHARE * most
        for most, least in zip(most_n, least_n, strict=True)
    )
