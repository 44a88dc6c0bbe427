"""The thread every sample goes through: to the load model at once, to the journal and the broker in order.

The live figure does not wait for the disk; the acknowledgement and `committed` do.
"""

from __future__ import annotations

import logging
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ashibar.core import topics
from ashibar.core.messages import Committed, encode
from ashibar.fresh import RECORD_BATCH
from ashibar.io.journal import Batch
from ashibar.io.mqtt import NotConnectedError
from ashibar.urgency import Urgency

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ashibar.core.accounting import Summary
    from ashibar.core.track import NodeSamples
    from ashibar.fresh import FreshLane
    from ashibar.ingest import Ingest, Intake
    from ashibar.io.journal import Committer
    from ashibar.io.mqtt import Inbound, Link
    from ashibar.live import LiveRig
    from ashibar.service import Service
    from ashibar.service.commands import Commands
    from ashibar.web.feed import Feed

log = logging.getLogger(__name__)

Outgoing = tuple[str, bytes, int, bool]  # topic, payload, QoS, retained

MAX_BATCH: Final = 4000  # a backlog costs less the more of it is evaluated at once; live it is a frame or two
BEAT_S: Final = 0.2  # messages that nothing depends on wait so long for each other; the timers are multiples
LANE_WAIT_S: Final = 0.05  # how often to look what came on the lane beside the record
EARLY_S: Final = 0.05  # a turn that is made anyway serves timers due so soon
SLACK_S: Final = 0.04  # a beat comes with a message that is so near to it, where nobody watches
COMMITTED_EVERY_S: Final = 0.6  # of the contract: 1 to 2 Hz
DISPLAY_EVERY_S: Final = BEAT_S
FIGURE_EVERY_S: Final = BEAT_S  # without samples: the page counts the age
FIGURE_AGAIN_S: Final = 0.06  # a frame of 10 samples comes every 0.125 s; an eye sees no more than that
UNWATCHED_EVERY_S: Final = 240.0  # where nobody looks: for the trend; who looks gets the figure of now
ACCOUNT_EVERY_S: Final = 1.0
SETTLE_EVERY_S: Final = 10.0


