"""Zeros of one rig, taken by hand or by themselves, and their record. `core.zero` decides which may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ashibar.core import zero
from ashibar.core.units import NEWTON_PER_KG

if TYPE_CHECKING:
    from ashibar.core.zero import Zeroing
    from ashibar.service.rig_service import RigService

EVERY_US: Final = 30_000_000  # zero drifts in minutes, not in seconds; and the log is for people to read
WORTH_N: Final = 0.1 * NEWTON_PER_KG  # less is noise, and no entry
RENEW_US: Final = 6 * 3_600_000_000  # half of a zero's time: bars nobody touches stay zeroed


class AutoZero:
    """Zeroes unloaded bars by themselves while nobody uses them. One thread."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._next_us = 0

    def tick(self, rig: RigService, now_us: int) -> None:
        """Zero if it is time, nothing is going on at the rig, and there is something to be gained."""
        if not self._enabled or 0 <= self._next_us - now_us <= EVERY_US:
            return
        self._next_us = now_us + EVERY_US
        if not rig.at_rest or rig.hang.going_on:
            return
        live = rig.session.running is not None
        proposal = zero.propose(list(rig.recent), rig.live.params, now_us, automatic=True, session_live=live)
        if proposal.zero is not None and _is_worth_it(proposal, rig, now_us):
            take(rig, proposal, "host", {"from": "host"}, automatic=True)


def take(
    rig: RigService, proposal: Zeroing, by: str, source: dict[str, Any], *, automatic: bool
) -> dict[str, Any]:
    """Put a zero that `core.zero` allows on record and in force; return what the interfaces answer."""
    if proposal.zero is None:
        raise AssertionError("a zero that is taken was allowed")
    told = {
        "rig": rig.name,
        "kind": proposal.zero.kind,
        "automatic": automatic,
        "at_us": proposal.zero.at_us,
        "counts": list(proposal.zero.counts),
        "offset_n": list(proposal.offset_n),
        "drift_n": list(proposal.drift_n),
    }
    running = rig.session.running
    extra = {"session": None if running is None else running.id} | source
    rig.record.entry("zero", by, told | extra, utc_us=rig.now_us)
    rig.use_zero(proposal.zero, rig.now_us)
    return told


def _is_worth_it(proposal: Zeroing, rig: RigService, now_us: int) -> bool:
    used = rig.live.params.zero
    if used is None or now_us - used.at_us > RENEW_US:
        return True
    return max(abs(offset_n) for offset_n in proposal.offset_n) > WORTH_N
