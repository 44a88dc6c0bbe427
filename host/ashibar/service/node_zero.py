"""The zeros of a rig's own nodes: asks each for one and gathers what they say.

What becomes of that is `zeroing`'s. One thread, the pipeline's.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from ashibar.core import decoding
from ashibar.core.messages import Command, MessageError, Reply, SessionZero
from ashibar.core.requests import NODE_REPLY_S
from ashibar.service.desk import ConflictError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ashibar.core.requests import ZeroNow
    from ashibar.service.rig_service import RigService
    from ashibar.service.surroundings import Surroundings

AWAY: Final = ("lost", "offline")
UNKNOWN_COMMAND: Final = "command: "  # how a node refuses what it does not have (safe mode)
CONFIRM: Final = "then confirm"  # how it ends one that it takes back once a person has confirmed


class Taken(msgspec.Struct, frozen=True):
    """The reply of a node that has zeroed: its zero, and what each of its cells read before, newtons."""

    zero: SessionZero
    offset_n: list[float]


@dataclass(slots=True)
class Said:
    """What the nodes of a rig said to a wish of `at_us`; `keeping` are those that keep the zero they had."""

    at_us: int
    request: ZeroNow
    waiting: dict[str, str] = field(default_factory=dict)  # id of a command: node
    taken: dict[str, Taken] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    keeping: list[str] = field(default_factory=list)

    def take(self, node: str, reply: Reply) -> None:
        """Take a node's reply to this wish; any other is none of its."""
        if self.waiting.get(reply.id) != node:
            return
        del self.waiting[reply.id]
        if not reply.ok:
            reason = reply.reason or "a reason expected, none came: try again"
            if reason.startswith(UNKNOWN_COMMAND):
                self.keeping.append(node)
            else:
                self.refused[node] = reason
            return
        try:
            self.taken[node] = decoding.convert(reply.result, Taken)
        except msgspec.ValidationError:
            self.keeping.append(node)

    def refusal(self) -> ConflictError | None:
        """Return the reason of the first node that refused, None if none did."""
        if not self.refused:
            return None
        node, reason = next(iter(self.refused.items()))
        confirm = all(each.endswith(CONFIRM) for each in self.refused.values())
        already = f"; {' and '.join(self.taken)} zeroed already" if self.taken else ""
        alone = len(self.refused) + len(self.taken) + len(self.keeping) == 1
        return ConflictError((reason if alone else f"{node}: {reason}") + already, confirm=confirm)

    def note(self) -> str | None:
        """Return in words which nodes keep a zero of their own, None if none does."""
        if not self.keeping:
            return None
        names = " and ".join(self.keeping)
        if len(self.keeping) == 1:
            return f"{names} did not take this zero and keeps its own: its light and its weight may differ."
        return f"{names} did not take this zero and keep their own: their lights and weights may differ."


class NodeZeros:
    """At most one wish a rig at a time."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._wishes: dict[str, Said] = {}

    def under_way(self, rig: RigService) -> bool:
        """Whether the nodes of a rig are being asked."""
        return rig.name in self._wishes

    def said(self, rig: RigService, request: ZeroNow, now_us: int) -> Said | None:
        """Ask the nodes if this request has not yet; return what they said, None while one may still reply.

        Raises ConflictError while somebody else's request is under way.
        """
        wish = self._wishes.get(rig.name)
        if wish is None:
            wish = self._wishes[rig.name] = self._ask(rig, request, now_us)
        elif wish.request is not request:
            raise ConflictError("one zero at a time was expected, another one is under way: wait for it")
        if wish.waiting and 0 <= now_us - wish.at_us < NODE_REPLY_S * 1e6:
            return None
        wish.keeping += wish.waiting.values()
        return self._wishes.pop(rig.name)

    def take(self, replies: Iterable[tuple[str, Reply]]) -> None:
        """Take replies of nodes."""
        for node, reply in replies:
            for wish in self._wishes.values():
                wish.take(node, reply)

    def _ask(self, rig: RigService, request: ZeroNow, now_us: int) -> Said:
        wish = Said(now_us, request)
        # In whole seconds: a chip has 24 bits for a fraction.
        parameters = {"unix_s": now_us // 1_000_000, "confirm": request.confirmed}
        for node in rig.live.params.nodes:
            number = secrets.token_hex(8)
            if self._able(node) and self._sent(node, Command(number, "zero", parameters)):
                wish.waiting[number] = node
            else:
                wish.keeping.append(node)
        return wish

    def _sent(self, node: str, command: Command) -> bool:
        try:
            return self._around.send(node, command)
        except MessageError:
            return False

    def _able(self, node: str) -> bool:
        """Whether a node is there, calibrated, and knows its capacities: without them it has no limits."""
        known = self._around.ingest.nodes.get(node)
        if known is None or known.about is None or known.state in AWAY or known.about.calibration is None:
            return False
        return all(cell.capacity_n is not None for cell in known.about.cells)