class Timer:
    """Says when it is time again; late calls are not made up for."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._next_s = 0.0

    def due(self, now_s: float) -> bool:
        """Return True once every interval."""
        if now_s < self._next_s - EARLY_S:
            return False
        self._next_s = now_s + self._every_s
        return True

    def left_s(self, now_s: float) -> float:
        """Return how long it is until then."""
        return max(0.0, self._next_s - now_s)


class Pipeline:
    """Runs in a thread of its own between `start` and `stop`."""

    def __init__(
        self,
        studio: str,
        link: Link,
        ingest: Ingest,
        committer: Committer,
        rigs: Sequence[LiveRig],
        *,
        feed: Feed,
        service: Service,
        commands: Commands,
        lane: FreshLane | None = None,
        utc_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self.summary: Summary = ingest.accounting.summary()
        self.samples_evaluated = 0
        self._studio = studio
        self._link = link
        self._ingest = ingest
        self._committer = committer
        self._rigs = rigs
        self._feed = feed
        self._utc_us = utc_us
        self._committed = ingest.uptos()
        self._fresh: set[str] = set()
        self._lights = {  # of each rig: the topics of its nodes' lights
            rig.name: [topics.build(studio, node, topics.Kind.DISPLAY) for node in rig.params.nodes]
            for rig in rigs
        }
        self._rigs_of: dict[str, list[LiveRig]] = {}  # of each node
        for rig in rigs:
            for node in rig.params.nodes:
                self._rigs_of.setdefault(node, []).append(rig)
        self._urgency = Urgency(studio, {rig.name: rig.params.nodes for rig in rigs})
        self._watched: frozenset[str] = frozenset()
        link.judge, link.unjudged = self._urgency.judge, self._urgency.unjudged
        self._published_s: dict[str, float] = {}
        self._service = service
        self._commands = commands
        self._lane = lane
        self._connects = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pipeline", daemon=True)
        every = (BEAT_S, COMMITTED_EVERY_S, DISPLAY_EVERY_S, FIGURE_EVERY_S, ACCOUNT_EVERY_S, SETTLE_EVERY_S)
        names = ("beat", "committed", "display", "figure", "account", "settle")
        self._timers = {name: Timer(each) for name, each in zip(names, every, strict=True)}

    def start(self) -> None:
        """Begin to take messages."""
        if self._lane is not None:
            self._lane.open(time.monotonic())
        self._service.work(self._committer.submit, self._utc_us())
        self._thread.start()
        self._feed.on_look = self._link.wake

    def stop(self) -> None:
        """End; what was taken is handed to the journal, whose own stop stores it."""
        self._stopping.set()
        if self._lane is not None:
            self._lane.close()
        self._link.wake()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                behind = self._lane is not None and self._lane.is_open
                most = RECORD_BATCH if behind else MAX_BATCH
                slack_s = 0.0 if behind or self._watched else SLACK_S
                wait_s = LANE_WAIT_S if behind else self._wait_s(time.monotonic()) - slack_s / 2
                self.turn(self._link.receive(most, max(0.0, wait_s), slack_s), time.monotonic())
            except Exception:
                log.exception("the pipeline goes on after an error in its timers")
        for rig in self._rigs:
            self._evaluate(rig.name, self._utc_us())
        self._account()
        self._service.stop(self._committer.submit, self._utc_us())

    def _wait_s(self, now_s: float) -> float:
        """Return how long to wait for messages: until the beat, or a figure held back is due."""
        held = self._fresh & self._watched
        due_s = min((self._published_s.get(rig, 0.0) for rig in held), default=now_s) + FIGURE_AGAIN_S
        left_s = self._timers["beat"].left_s(now_s)
        return min(left_s, max(0.0, due_s - now_s)) if held else left_s

    def turn(self, inbound: list[Inbound], now_s: float) -> None:
        """Take messages, then let time pass: one turn of the thread, which must not run beside it."""
        if self._lane is not None:
            self._look_ahead(self._lane, len(inbound), now_s)
        before, self._watched = self._watched, self._feed.watched()
        self._urgency.watch(self._watched)
        if inbound:
            self._handle(inbound)
        self._show_at_once(self._watched - before)
        self._tick(now_s)

    def _look_ahead(self, lane: FreshLane, taken: int, now_s: float) -> None:
        """Show the newest samples while those the broker kept for us are still being taken in."""
        connects = self._link.stats.connects
        if connects != self._connects:
            self._connects = connects
            lane.open(now_s)
        self._fresh.update(lane.turn(taken if self._link.connected else -1, now_s))
        self._publish_fresh(now_s)

    def _handle(self, inbound: list[Inbound]) -> None:
        """Hand a batch of messages to the journal, which acknowledges them once stored, and to the page."""
        commands, inbound = self._commands.take(inbound)
        if commands:
            self._committer.submit(Batch(), partial(self._acknowledge, commands))
        try:
            intake = self._ingest.take(inbound)
        except Exception:
            log.exception("a batch of %d messages failed; they are taken one by one", len(inbound))
            self._handle_singly(inbound)
            return
        self._submit(inbound, intake)

    def _handle_singly(self, inbound: list[Inbound]) -> None:
        """Take messages one by one from what the journal knows; put aside the one that cannot be taken."""
        self._restart_ingest()
        for message in inbound:
            try:
                intake = self._ingest.take([message])
            except Exception as error:
                log.exception("a message on %s could not be taken in and is put aside", message.topic)
                self._restart_ingest()
                intake = self._ingest.refuse(message, f"could not be taken in: {error!r}")
            self._submit([message], intake)

    def _restart_ingest(self) -> None:
        """Go back to what is on the disk; what was handed in before must be there first."""
        while not self._committer.flush(1.0):
            if self._stopping.is_set():
                return
        self._ingest.restart()

    def _submit(self, inbound: list[Inbound], intake: Intake) -> None:
        """To the journal first, so that an error on the way to the page cannot cost a sample."""
        if intake.samples:
            self._service.note_late(intake.samples, intake.batch, self._utc_us())
        stored = partial(self._stored, inbound, intake.uptos)
        self._committer.submit(intake.batch, stored, hurry=self._link.sends_few)
        try:
            self._show(intake.samples, self._hurried(inbound))
            self._service.node_replies(intake.replies)
            if intake.abouts_changed:
                self._service.nodes_changed(self._utc_us())
        except Exception:
            log.exception("the samples are stored, but the live figure could not be made of them")

    def _hurried(self, inbound: list[Inbound]) -> set[str]:
        """Name the rigs that are to be evaluated at once."""
        found: set[str] = set()
        for message in inbound:
            if message.hurries is None:
                found.update(self._urgency.judge(message.topic, message.payload, message.utc_us).rigs)
            elif message.hurries:
                found.update(message.hurries)
        return found

    def _stored(self, inbound: list[Inbound], uptos: dict[tuple[str, int], int]) -> None:
        """Acknowledge what is on the disk. Runs in the journal's thread, in the order of the batches."""
        self._committed.update(uptos)
        self._link.ack(inbound)

    def _acknowledge(self, commands: list[Inbound]) -> None:
        self._link.ack(commands)

    def _show(self, samples: list[NodeSamples], hurried: set[str]) -> None:
        """Hold samples for their rigs; evaluate those that are hurried, have many, or must not wait."""
        found: dict[str, list[NodeSamples]] = {}
        for each in samples:
            for rig in self._rigs_of.get(each.node, ()):
                found.setdefault(rig.name, []).append(each)
        now_us = self._utc_us()
        for name, mine in found.items():
            if self._service.hold(name, mine, now_us) or name in hurried:
                self._evaluate(name, now_us)
        self._publish_fresh(time.monotonic())

    def _evaluate(self, rig: str, now_us: int) -> None:
        """Evaluate what is held of a rig."""
        taken = self._service.look(rig, now_us)
        if taken:
            self.samples_evaluated += taken
            self._fresh.add(rig)
            self._urgency.say(rig, self._service.spans(rig))

    def _publish_fresh(self, now_s: float) -> None:
        """Publish the figures of watched rigs with new samples, where the last one is FIGURE_AGAIN_S old."""
        for rig in self._rigs:
            every_s = FIGURE_AGAIN_S if rig.name in self._watched else UNWATCHED_EVERY_S
            if rig.name in self._fresh and now_s - self._published_s.get(rig.name, 0.0) >= every_s:
                self._publish_figure(rig)

    def _show_at_once(self, names: frozenset[str]) -> None:
        """Publish the figures of rigs somebody begins to look at."""
        for rig in self._rigs:
            if rig.name in names:
                self._publish_figure(rig)

    def _publish_all(self, now_s: float) -> None:
        """Publish figures without samples too: their age is news."""
        for rig in self._rigs:
            watched = rig.name in self._watched
            if rig.held and not watched:
                continue  # it will be evaluated before long
            every_s = FIGURE_EVERY_S if watched else UNWATCHED_EVERY_S
            if now_s - self._published_s.get(rig.name, 0.0) >= every_s:
                self._publish_figure(rig)

    def _publish_figure(self, rig: LiveRig) -> None:
        now_us = self._utc_us()
        self._evaluate(rig.name, now_us)
        self._fresh.discard(rig.name)
        self._published_s[rig.name] = time.monotonic()
        envelope = rig.envelope(now_us, self._ingest.nodes) | self._service.page(rig.name, now_us)
        if self._lane is not None:
            envelope = self._lane.shown(envelope, now_us, self._published_s[rig.name])
        self._feed.publish(envelope)

    def _tick(self, now_s: float) -> None:
        due = {name for name, timer in self._timers.items() if timer.due(now_s)}
        now_us = self._utc_us()
        asked = self._service.desk.waiting
        for rig in self._rigs:
            if asked or ("beat" in due and self._service.is_ripe(rig.name, now_us)):
                self._evaluate(rig.name, now_us)
        self._service.tick(now_us)
        self._service.work(self._committer.submit, now_us)
        for rig in self._rigs if asked else ():
            self._urgency.say(rig.name, self._service.spans(rig.name))
        self._publish_fresh(now_s)
        if "figure" in due:
            self._publish_all(now_s)
        if self._link.connected:
            displays = self._displays() if "display" in due else []
            self._send(displays + (self._newly_committed() if "committed" in due else []))
        if "account" in due:
            self._account()
        if "settle" in due:
            batch = self._ingest.settle_idle(time.monotonic_ns() // 1000)
            if batch:
                self._committer.submit(batch)

    def _newly_committed(self) -> list[Outgoing]:
        """Return what tells each node that is there how far it is stored."""
        found: list[Outgoing] = []
        for node in self._ingest.nodes.values():
            if node.boot is None or node.state in ("lost", "offline"):
                continue
            upto = self._committed.get((node.name, node.boot), -1)
            topic = topics.build(self._studio, node.name, topics.Kind.COMMITTED)
            found.append((topic, encode(Committed(node.boot, upto)), 1, True))
        return found

    def _displays(self) -> list[Outgoing]:
        """Return what each node is to show."""
        now_us, server = self._utc_us(), self._feed.server_id
        found: list[Outgoing] = []
        for rig in self._rigs:
            payload = encode(self._service.display(rig, server, now_us))
            found += [(topic, payload, 0, False) for topic in self._lights[rig.name]]
        return found

    def _send(self, messages: list[Outgoing]) -> None:
        try:
            self._link.publish_many(messages)
        except NotConnectedError:
            return  # said again at the next turn

    def _account(self) -> None:
        """Publish the account once all it counts is on the disk."""
        summary = self._ingest.accounting.summary()
        self._committer.submit(Batch(), partial(self._set_summary, summary))

    def _set_summary(self, summary: Summary) -> None:
        self.summary = summary


def subscriptions(studio: str) -> list[tuple[str, int]]:
    """Return the topic filters and their QoS: what a node says to its host, and commands for sessions."""
    volatile: tuple[Any, ...] = (topics.Kind.WEIGHT, topics.Kind.HEALTH)
    commands = (topics.session_subscription(studio), 1)
    from_nodes = [
        (topics.subscription(studio, kind), 0 if kind in volatile else 1) for kind in topics.FROM_NODE
    ]
    return [commands, *from_nodes]
