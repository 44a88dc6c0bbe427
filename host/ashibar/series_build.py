"""Builds the pyramid from the frames behind its cursor, and builds a span anew after a correction.

It takes part in no decision: the same values as every sink, from the same converter.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Final

import numpy as np

from ashibar.core import pyramid
from ashibar.core.pyramid import COARSEST_S, LEVELS, US, Chunk, ChunkError
from ashibar.points import Points
from ashibar.series import CURSOR, FRAMES_AT_ONCE, in_steps

if TYPE_CHECKING:
    import sqlite3
    import threading
    from collections.abc import Callable, Iterable, Sequence

    from ashibar.core.evaluate import Evaluation
    from ashibar.core.rig import RigParameters
    from ashibar.io.journal import Committer, Reader, StoredFrame

DONE: Final = "series parameters"  # in `meta`: parameters up to this id are in the pyramid
REBUILD_US: Final = COARSEST_S * US  # every level's steps end on it: a span rebuilt leaves none half old

PUT: Final = "INSERT OR REPLACE INTO pyramid (rig, level_s, start_us, data) VALUES (?, ?, ?, ?)"

Key = tuple[str, int, int]


class SeriesBuilder:
    """Keeps the pyramid of all rigs; one thread."""

    def __init__(
        self, committer: Committer, studio: str, rigs: Sequence[str], utc_us: Callable[[], int]
    ) -> None:
        self._committer = committer
        self._points = Points(studio, rigs)
        self._rigs = tuple(rigs)
        self._utc_us = utc_us

    def build(self, reader: Reader, stopping: threading.Event) -> None:
        """Add what is new, then rebuild what a correction changed; both as far as `stopping` lets them."""
        while not stopping.is_set() and self._add(reader):
            pass
        self._correct(reader, stopping)

    def rebuild(self, reader: Reader, rig: str, from_us: int, to_us: int) -> None:
        """Make one rig's steps of a span anew from its frames, an hour a transaction.

        Hours of which retention took frames stay as they are: they could only get worse.
        """
        cursor = reader.cursor(CURSOR)
        gone = _shed_spans(reader)
        for start_us in _hours(reader, from_us, to_us):
            end_us = start_us + REBUILD_US
            if not any(first < end_us and last >= start_us for first, last in gone):
                self._rebuild_hour(reader, rig, start_us, cursor)

    def _add(self, reader: Reader) -> bool:
        """Add the next frames behind the cursor; False where there are few or none."""
        cursor = reader.cursor(CURSOR)
        frames = reader.frames_after(cursor, FRAMES_AT_ONCE)
        if not frames:
            return False
        deltas: dict[Key, Chunk] = {}
        for rig, params, result in self._points.evaluations(frames, reader):
            _collect(deltas, rig, params, result)
        rows = [(*key, _on_record(reader, key, delta)) for key, delta in deltas.items()]
        self._write(rows, cursor, frames[-1].id)
        return len(frames) == FRAMES_AT_ONCE

    def _write(self, rows: list[tuple[str, int, int, bytes]], before: int, cursor: int) -> None:
        now_us = self._utc_us()

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany(PUT, rows)
            connection.execute(
                "INSERT INTO cursors VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET frame_id = excluded.frame_id,"
                " moved_us = excluded.moved_us WHERE frame_id = ?",
                (CURSOR, cursor, now_us, before),
            )

        self._committer.between(lambda journal: journal.work(write))

    def _correct(self, reader: Reader, stopping: threading.Event) -> None:
        """Rebuild from where parameters came that are older than what the pyramid has."""
        done = _done(reader)
        for rig in self._rigs:
            changes = reader.parameters(rig)
            newest_us = _newest_us(reader, rig)
            for number, from_us, _ in changes:
                if number > done and from_us <= newest_us and not stopping.is_set():
                    later = [at_us for other, at_us, _ in changes if at_us > from_us and other < number]
                    self.rebuild(reader, rig, from_us, min(later, default=self._utc_us()))
        newest = max((number for rig in self._rigs for number, _, _ in reader.parameters(rig)), default=0)
        if newest > done and not stopping.is_set():
            sql = "INSERT OR REPLACE INTO meta VALUES (?, ?)"
            self._committer.between(
                lambda journal: journal.work(lambda connection: connection.execute(sql, (DONE, str(newest))))
            )

    def _rebuild_hour(self, reader: Reader, rig: str, start_us: int, cursor: int) -> None:
        end_us = start_us + REBUILD_US
        deltas: dict[Key, Chunk] = {}
        for batch in _batches(reader.frames_between(start_us, end_us), cursor):
            for name, params, result in self._points.evaluations(batch, reader):
                if name == rig:
                    _collect(deltas, rig, params, result, (start_us, end_us))
        keys = set(deltas)
        for level_s in LEVELS:
            length_us = level_s * LEVELS[level_s] * US
            first_us = pyramid.chunk_start_us(level_s, start_us)
            keys |= {(rig, level_s, at_us) for at_us in range(first_us, end_us, length_us)}
        rows = []
        for key in sorted(keys):
            old = _stored(reader, key)
            delta = deltas.get(key)
            if old is not None or delta is not None:
                rest = None if old is None else pyramid.without(old, start_us, end_us)
                parts = [part for part in (rest, delta) if part is not None]
                rows.append((*key, pyramid.to_bytes(reduce(pyramid.merged, parts))))
        self._write(rows, cursor, cursor)


def _collect(
    deltas: dict[Key, Chunk],
    rig: str,
    params: RigParameters,
    result: Evaluation,
    span_us: tuple[int, int] | None = None,
) -> None:
    """Add results to the chunks of every level, the finest from samples and each other from the one below."""
    if not len(result):
        return
    finest = min(LEVELS)
    first_us, last_us = (int(result.utc_us[0]), int(result.utc_us[-1]) + 1) if span_us is None else span_us
    length_us = LEVELS[finest] * finest * US
    low_us, high_us = max(first_us, int(result.utc_us[0])), min(last_us, int(result.utc_us[-1]) + 1)
    for start_us in range(pyramid.chunk_start_us(finest, low_us), high_us, length_us):
        fine = in_steps(params, result, finest * US, start_us, LEVELS[finest])
        if span_us is not None:
            fine = pyramid.without(pyramid.without(fine, 0, span_us[0]), span_us[1], 2**62)
        for level_s, buckets in LEVELS.items():
            for at_us in _starts(level_s, fine):
                part = fine if level_s == finest else pyramid.coarser(fine, level_s, at_us, buckets)
                key = (rig, level_s, at_us)
                deltas[key] = pyramid.merged(deltas[key], part) if key in deltas else part


def _starts(level_s: int, fine: Chunk) -> Iterable[int]:
    """Return where the chunks of a level begin that a finer chunk lies in."""
    length_us = level_s * LEVELS[level_s] * US
    return range(pyramid.chunk_start_us(level_s, fine.start_us), fine.end_us, length_us)


def _on_record(reader: Reader, key: Key, delta: Chunk) -> bytes:
    """Return the stored chunk together with what is new."""
    old = _stored(reader, key)
    return pyramid.to_bytes(delta if old is None else pyramid.merged(old, delta))


def _stored(reader: Reader, key: Key) -> Chunk | None:
    row = reader.connection.execute(
        "SELECT data FROM pyramid WHERE rig = ? AND level_s = ? AND start_us = ?", key
    ).fetchone()
    try:
        return None if row is None else pyramid.from_bytes(row[0], key[1], key[2])
    except ChunkError:
        return None  # `ashibar journal check` says so, and a rebuild makes it again


def _done(reader: Reader) -> int:
    row = reader.connection.execute("SELECT value FROM meta WHERE key = ?", (DONE,)).fetchone()
    return 0 if row is None else int(row[0])


def _newest_us(reader: Reader, rig: str) -> int:
    """Return the end of the newest second of a rig that has a sample, 0 for none."""
    finest = min(LEVELS)
    row = reader.connection.execute(
        "SELECT max(start_us) FROM pyramid WHERE rig = ? AND level_s = ?", (rig, finest)
    ).fetchone()
    chunk = None if row[0] is None else _stored(reader, (rig, finest, row[0]))
    if chunk is None:
        return 0
    last = int(np.flatnonzero(chunk.states.sum(axis=0))[-1])
    return chunk.start_us + (last + 1) * finest * US


def _shed_spans(reader: Reader) -> list[tuple[int, int]]:
    return reader.connection.execute("SELECT first_us, last_us FROM shed").fetchall()


def _hours(reader: Reader, from_us: int, to_us: int) -> list[int]:
    """Return the starts of the hours of a span that the pyramid has something of."""
    rows = reader.connection.execute(
        "SELECT DISTINCT start_us FROM pyramid WHERE level_s = 1 AND start_us BETWEEN ? AND ?",
        (from_us // REBUILD_US * REBUILD_US, to_us - 1),
    )
    return sorted({start_us // REBUILD_US * REBUILD_US for (start_us,) in rows})


def _batches(frames: Iterable[StoredFrame], cursor: int) -> Iterable[list[StoredFrame]]:
    batch: list[StoredFrame] = []
    for frame in frames:
        if frame.id <= cursor:
            batch.append(frame)
        if len(batch) == FRAMES_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch
