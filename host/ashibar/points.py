"""Stored frames to the points of InfluxDB: every sample of the record is one line, the same line each time.

What a line says depends on the samples around its own, so these are read with it, however the frames are cut
into batches. Frames are ready once what follows them can no longer change them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ashibar.calibrations import Calibrations, calibrations_of
from ashibar.core.align import HOLD_US
from ashibar.core.evaluate import KEEP_US
from ashibar.core.motion import RECENT_US
from ashibar.core.spikes import LAG, NEAR_US
from ashibar.io.journal.frames import Stamped
from ashibar.point_lines import Chosen, Sessions, rig_lines, rig_results
from ashibar.replay import source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ashibar.core.evaluate import Evaluation
    from ashibar.core.replay_signal import InForce
    from ashibar.core.rig import RigParameters
    from ashibar.io.journal import Reader, StoredFrame

# Frames on both sides of a batch, by id: four seconds of each node, of eight nodes at least. Where they are
# not enough, the record is searched by time instead, for each rig anew.
AROUND_FRAMES: Final = 32
LEAST_NODES: Final = 8
SETTLE_US: Final = 2_000_000  # so long a frame waits for what follows it, or for the other nodes of its rig
LATE_US: Final = 1_000_000  # a frame that came so much later than its neighbours may find them written
BACK_US: Final = LAG * NEAR_US + HOLD_US  # samples so much earlier may depend on a sample
SLACK_US: Final = 1_000_000  # frames of one commit are not stored in the order they came
SLICE_US: Final = 60_000_000  # of a span that is written again


ByNode = dict[int, list["StoredFrame"]]  # by the node's number


class Ready(NamedTuple):
    """Lines of frames that are ready, the id of the last of these, their number and that of their samples."""

    lines: bytes
    last_id: int
    frames: int
    samples: int


@dataclass(slots=True)
class _Rig:
    """What is needed of one rig's record."""

    history: list[InForce]
    nodes: frozenset[str] = frozenset()
    margin_us: int = 0

    def __post_init__(self) -> None:
        self.nodes = frozenset(node for each in self.history for node in each.params.nodes)
        window_us = max(round(each.params.motion_window_s * 1e6) for each in self.history)
        self.margin_us = max(KEEP_US, window_us + RECENT_US) + BACK_US


@dataclass(slots=True)
class _Work:
    """Frames of one rig close together in time: those to write and all that count for them."""

    rig: str
    chosen: list[StoredFrame]
    around: list[StoredFrame] = field(default_factory=list)


