"""All rigs' services as one: requests from the desk, samples and time from the pipeline, one batch out.

One thread, the pipeline's. It commits nothing itself; answers are given once what they say is stored.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ashibar import __version__
from ashibar.core.records import RefusedError
from ashibar.service import actions
from ashibar.service.desk import ConflictError, NotFoundError
from ashibar.service.node_zero import NodeZeros
from ashibar.service.record import Record
from ashibar.service.rig_service import RigService
from ashibar.service.weights import Weights
from ashibar.service.zeroing import LATER

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from ashibar.core.chain import Head
    from ashibar.core.config import Config
    from ashibar.core.messages import Display, Reply
    from ashibar.core.quiet import Span
    from ashibar.core.track import NodeSamples
    from ashibar.io.journal import Batch, SafetyReader
    from ashibar.live import LiveRig
    from ashibar.service.desk import Asked, Desk
    from ashibar.service.recompute import LateSpan
    from ashibar.service.surroundings import Surroundings

Submit = Callable[["Batch", "Callable[[], None] | None"], None]

TICK_US: Final = 150_000  # the pipeline asks every 0.2 s: that is how late what only time decides may be seen


class Service:
    """What the daemon runs around the core. `reader` is used here and nowhere else."""

    def __init__(
        self,
        config: Config,
        rigs: Sequence[LiveRig],
        reader: SafetyReader,
        around: Surroundings,
        desk: Desk,
        *,
        now_us: int,
        follows: str | None,
        stored: Callable[[Head | None, Sequence[str]], None],
    ) -> None:
        """`stored(head, ended)`: entries up to `head` and the end of these sessions are on the disk."""
        self.record = Record(reader)
        self.reader = reader
        self.now_us = now_us
        self.desk = desk
        self._stored = stored
        self._ticked_us = 0
        self.recompute: Callable[[LateSpan], None] = lambda _: None  # what a late delivery is handed to
        if self.record.head is None:
            begun = {"studio": config.studio, "version": __version__, "follows": follows}
            self.record.entry("genesis", "host", begun, utc_us=now_us)
        self.record.entry("daemon-started", "host", {"version": __version__}, utc_us=now_us)
        weights = Weights(self.record, reader)
        self.rigs = {
            configured.name: RigService(
                config,
                configured,
                live,
                record=self.record,
                reader=reader,
                around=around,
                weights=weights,
                now_us=now_us,
            )
            for configured, live in zip(config.rigs, rigs, strict=True)
        }
        self.weights = weights
        self.zeros = NodeZeros(around)
        self._rigs_of: dict[str, list[RigService]] = {}  # of each node
        for rig in self.rigs.values():
            for node in rig.live.params.nodes:
                self._rigs_of.setdefault(node, []).append(rig)
        self._waiting: list[Asked] = []  # for the replies of nodes
        self._unsummed = [row.id for row in reader.sessions_without_summary()]

    def note_late(self, samples: Sequence[NodeSamples], batch: Batch, now_us: int) -> None:
        """Note late samples in the batch that stores them: both are stored, or neither."""
        for each in samples:
            for rig in self._rigs_of.get(each.node, ()):
                rig.note_late(each, batch, now_us)

    def hold(self, rig: str, samples: Sequence[NodeSamples], now_us: int) -> bool:
        """Take in samples of the nodes of a rig; True if they are to be looked at at once."""
        return self.rigs[rig].hold(samples, now_us)

    def is_ripe(self, rig: str, now_us: int) -> bool:
        """Tell whether samples of a rig are held that are to wait no longer."""
        return self.rigs[rig].is_ripe(now_us)

    def look(self, rig: str, now_us: int) -> int:
        """Look at the samples held of a rig; return how many that were."""
        return self.rigs[rig].look(now_us)

    def spans(self, rig: str) -> dict[str, Span | None]:
        """Return, for each node of a rig, between which counts its samples need not be hurried."""
        return self.rigs[rig].spans()

    def tick(self, now_us: int) -> None:
        """Let time pass; called often."""
        self.now_us = now_us
        if not 0 <= now_us - self._ticked_us < TICK_US:
            self._ticked_us = now_us
            for rig in self.rigs.values():
                rig.tick(now_us)
                late = rig.lateness.due(now_us) if rig.at_rest else None
                if late is not None:
                    rig.look(now_us)
                    rig.keep()  # what is compared with is what was seen by then
                    self.recompute(late)

    def nodes_changed(self, now_us: int) -> None:
        """A node said another calibration or zero."""
        for rig in self.rigs.values():
            rig.nodes_changed(now_us)

    def node_replies(self, replies: Sequence[tuple[str, Reply]]) -> None:
        """Nodes have replied to commands, of whoever sent them."""
        self.zeros.take(replies)

    def work(self, submit: Submit, now_us: int) -> None:
        """Do what was asked for, and hand all that is to be recorded to `submit`."""
        self.now_us = now_us
        answers: list[tuple[Future[Any], Any]] = []
        waiting, self._waiting = self._waiting, []
        for asked in [*waiting, *self.desk.take()]:
            answer = self._answer(asked)
            if answer is not None:
                answers.append((asked.answer, answer[0]))
        for rig in self.rigs.values():
            rig.put_state(now_us)
        batch = self.record.take()
        ended = self._ended_sessions()
        if batch or answers or ended:
            submit(batch, partial(self._tell, answers, self.record.head, ended))

    def stop(self, submit: Submit, now_us: int) -> None:
        """Hand in the last words."""
        self.now_us = now_us
        self.desk.close()
        for asked in self._waiting:
            asked.answer.set_exception(ConflictError("the host is stopping: ask again when it is back"))
        for rig in self.rigs.values():
            rig.now_us = now_us
            rig.keep()
        self.record.entry("daemon-stopped", "host", {"version": __version__}, utc_us=now_us)
        submit(self.record.take(), partial(self._tell, [], self.record.head, []))

    def _ended_sessions(self) -> list[str]:
        """Return the sessions that have ended since the last call, and those a restart found unsummed."""
        found, self._unsummed = self._unsummed, []
        for rig in self.rigs.values():
            found += rig.ended
            rig.ended = []
        return found

    def page(self, rig: str, now_us: int) -> dict[str, Any]:
        """Return what an envelope of the feed has beside the figure."""
        return self.rigs[rig].page(now_us)

    def display(self, rig: LiveRig, server: str, now_us: int) -> Display:
        """Return what a rig's nodes show with their lights: over no limit until hands are on the bars."""
        alarms = self.rigs[rig.name].alarms
        shown = rig.display(server, alarms.level(), now_us)
        waits = shown.band == "over" and alarms.awaits_hands
        return msgspec.structs.replace(shown, band=None) if waits else shown

    def rig(self, name: str | None) -> RigService:
        """Return a rig by name, the only one without; NotFoundError says which there are."""
        if name is None and len(self.rigs) == 1:
            return next(iter(self.rigs.values()))
        if name is None or name not in self.rigs:
            known = ", ".join(self.rigs)
            came = "none" if name is None else repr(name)
            raise NotFoundError(f"one of the rigs {known} was expected, {came} came: name one of them")
        return self.rigs[name]

    def _answer(self, asked: Asked) -> tuple[Any] | None:
        try:
            answer = actions.act(self, asked.request)
        except RefusedError as error:
            asked.answer.set_exception(ConflictError(str(error)))
        except Exception as error:  # noqa: BLE001 (whatever it is, who asked is told, and the rest goes on)
            asked.answer.set_exception(error)
        else:
            if answer is not LATER:
                return (answer,)
            self._waiting.append(asked)
        return None

    def _tell(self, answers: list[tuple[Future[Any], Any]], head: Head | None, ended: list[str]) -> None:
        """What was handed in is on the disk. Runs in the journal's thread."""
        self._stored(head, ended)
        for future, answer in answers:
            future.set_result(answer)
