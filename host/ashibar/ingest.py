"""Messages in, rows for the journal and samples for the load model out: decode, dedupe, stamp, account.

It holds what is known of nodes and boots, sends nothing and stores nothing: what it gives back must be
committed before its messages are acknowledged.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from ashibar import calibrations
from ashibar.boots import Boot, FrameArrays, stored_fit
from ashibar.core import decoding, timefit, topics
from ashibar.core import messages as wire
from ashibar.core.accounting import Accounting, BootRecord
from ashibar.core.frame import FLAG_BACKLOG, DecodedBatch, FrameError, decode, decode_many
from ashibar.io.journal import AsideRow, Batch, EventRow, sinks
from ashibar.rivals import Rivals

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from ashibar.core.calibration import NodeCalibration
    from ashibar.core.timefit import TimeFit
    from ashibar.core.track import NodeSamples
    from ashibar.io.journal import BootRow, FrameRow, Reader
    from ashibar.io.journal.losses import Lost
    from ashibar.io.mqtt import Inbound

BOOT_KINDS = (topics.Kind.STATE, topics.Kind.ABOUT)
FEW = 64  # frames that are cheaper one by one than as columns
IDLE_SETTLE_S = 600.0  # frames of a boot that has been silent so long keep the stamps they have


@dataclass(slots=True)
class Node:
    """What is known of one node; `newest` is its newest sample index of the current boot."""

    id: int
    name: str
    boot: int | None = None
    state: str = "unknown"
    about: wire.About | None = None
    health: wire.Health | None = None
    weight: wire.Weight | None = None
    newest: int | None = None
    rivals: Rivals = field(default_factory=Rivals)
    last_frame_mono_us: int | None = None
    last_frame_utc_us: int | None = None
    calibrations: dict[int, NodeCalibration] = field(default_factory=dict)
    refused: frozenset[tuple[int, int]] = frozenset()  # boots and ids of calibrations not taken up

    def usable(self, boot: int) -> Mapping[int, NodeCalibration]:
        """Return the calibrations that frames of a boot may be read with."""
        return calibrations.usable(self.calibrations, self.refused, boot)

    @property
    def calibration(self) -> NodeCalibration | None:
        """The calibration it says it has, None without one or where that is refused."""
        if self.about is None or self.about.calibration is None:
            return None
        return self.usable(self.about.boot).get(self.about.calibration.id)

    @property
    def problem(self) -> str | None:
        """What is wrong with its calibration, in words."""
        said = None if self.about is None else self.about.calibration
        if self.about is None or said is None or (self.about.boot, said.id) not in self.refused:
            return None
        return calibrations.problem(self.name, said.id)


class Salvaged(NamedTuple):
    """What came of a damaged journal's frames: those not readable, and those whose stamps may still change.

    `batch` says that it is done with, in the commit that enters these.
    """

    lost: list[Lost]
    provisional: list[FrameRow]
    batch: Batch
    utc_us: int


@dataclass(slots=True)
class Intake:
    """What a batch of messages came to."""

    batch: Batch = field(default_factory=Batch)
    samples: list[NodeSamples] = field(default_factory=list)
    uptos: dict[tuple[str, int], int] = field(default_factory=dict)  # valid once `batch` is committed
    abouts_changed: bool = False
    replies: list[tuple[str, wire.Reply]] = field(default_factory=list)


class Ingest:
    """The state of the intake. One thread; `reader` restores it from the journal."""

    def __init__(self, studio: str, nodes: Iterable[str], reader: Reader) -> None:
        self.accounting = Accounting()
        self.nodes: dict[str, Node] = {}
        self.unknown_nodes: dict[str, int] = {}
        self.aside = 0
        self._studio = studio
        self._expected = frozenset(nodes)
        self._reader = reader
        self._boots: dict[tuple[str, int], Boot] = {}
        self._over: dict[tuple[str, int], BootRow] = {}  # ended and settled: taken up only if asked for
        self._topics: dict[str, topics.Topic | str] = {}
        self._said: dict[tuple[int, int], wire.Calibration] = {}
        self._salvaged: SimpleQueue[Salvaged] = SimpleQueue()
        self._restore()

    def restart(self) -> None:
        """Forget what is not in the journal and begin again from what is.

        After an error half-way through `take`, sequences may count as seen that never reach the disk.
        """
        self.accounting = Accounting()
        self.nodes.clear()
        self._boots.clear()
        self._over.clear()
        self._restore()

    def refuse(self, message: Inbound, reason: str) -> Intake:
        """Put a message aside that could not be taken in, so that it does not block those behind it."""
        intake = Intake()
        self._put_aside(intake, message, reason)
        return intake

    def take(self, messages: Sequence[Inbound]) -> Intake:
        """Take in messages in order of arrival."""
        intake = Intake()
        samples: list[Inbound] = []
        for message in messages:
            topic = self._topic(message.topic)
            if isinstance(topic, str):
                self._put_aside(intake, message, topic)
            elif topic.kind is topics.Kind.SAMPLES:
                samples.append(message)
            else:
                if (
                    samples and topic.kind in BOOT_KINDS
                ):  # a boot announced is not to be overtaken by frames before it
                    self._take_samples(intake, samples)
                    samples = []
                self._take_json(intake, message, topic)
        if samples:
            self._take_samples(intake, samples)
        return intake

    def uptos(self) -> dict[tuple[str, int], int]:
        """Return what is stored without holes of each node's current boot; of use at the start only."""
        known = {(node.name, node.boot) for node in self.nodes.values() if node.boot is not None}
        return {key: self._boots[key].upto for key in known if key in self._boots}

    def settle_idle(self, now_mono_us: int) -> Batch:
        """Finish boots of which no frame has come for long: there will be no better stamps.

        Enters what a damaged journal has cost, too.
        """
        batch = Batch()
        self._enter_salvaged(batch)
        for boot in self._boots.values():
            silent_us = now_mono_us - boot.last_mono_us
            if boot.provisional and silent_us > IDLE_SETTLE_S * 1e6:
                boot.settle(batch, now_us=boot.last_utc_us)
        return batch

    def salvaged(self, found: Salvaged) -> None:
        """Say what became of the frames of a damaged journal; from any thread, `settle_idle` enters it."""
        self._salvaged.put(found)

    def _enter_salvaged(self, batch: Batch) -> None:
        """Put on record, in one commit, what is lost and that the damaged journal is done with."""
        names = {node.id: node.name for node in self.nodes.values()}
        while not self._salvaged.empty():
            found = self._salvaged.get()
            for row in found.provisional:
                boot = self._boot((names.get(row.node, ""), row.boot))
                if boot is not None:
                    boot.adopt([row], batch)
            for lost in found.lost:
                boot = self._boot((names.get(lost.node, ""), lost.boot))
                if boot is not None:
                    boot.lose(lost, batch, found.utc_us)
            batch.extend(found.batch)

    def about_utc_us(self, node: str, boot: int, device_us: int) -> int | None:
        """Return when a device time of a boot was, None while that is not known."""
        known = self._boot((node, boot))
        return None if known is None else known.utc_us(device_us)

    def fit_of(self, node: str, boot: int) -> TimeFit | None:
        """Return the map of time of a boot, None while there is none."""
        known = self._boot((node, boot))
        return None if known is None else known.fit

    def clock_bound_us(self, node: str) -> int | None:
        """Return how far the stamps of a node's current boot may be off, None while there is no fit."""
        known = self.nodes.get(node)
        boot = None if known is None or known.boot is None else self._boot((node, known.boot))
        return None if boot is None else boot.bound_us

    # Topics

    def _topic(self, name: str) -> topics.Topic | str:
        """Return the topic taken apart, or why its messages are not taken."""
        found = self._topics.get(name)
        if found is None:
            found = self._judge(name)
            if len(self._topics) < 1000:  # a flood of made-up topics must not fill the memory
                self._topics[name] = found
        return found

    def _judge(self, name: str) -> topics.Topic | str:
        try:
            topic = topics.parse(name)
        except topics.TopicError as error:
            return str(error)
        if topic.studio != self._studio:
            return (
                f"unknown studio: expected {self._studio!r}, came {topic.studio!r}; "
                "correct the node's configuration"
            )
        if topic.node not in self._expected:
            return (
                f"unknown node: expected one of {', '.join(sorted(self._expected))}, came {topic.node!r}; "
                "add it to a [[rig.cell]], or correct its name"
            )
        return topic

    def _put_aside(self, intake: Intake, message: Inbound, reason: str) -> None:
        self.aside += 1
        parts = message.topic.split("/")
        if reason.startswith("unknown node") and len(parts) == 5:
            if parts[3] not in self.unknown_nodes and len(self.unknown_nodes) < 100:
                self.unknown_nodes[parts[3]] = 0
                intake.batch.events.append(
                    EventRow(message.utc_us, "unknown node", parts[3], _json({"reason": reason}))
                )
            self.unknown_nodes[parts[3]] = self.unknown_nodes.get(parts[3], 0) + 1
        row = AsideRow(message.topic, message.utc_us, reason[:500], len(message.payload), message.payload)
        intake.batch.aside.append(row)

    # JSON

    def _take_json(self, intake: Intake, message: Inbound, topic: topics.Topic) -> None:
        if not message.payload and message.retain:
            return  # a retained message was cleared
        try:
            content = wire.decode(topic.kind, message.payload)
        except wire.MessageError as error:
            self._put_aside(intake, message, str(error))
            return
        node = self._node(topic.node, intake, message.utc_us)
        if isinstance(content, wire.State):
            self._take_state(intake, node, content, message.utc_us)
        elif isinstance(content, wire.About):
            self._take_about(intake, node, content, message)
        elif isinstance(content, wire.Health):
            node.health = content
            row = (node.id, message.utc_us, _json(content))
            intake.batch.statements.append((sinks.HEALTH, [row]))
            boot = self._boot((node.name, content.boot))
            if boot is not None:
                boot.account.report_taken(content.samples)
        elif isinstance(content, wire.Weight):
            node.weight = content
        elif isinstance(content, wire.Reply):
            intake.replies.append((node.name, content))
            intake.batch.events.append(EventRow(message.utc_us, "reply", node.name, _text(message.payload)))

    def _take_state(self, intake: Intake, node: Node, state: wire.State, utc_us: int) -> None:
        if (state.state, state.boot) == (node.state, node.boot):
            return
        if state.state == "lost" and node.boot is not None and state.boot != node.boot:
            return  # the will of a boot that is over
        node.state = state.state
        self._announced(intake, node, state.boot, utc_us)
        intake.batch.events.append(EventRow(utc_us, "state", node.name, _json(state)))

    def _take_about(self, intake: Intake, node: Node, about: wire.About, message: Inbound) -> None:
        self._announced(intake, node, about.boot, message.utc_us)
        if about == node.about:
            return
        node.about = about
        intake.abouts_changed = True
        intake.batch.abouts[node.id] = (_text(message.payload), message.utc_us)
        intake.batch.events.append(EventRow(message.utc_us, "about", node.name, _text(message.payload)))
        record = about.calibration
        if record is None:
            return
        said = self._said.setdefault((node.id, record.id), record)
        if not calibrations.is_same(said, record):
            self._refuse_calibration(intake, node, about.boot, record.id, message.utc_us)
        elif record.id not in node.calibrations:
            node.calibrations[record.id] = calibrations.of_record(record)
            intake.batch.calibrations[node.id, record.id] = (message.utc_us, _json(record))

    def _refuse_calibration(self, intake: Intake, node: Node, boot: int, number: int, utc_us: int) -> None:
        """Put on record that frames of this boot have no calibration, once."""
        if (boot, number) not in node.refused:
            node.refused |= {(boot, number)}
            detail = calibrations.Refused(boot, number, calibrations.problem(node.name, number))
            intake.batch.events.append(EventRow(utc_us, calibrations.REFUSED, node.name, _json(detail)))

    def _node(self, name: str, intake: Intake, utc_us: int) -> Node:
        node = self.nodes.get(name)
        if node is None:
            node = Node(1 + max((known.id for known in self.nodes.values()), default=0), name)
            self.nodes[name] = node
            intake.batch.nodes.append((node.id, name, utc_us))
        return node

    def _announced(self, intake: Intake, node: Node, number: int, utc_us: int) -> None:
        """Take the boot a node says it is in as its current one, whatever frames came meanwhile."""
        boot = self._enter_boot(intake, node, number, utc_us)
        if node.boot != number:
            node.boot, node.newest = number, _newest(boot)

    def _enter_boot(self, intake: Intake, node: Node, number: int, utc_us: int) -> Boot:
        """Return a boot of a node; one never seen before becomes its current one and ends the others."""
        key = (node.name, number)
        boot = self._boot(key)
        if boot is not None:
            return boot
        account = self.accounting.boot(node.name, number)
        boot = self._boots[key] = Boot(node.id, account, number, utc_us, self._tops_us(node.name))
        for (name, other_number), other in self._boots.items():
            if name == node.name and other_number != number:
                known = other.account.record().ended
                other.account.end()
                other.settle(intake.batch, now_us=utc_us)
                if not known:  # settling stores only what had no final stamps yet
                    other.store(intake.batch, utc_us)
        node.boot, node.newest = number, None
        boot.store(intake.batch, utc_us)
        intake.uptos[key] = boot.upto
        return boot

    def _tops_us(self, node: str) -> tuple[int, ...]:
        """Return what the boots of a node leave to the next, see `timefit.tops_us`."""
        fits = [boot.fit for (name, _), boot in self._boots.items() if name == node]
        over = (row for (name, _), row in reversed(self._over.items()) if name == node)
        stored = (stored_fit(self._reader, row.node, row.boot) for row in over)
        newest = next((fit for fit in stored if fit is not None), None)  # it knows of those before it
        tops = [timefit.tops_us(fit) for fit in (*fits, newest) if fit is not None]
        return tuple(map(max, zip(*tops, strict=True)))

    # Samples

    def _take_samples(self, intake: Intake, inbound: Sequence[Inbound]) -> None:
        if len(inbound) <= FEW:
            apart: dict[str, list[Inbound]] = {}
            taken: dict[str, tuple[Node, Boot]] = {}
            for message in inbound:  # what comes after one that is out of line waits behind it
                known = None if message.topic in apart else self._take_next(intake, message)
                if known is None:
                    apart.setdefault(message.topic, []).append(message)
                else:
                    taken[message.topic] = known
            for node, boot in taken.values():
                boot.store(intake.batch, boot.last_utc_us)
                intake.uptos[node.name, boot.number] = boot.upto
                node.newest = _newest(boot)
            inbound = [message for messages in apart.values() for message in messages]
        if inbound:
            self._take_any(intake, inbound)

    def _take_next(self, intake: Intake, message: Inbound) -> tuple[Node, Boot] | None:
        """Take in a frame that follows its node's newest, the usual case; None and nothing for any other.

        The state of the boot is to be stored behind it.
        """
        topic = self._topics[message.topic]
        node = self.nodes.get(topic.node) if isinstance(topic, topics.Topic) else None
        boot = None if node is None or node.boot is None else self._boots.get((node.name, node.boot))
        if node is None or boot is None:
            return None
        try:
            frame = decode(message.payload)
        except FrameError:
            return None
        if frame.boot != boot.number:
            return None
        samples = boot.take_next(frame, message, intake.batch, node.usable(boot.number), node.name)
        if samples is None:
            return None
        intake.samples.append(samples)
        self._watch_rivals(intake, node, boot.number, message.mono_us, message.utc_us)
        node.last_frame_mono_us, node.last_frame_utc_us = message.mono_us, message.utc_us
        return node, boot

    def _take_any(self, intake: Intake, inbound: Sequence[Inbound]) -> None:
        decoded = decode_many([message.payload for message in inbound])
        for position, error in decoded.errors:
            topic = self._topics.get(inbound[position].topic)
            if isinstance(topic, topics.Topic):
                self.accounting.count_unreadable(topic.node)
            self._put_aside(intake, inbound[position], str(error))
        if not len(decoded.headers):
            return
        arrays = FrameArrays.of(decoded, inbound)
        for name, number, rows in by_boot(decoded, inbound):
            node = self._node(name, intake, inbound[0].utc_us)
            boot = self._enter_boot(intake, node, number, inbound[0].utc_us)
            self._take_boot(intake, node, boot, arrays.chosen(rows))

    def _take_boot(self, intake: Intake, node: Node, boot: Boot, frames: FrameArrays) -> None:
        new = boot.take(frames, intake.batch, node.usable(boot.number), node.name)
        intake.samples.extend(new)
        intake.uptos[node.name, boot.number] = boot.upto
        live = frames.flags & FLAG_BACKLOG == 0
        if live.any():
            newest = (int(frames.mono_us[-1]), int(frames.arrival_us[-1]))
            self._watch_rivals(intake, node, boot.number, *newest)
        if boot.number == node.boot:
            if live.any():
                node.last_frame_mono_us = int(frames.mono_us[live].max())
                node.last_frame_utc_us = int(frames.arrival_us[live].max())
            node.newest = _newest(boot)

    def _watch_rivals(self, intake: Intake, node: Node, number: int, mono_us: int, utc_us: int) -> None:
        if node.rivals.heard(number, mono_us):
            words = _json({"problem": node.rivals.problem(node.name, mono_us)})
            intake.batch.events.append(EventRow(utc_us, "two boards", node.name, words))

    # Restoring

    def _restore(self) -> None:
        for node_id, name, about, _ in self._reader.nodes():
            node = self.nodes[name] = Node(node_id, name)
            if about is not None:
                node.about = wire.decode_as(wire.About, about.encode())
        names = {node.id: node for node in self.nodes.values()}
        self._said = calibrations.as_said(self._reader)
        on_record = calibrations.calibrations_of(self._reader)
        for node_id, known in on_record.known.items():
            names[node_id].calibrations |= known
        for node_id, boot_number, number in on_record.refused:
            names[node_id].refused |= {(boot_number, number)}
        rows = self._reader.boots()
        unsettled = set(self._reader.boots_with_provisional())
        newest = {row.node: row.boot for row in rows}
        for row in rows:
            node = names[row.node]
            record = decoding.from_json(row.counts, BootRecord)
            if record.ended and newest[row.node] != row.boot and (row.node, row.boot) not in unsettled:
                self.accounting.restore(record)
                self._over[node.name, row.boot] = row
                continue
            boot = Boot.restore(row, self.accounting, self._reader, self._tops_us(node.name))
            self._boots[node.name, row.boot] = boot
            node.boot = row.boot  # in order of their first sight: the last one stays
            node.newest = _newest(boot)

    def _boot(self, key: tuple[str, int]) -> Boot | None:
        """Return a boot that is known; of years of them only a few are ever asked for again."""
        row = self._over.pop(key, None)
        if row is not None:
            before = self._tops_us(key[0])
            self._boots[key] = Boot.restore(row, self.accounting, self._reader, before)
        return self._boots.get(key)


def _newest(boot: Boot) -> int | None:
    """Return the newest sample index of a boot, None before the first."""
    return boot.account.newest_index - 1 if boot.account.newest_index else None


def by_boot(decoded: DecodedBatch, inbound: Sequence[Inbound]) -> list[tuple[str, int, NDArray[np.int64]]]:
    """Return node, boot and rows of the headers of each boot in the batch."""
    names = [inbound[position].topic.split("/")[3] for position in decoded.headers.position.tolist()]
    rows: dict[tuple[str, int], list[int]] = {}
    for row, key in enumerate(zip(names, decoded.headers.boot.tolist(), strict=True)):
        rows.setdefault(key, []).append(row)
    return [(name, boot, np.array(which, np.int64)) for (name, boot), which in rows.items()]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _text(payload: bytes) -> str:
    return payload.decode(errors="replace")