class Points:
    """The converter of a sink; one thread. `rigs` none: all on record."""

    def __init__(self, studio: str, rigs: Sequence[str] = ()) -> None:
        self._studio = studio
        self._only = tuple(rigs)
        self._known: tuple[int, ...] = ()
        self._waits = _Waits()
        self._rigs: dict[str, _Rig] = {}
        self._names: dict[int, str] = {}
        self._calibrations = Calibrations({})

    def __call__(self, frames: Sequence[StoredFrame], reader: Reader) -> bytes:
        """Return the lines of `frames`, one a sample and rig, computed with what is stored around them."""
        with reader.frames.snapshot():
            self._look_up(reader)
            return b"".join(self._lines(work, reader) for work in self._works(frames, reader))

    def evaluations(
        self,
        frames: Sequence[StoredFrame],
        reader: Reader,
        only: str | None = None,
        around: Around | None = None,
    ) -> Iterator[tuple[str, RigParameters, Evaluation]]:
        """Yield rig, parameters and results of `frames`: the values every sink writes; of one rig `only`.

        What is `around` them is read where it is not at hand.
        """
        with reader.frames.snapshot():
            self._look_up(reader)
            works = list(self._works(frames, reader, around, only=only))
        for work in works:
            samples = source.node_samples(_stamped(work.around), self._names, self._calibrations)
            history = self._rigs[work.rig].history
            for params, result in rig_results(samples, self._choice(work.chosen), history):
                yield work.rig, params, result

    def around(self, reader: Reader, after: int, count: int, beside: int = AROUND_FRAMES) -> Around:
        """Read the frames behind an id, and `beside` for each node before and behind those."""
        self._look_up(reader)
        return Around.of(reader, after, count, beside * max(LEAST_NODES, len(self._names)))

    def of_time(self, reader: Reader, around: Around, from_us: int, to_us: int) -> list[StoredFrame]:
        """Return what `frames_between` gives of a span, without reading where it is at hand."""
        if not around.holds(from_us, to_us, self._names):
            return list(reader.frames_between(from_us, to_us))
        inside = (f for f in around.frames if f.row.utc_us < to_us and f.row.utc_last_us >= from_us)
        return sorted(inside, key=lambda frame: (frame.row.utc_us, frame.id))

    def ready(  # noqa: PLR0917 (as the sink calls it)
        self, reader: Reader, after: int, upto: int, limit: int, now_us: int, mono_us: int
    ) -> Ready | None:
        """Return the lines of the next frames with ids in (after, upto] that are ready, None for none.

        With them come those of earlier frames that a frame come late changes. `now_us` is Unix microseconds,
        `mono_us` a clock that nobody sets.
        """
        with reader.frames.snapshot():
            self._look_up(reader)
            around = self.around(reader, after, limit)
            next_ones = [frame for frame in around.frames if after < frame.id <= upto][:limit]
            waited = self._waits.upto(reader.highest_frame_id(), mono_us)
            frames = self._ready_ones(next_ones, around, now_us, waited)
            if not frames:
                return None
            works = list(self._works(frames, reader, around))
            for work in works:
                work.chosen += _changed_by(work, frames[0].id, self._rigs[work.rig].margin_us)
            lines = b"".join(self._lines(work, reader) for work in works)
        return Ready(lines, frames[-1].id, len(frames), sum(frame.row.samples for frame in frames))

    def of_span(
        self, reader: Reader, from_us: int, to_us: int, rig: str | None = None, begun_us: int | None = None
    ) -> Iterator[tuple[int, bytes]]:
        """Yield the lines of all samples stored of a span, in slices of time, each with where it ends.

        Frames count by their first sample; the one under way at the beginning comes with them, unless the
        span goes on from one that began earlier, at `begun_us`.
        """
        whole_us = from_us if begun_us is None else begun_us
        at_us: int | None = from_us
        while at_us is not None and at_us < to_us:
            end_us = min(at_us + SLICE_US, to_us)
            with reader.frames.snapshot():
                self._look_up(reader)
                frames = [
                    frame
                    for frame in reader.frames_between(at_us, end_us)
                    if frame.row.utc_us >= at_us or at_us == whole_us
                ]
                works = self._works(frames, reader, NOTHING)
                lines = b"".join(self._lines(work, reader) for work in works if rig in (None, work.rig))
                next_us = end_us if frames else _next_us(reader, end_us)
            yield end_us if next_us is None else min(next_us, to_us), lines
            at_us = next_us

    def _look_up(self, reader: Reader) -> None:
        """Read parameters, calibrations and nodes anew where there are new ones."""
        known = reader.connection.execute(
            "SELECT (SELECT coalesce(max(id), 0) FROM parameters), (SELECT count(*) FROM calibrations),"
            " (SELECT count(*) FROM nodes), (SELECT coalesce(max(id), 0) FROM calibration_corrections),"
            " (SELECT coalesce(max(id), 0) FROM events)"  # one of them may refuse a calibration
        ).fetchone()
        if known == self._known:
            return
        rigs = source.rigs(reader)
        chosen = [rig for rig in rigs if rig in self._only] if self._only else rigs
        self._rigs = {rig: _Rig(source.history(reader, rig)) for rig in chosen}
        self._names = {number: name for number, name, _, _ in reader.nodes()}
        self._calibrations = calibrations_of(reader)
        self._known = known

    def _numbers(self, rig: _Rig) -> list[int]:
        """Return the nodes of a rig by their numbers in the journal."""
        return [number for number, name in self._names.items() if name in rig.nodes]

    def _of_rig(self, frames: ByNode, rig: _Rig) -> list[StoredFrame]:
        """Return the frames of a rig in order of time."""
        found = [frame for number in self._numbers(rig) for frame in frames.get(number, ())]
        return sorted(found, key=lambda frame: (frame.row.utc_us, frame.id))

    def _ready_ones(
        self, frames: list[StoredFrame], around: Around, now_us: int, waited: int
    ) -> list[StoredFrame]:
        """Return the frames up to the first one that may yet change; those up to `waited` cannot."""
        limits: dict[int, _Final] = {}
        for rig in self._rigs.values():
            mine = self._of_rig(around.by_node, rig)
            for node in {frame.row.node for frame in mine}:
                final = _final(mine, node, now_us)
                limits[node] = final if node not in limits else limits[node].and_also(final)
        for count, frame in enumerate(frames):
            final = limits.get(frame.row.node, SETTLED)
            if frame.id > waited and (frame.row.utc_last_us > final.until_us or frame.id > final.until_id):
                return frames[:count]
        return frames

    def _works(
        self,
        frames: Sequence[StoredFrame],
        reader: Reader,
        around: Around | None = None,
        *,
        only: str | None = None,
    ) -> Iterator[_Work]:
        """Yield the frames rig by rig in clusters, each with all that counts for it."""
        if not frames:
            return
        if around is None:
            around = self._neighbours(frames, reader)
        apart = _by_node(frames)
        for name, rig in self._rigs.items():
            if only not in (None, name):
                continue
            cluster: list[StoredFrame] = []
            end_us = 0
            for frame in self._of_rig(apart, rig):
                if cluster and frame.row.utc_us > end_us + 2 * rig.margin_us:
                    yield self._work(name, cluster, reader, around)
                    cluster = []
                cluster.append(frame)
                end_us = max(end_us, frame.row.utc_last_us)
            if cluster:
                yield self._work(name, cluster, reader, around)

    def _work(self, name: str, cluster: list[StoredFrame], reader: Reader, around: Around) -> _Work:
        rig = self._rigs[name]
        from_us = cluster[0].row.utc_us - rig.margin_us
        to_us = max(frame.row.utc_last_us for frame in cluster) + rig.margin_us
        if around.holds(from_us, to_us, self._numbers(rig)):
            mine = self._of_rig(around.by_node, rig)
            near = [f for f in mine if f.row.utc_last_us >= from_us and f.row.utc_us < to_us]
        else:
            near = self._of_rig(_by_node(reader.frames_between(from_us, to_us)), rig)
        return _Work(name, list(cluster), near)

    def _neighbours(self, frames: Sequence[StoredFrame], reader: Reader) -> Around:
        """Return frames with ids around those of a batch; none where the batch is no stretch of ids."""
        low, high = min(frame.id for frame in frames), max(frame.id for frame in frames)
        if high - low > 2 * len(frames) + AROUND_FRAMES:
            return NOTHING
        return self.around(reader, low - 1, high - low + 1)

    def _choice(self, frames: Iterable[StoredFrame]) -> Chosen:
        chosen = Chosen()
        for frame in frames:
            row = frame.row
            chosen.add(self._names[row.node], row.boot, row.sample_index, row.samples)
        return chosen

    def _lines(self, work: _Work, reader: Reader) -> bytes:
        samples = source.node_samples(_stamped(work.around), self._names, self._calibrations)
        tags = {"studio": self._studio, "rig": work.rig}
        from_us = min(frame.row.utc_us for frame in work.chosen)
        to_us = max(frame.row.utc_last_us for frame in work.chosen)
        sessions = sessions_of(reader, work.rig, from_us, to_us)
        return rig_lines(tags, samples, self._choice(work.chosen), self._rigs[work.rig].history, sessions)


