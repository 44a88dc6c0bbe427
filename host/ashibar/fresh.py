"""The newest figure while the broker still hands out what came before: a lane beside the record.

A second, volatile subscription gives each rig's samples as they are taken. They go to the page only: into no
journal, no account and no alarm. As soon as the record itself is fresh again its own figure is shown.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from ashibar.boots import FrameArrays, stretches
from ashibar.core import messages as wire
from ashibar.core import timefit, topics
from ashibar.core.frame import FLAG_BACKLOG, decode_many
from ashibar.core.glance import is_stale
from ashibar.ingest import by_boot
from ashibar.io.mqtt import Link
from ashibar.live import LiveRig

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ashibar.core.figure import Figure
    from ashibar.core.track import NodeSamples
    from ashibar.ingest import Ingest
    from ashibar.io.mqtt import Inbound, MqttOptions

log = logging.getLogger(__name__)

MOST_AT_ONCE: Final = 500  # messages; four nodes send 54 a second
RECORD_BATCH: Final = (
    1000  # messages the record takes at once meanwhile: the figure waits no longer than that
)
MANY: Final = 100  # messages taken at once: a queue is being handed out
REST_S: Final = 2.0  # the record is level with the nodes for so long: the lane ends
CATCHING_UP: Final = "catching up"
REASON: Final = "The host was away and still takes in what was measured meanwhile."
REMEDY: Final = "Wait some seconds. The display comes back by itself."


@dataclass(slots=True)
class _Stream:
    """The boot a node is in now, its time map as far as the lane has followed it, and its newest frame."""

    boot: int
    fit: timefit.TimeFit | None
    seq: int = -1
    newest: int | None = None


class FreshLane:
    """Opened when the record may be behind, closed once it is not. One thread, the pipeline's."""

    def __init__(
        self,
        studio: str,
        ingest: Ingest,
        rigs: Sequence[LiveRig],
        make_link: Callable[[list[tuple[str, int]]], Link],
    ) -> None:
        self._subscriptions = [
            (topics.subscription(studio, kind), 0) for kind in (topics.Kind.SAMPLES, topics.Kind.ABOUT)
        ]
        self._ingest = ingest
        self._records = {rig.name: rig for rig in rigs}
        self._make_link = make_link
        self._link: Link | None = None
        self._needed_s = 0.0
        self._begin()

    def _begin(self) -> None:
        """Forget everything; nothing shown later rests on an earlier opening."""
        self._streams: dict[str, _Stream] = {}
        self._abouts: dict[str, wire.About] = {}
        self._rigs = {name: LiveRig(name, rig.wanted) for name, rig in self._records.items()}

    @property
    def is_open(self) -> bool:
        """Whether the lane is listening."""
        return self._link is not None

    def open(self, now_s: float) -> None:
        """Begin to listen, unless it does already."""
        self._needed_s = now_s
        if self._link is None:
            self._begin()
            self._link = self._make_link(self._subscriptions)
            self._link.start()

    def wait_listening(self, timeout_s: float) -> None:
        """Wait until the broker sends what comes from now on, at most so long; from any thread."""
        link = self._link
        if link is not None:
            link.wait_connected(timeout_s)

    def close(self) -> None:
        """End; returns at once."""
        link, self._link = self._link, None
        if link is not None:
            threading.Thread(target=link.stop, name="fresh-lane-end", daemon=True).start()

    def turn(self, taken: int, now_s: float) -> list[str]:
        """Evaluate what came, and name the rigs it was of.

        `taken` are the messages the record has just got; many, or -1 for no connection, keep the lane open.
        """
        if self._link is None:
            return []
        if taken < 0 or taken >= MANY:
            self._needed_s = now_s
        if now_s - self._needed_s > REST_S:
            self.close()
            return []
        try:
            return self._take(self._link.receive(MOST_AT_ONCE, 0.0))
        except Exception:
            log.exception("the figure waits for the record: the newest samples could not be evaluated")
            self.close()
            return []

    def shown(self, envelope: dict[str, Any], now_us: int, now_s: float) -> dict[str, Any]:
        """Return what the page gets: the record's envelope, or with the newest figure where that is behind.

        Where something might have changed that the record has not come to yet, there is no number, but words.
        """
        if self._link is None or _is_fresh(envelope["figure"]):
            return envelope
        rig = self._rigs[envelope["rig"]]
        newest = rig.envelope(now_us, {})
        if not _is_fresh(newest["figure"]):
            return envelope
        self._needed_s = now_s
        envelope |= {"alarm_level": CATCHING_UP, "alarms": _alarms(envelope.get("alarms", []))}
        if not all(self._is_known(node) for node in rig.params.nodes):
            words = msgspec.structs.replace(envelope["figure"], reason=REASON, remedy=REMEDY)
            return envelope | {"figure": words, "trend": []}
        figure = msgspec.structs.replace(newest["figure"], peak=None)  # the record knows the greatest
        return envelope | {"figure": figure, "trend": newest["trend"], "newest": self._newest(rig)}

    def _take(self, messages: Sequence[Inbound]) -> list[str]:
        frames: list[Inbound] = []
        for message in messages:
            try:
                topic = topics.parse(message.topic)
            except topics.TopicError:
                continue  # the record says what is wrong with it
            if topic.kind is topics.Kind.SAMPLES:
                frames.append(message)
            elif topic.kind is topics.Kind.ABOUT:
                self._take_about(topic.node, message.payload)
        samples = self._samples(frames)
        return [name for name, rig in self._rigs.items() if self._evaluate(name, rig, samples)]

    def _take_about(self, node: str, payload: bytes) -> None:
        try:
            self._abouts[node] = wire.decode_as(wire.About, payload)
        except wire.MessageError:
            self._abouts.pop(node, None)

    def _samples(self, frames: Sequence[Inbound]) -> list[NodeSamples]:
        decoded = decode_many([message.payload for message in frames])
        if not len(decoded.headers):
            return []
        arrays = FrameArrays.of(decoded, frames)
        found: list[NodeSamples] = []
        for node, boot, rows in by_boot(decoded, frames):
            found += self._stamped(node, boot, arrays.chosen(rows))
        return found

    def _stamped(self, node: str, boot: int, frames: FrameArrays) -> list[NodeSamples]:
        """Return the new samples of live frames; a backlog says nothing about now."""
        known = self._ingest.nodes.get(node)
        if known is None:
            return []
        stream = self._streams.get(node)
        if stream is None or stream.boot != boot:
            stream = self._streams[node] = _Stream(boot, self._ingest.fit_of(node, boot))
        new = frames.chosen((frames.flags & FLAG_BACKLOG == 0) & (frames.seq > stream.seq))
        if not len(new):
            return []
        live = np.ones(len(new), np.bool_)
        fit = timefit.observe_many(stream.fit, new.last_us, new.arrival_us, new.mono_us, live)
        stream.fit, stream.seq = fit, int(new.seq.max())
        stream.newest = int((new.sample_index + new.samples).max()) - 1
        utc_us = timefit.stamp(fit, np.stack([new.first_us, new.last_us]))
        return stretches(new, utc_us, known.usable(boot), (node, boot))

    def _evaluate(self, name: str, rig: LiveRig, samples: list[NodeSamples]) -> bool:
        wanted = self._records[name].wanted
        if rig.params is not wanted:  # a session, a weight, a zero, a calibration
            rig = self._rigs[name] = LiveRig(name, wanted)
        return rig.take(samples)

    def _is_known(self, node: str) -> bool:
        """Tell whether the record knows what the node says of itself now: calibration and zeros."""
        said, known = self._abouts.get(node), self._ingest.nodes.get(node)
        stream = self._streams.get(node)
        if said is None or known is None or known.about is None or stream is None:
            return False
        zero = said.zeros.session
        if zero is not None and zero.unix_s is None and said.boot != known.about.boot:
            return False
        same = (said.calibration, said.zeros) == (known.about.calibration, known.about.zeros)
        return same and said.boot == stream.boot

    def _newest(self, rig: LiveRig) -> dict[str, dict[str, int | None]]:
        streams = {node: self._streams[node] for node in rig.params.nodes if node in self._streams}
        return {node: {"boot": each.boot, "index": each.newest} for node, each in streams.items()}


def fresh_lane(
    studio: str, options: MqttOptions, ingest: Ingest, rigs: Sequence[LiveRig], record: Link
) -> FreshLane:
    """Return the lane of a daemon: its own client id, a session that ends with the connection.

    What comes wakes whoever waits for the messages of `record`.
    """
    own = replace(options, client_id=f"{options.client_id}-fresh", persistent=False)
    return FreshLane(studio, ingest, rigs, lambda wanted: Link(own, wanted, arrived=record.wake))


def _is_fresh(figure: Figure) -> bool:
    return not is_stale(figure.age_s)


def _alarms(listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the alarms of a page as far as they are known: those of the signal are at what lies behind."""
    return [
        each | ({"note": CATCHING_UP} if each["state"] == "error" else {})
        for each in listed
        if each["key"] != "no-data"
    ]
