"""Zeros of one rig, taken by hand or by themselves, and their record. `core.zero` decides which may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ashibar.core import zero
from ashibar.core.rig import Zero
from ashibar.core.units import NEWTON_PER_KG
from ashibar.core.zero import Zeroing
from ashibar.service.desk import ConflictError

if TYPE_CHECKING:
    from ashibar.service.node_zero import Said
    from ashibar.service.rig_service import RigService

EVERY_US: Final = 30_000_000  # zero drifts in minutes, not in seconds; and the log is for people to read
WORTH_N: Final = 0.1 * NEWTON_PER_KG  # less is noise, and no entry
LATER: Final = object()  # the answer while nodes are being asked
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


def proposal(rig: RigService, now_us: int) -> Zeroing:
    """Return the zero that `core.zero` allows by hand; ConflictError is its refusal."""
    found = zero.propose(list(rig.recent), rig.live.params, now_us)
    if found.zero is None:
        raise ConflictError(f"bars unloaded and at rest were expected, {found.reason} came: {found.remedy}")
    return found


def by_hand(rig: RigService, said: Said, by: str, source: dict[str, Any]) -> dict[str, Any]:
    """Use the zero the nodes have taken; where one keeps its own, take one here, and say so.

    Raises ConflictError with the reason of the node, or of the host, that refuses.
    """
    refusal = said.refusal()
    if refusal is not None:
        raise refusal
    found = _of_nodes(rig, said) or proposal(rig, rig.now_us)
    return take(rig, found, by, source, automatic=False, nodes=tuple(said.taken), note=said.note())


def _of_nodes(rig: RigService, said: Said) -> Zeroing | None:
    """Return the nodes' zeros as one of the rig, None unless each of them has one for all its cells."""
    counts, offset_n, drift_n = [], [], []
    for cell in rig.live.params.cells:
        taken, calibration = said.taken.get(cell.node), rig.around.calibration(cell.node)
        if taken is None or calibration is None:
            return None
        if cell.channel >= min(len(taken.zero.counts), len(taken.offset_n), len(calibration.zero_count)):
            return None
        count = taken.zero.counts[cell.channel]
        counts.append(float(count))
        offset_n.append(taken.offset_n[cell.channel])
        moved = count - calibration.zero_count[cell.channel]
        drift_n.append(moved * calibration.span_n_per_count[cell.channel])
    zeroed = Zero("session", tuple(counts), said.at_us)
    return Zeroing(zeroed, offset_n=tuple(offset_n), drift_n=tuple(drift_n))


def take(
    rig: RigService,
    proposal: Zeroing,
    by: str,
    source: dict[str, Any],
    *,
    automatic: bool,
    nodes: tuple[str, ...] = (),
    note: str | None = None,
) -> dict[str, Any]:
    """Put a zero that may be used on record and in force; return what the interfaces answer.

    `nodes` have taken it themselves, `note` says in words which have not.
    """
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
        "nodes": list(nodes),
        "note": note,
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