def _stamped(frames: Sequence[StoredFrame]) -> Stamped:
    """Return frames as columns."""
    rows = [frame.row for frame in frames]
    table = np.array(
        [(row.node, row.boot, row.seq, row.utc_us, row.utc_last_us) for row in rows], np.int64
    ).reshape(-1, 5)
    node, boot, seq, utc_us, utc_last_us = table.T
    return Stamped(node, boot, seq, utc_us, utc_last_us, [row.payload for row in rows])


def sessions_of(reader: Reader, rig: str, from_us: int, to_us: int) -> Sessions:
    """Return the sessions of a rig that touch a span; one that runs has no end."""
    never = np.iinfo(np.int64).max
    rows = reader.connection.execute(
        "SELECT started_us, coalesce(ended_us, ?), id FROM sessions"
        " WHERE rig = ? AND started_us <= ? AND coalesce(ended_us, ?) >= ? ORDER BY started_us",
        (int(never), rig, to_us, int(never), from_us),
    ).fetchall()
    starts, ends, ids = zip(*rows, strict=True) if rows else ((), (), ())
    return Sessions(np.array(starts, np.int64), np.array(ends, np.int64), tuple(ids))


class _Waits:
    """Which frames have waited for `SETTLE_US`, by a clock that nobody sets."""

    def __init__(self) -> None:
        self._seen: deque[tuple[int, int]] = deque()  # when, and the highest id then
        self._waited = 0

    def upto(self, highest: int, mono_us: int) -> int:
        """Return the highest id that was there `SETTLE_US` ago; `highest` is there now."""
        if not self._seen or highest > self._seen[-1][1]:
            self._seen.append((mono_us, highest))
        while self._seen and self._seen[0][0] <= mono_us - SETTLE_US:
            self._waited = self._seen.popleft()[1]
        return self._waited


class _Final(NamedTuple):
    """Frames of a node up to this time and id cannot be changed by what follows in order."""

    until_us: float
    until_id: float

    def and_also(self, other: _Final) -> _Final:
        return _Final(min(self.until_us, other.until_us), min(self.until_id, other.until_id))


SETTLED: Final = _Final(np.inf, np.inf)


def _final(frames: Sequence[StoredFrame], node: int, now_us: int) -> _Final:
    """Return what is final of a node; `frames` are those of its rig, in order of time.

    A node is waited for until another is `SETTLE_US` ahead, and all together until nothing has come for so
    long. Samples behind a frame count in the order they were stored: a clock set back puts them before it.
    """
    if now_us - max(frame.row.received_us for frame in frames) > SETTLE_US:
        return SETTLED
    newest_us = max(frame.row.utc_last_us for frame in frames)
    nodes = {frame.row.node for frame in frames}
    until_us = min(max(_decided(frames, each)[0], newest_us - SETTLE_US) for each in nodes)
    return _Final(until_us, _decided(frames, node)[1])


def _decided(frames: Sequence[StoredFrame], node: int) -> tuple[float, float]:
    """Return end and id of a node's last frame with enough samples stored behind it to rule out a spike."""
    after = 0
    for frame in sorted((f for f in frames if f.row.node == node), key=lambda f: f.id, reverse=True):
        if after >= LAG:
            return frame.row.utc_last_us, frame.id
        after += frame.row.samples
    return -np.inf, -np.inf


class Around(NamedTuple):
    """Frames in a row by id, and whether they are the first and the last of all."""

    frames: Sequence[StoredFrame]
    by_node: ByNode
    is_first: bool
    is_last: bool

    @staticmethod
    def of(reader: Reader, after: int, count: int, beside: int) -> Around:
        """Read the frames behind an id, and so many `beside`, before and behind those."""
        begin = max(0, after - beside)
        frames = reader.frames_after(begin, after - begin + count + beside)
        last_id = frames[-1].id if frames else 0
        return Around(frames, _by_node(frames), begin == 0, last_id >= reader.highest_frame_id())

    def holds(self, from_us: int, to_us: int, nodes: Iterable[int]) -> bool:
        """Tell whether no frame of a span can be stored elsewhere: no sample is stamped after its arrival."""
        if not self.frames:
            return False
        if not self.is_first and not self.frames[0].row.received_us + SLACK_US < from_us:
            return False
        ends = (self.by_node.get(node, ()) for node in nodes)
        return self.is_last or all(any(frame.row.utc_us > to_us for frame in each) for each in ends)


NOTHING: Final = Around((), {}, is_first=False, is_last=False)


def _by_node(frames: Iterable[StoredFrame]) -> ByNode:
    found: ByNode = {}
    for frame in frames:
        found.setdefault(frame.row.node, []).append(frame)
    return found


def _changed_by(work: _Work, first_id: int, margin_us: int) -> list[StoredFrame]:
    """Return frames written before that the frames of this work change, for these came late."""
    new = work.chosen
    before = [frame for frame in work.around if frame.id < first_id]
    if not before:
        return []
    tops = {(f.row.node, f.row.boot): f.row.seq for f in sorted(before, key=lambda f: f.row.seq)}
    overtaken = any(f.row.seq < tops.get((f.row.node, f.row.boot), -1) for f in new)
    received_us = min(frame.row.received_us for frame in new)
    low_us = new[0].row.utc_us - BACK_US
    high_us = max(frame.row.utc_last_us for frame in new) + margin_us
    return [
        frame
        for frame in before
        if frame.row.utc_last_us >= low_us
        and frame.row.utc_us <= high_us
        and (overtaken or received_us - frame.row.received_us > LATE_US)
    ]


def _next_us(reader: Reader, at_us: int) -> int | None:
    """Return when the next frame at or after a time begins, None where there is none."""
    row = reader.connection.execute(
        "SELECT min(first) FROM (SELECT min(utc_us) AS first FROM frames"
        " WHERE utc_us >= ?1 AND fit IS NOT NULL"
        " UNION ALL SELECT min(max(first_us, ?1)) FROM blocks WHERE last_us >= ?1)",
        (at_us,),
    ).fetchone()
    return None if row[0] is None else int(row[0])
