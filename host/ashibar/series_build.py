"""Builds the pyramid behind its cursor, and a span anew after a correction or when frames came late.

Whatever second a new frame touches is computed again as a whole, from all frames of it: so it does not matter
in which order, from how many nodes and how often they came.
"""

from __future__ import annotations

import time
from functools import reduce
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from ashibar.core import pyramid
from ashibar.core.pyramid import LEVELS, US, Chunk, ChunkError
from ashibar.points import Points
from ashibar.series import CURSOR, FRAMES_AT_ONCE, in_steps

if TYPE_CHECKING:
    import sqlite3
    import threading
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ashibar.io.journal import Committer, Reader, StoredFrame
    from ashibar.points import Around

DONE: Final = "series changes"  # in `meta`: parameters and calibration corrections up to these ids are in
FINEST_S: Final = min(LEVELS)
BESIDE_FRAMES: Final = 80  # of each node, ten seconds: the margin, and what counts for a sample
MARGIN_US: Final = US  # a sample may change what its neighbours mean: motion, spikes, the other nodes' cells
REBUILD_US: Final = 3600 * US  # of one transaction
PUT: Final = "INSERT OR REPLACE INTO pyramid (rig, level_s, start_us, data) VALUES (?, ?, ?, ?)"

Key = tuple[str, int, int]
Span = tuple[int, int]


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
        more = True
        while more and not stopping.is_set():
            began_s = time.monotonic()
            more = self._add(reader)
            if more:  # a queue is being taken in: that comes first
                stopping.wait(time.monotonic() - began_s)
        self._correct(reader, stopping)

    def rebuild(self, reader: Reader, rig: str, from_us: int, to_us: int) -> None:
        """Make one rig's steps of a span anew from its frames, an hour a transaction.

        Time of which retention took frames stays as it is: it could only get worse.
        """
        cursor = reader.cursor(CURSOR)
        for start_us in _hours(reader, from_us, to_us):
            span = (start_us, start_us + REBUILD_US)
            if not _shed(reader, span):
                chunks: dict[Key, Chunk] = {}
                fine = self._seconds(reader, span, reader.frames_between(*span), cursor, only=rig)
                self._renew(reader, rig, span, fine.get(rig, {}), chunks)
                self._write(chunks, cursor, cursor)

    def _add(self, reader: Reader) -> bool:
        """Add the next frames behind the cursor; False where there are few or none."""
        with reader.frames.snapshot():
            before = reader.cursor(CURSOR)
            around = self._points.around(reader, before, FRAMES_AT_ONCE, BESIDE_FRAMES)
            frames = [frame for frame in around.frames if frame.id > before][:FRAMES_AT_ONCE]
            if not frames:
                return False
            cursor = frames[-1].id
            chunks: dict[Key, Chunk] = {}
            for span in _touched(frames):
                added = _shed(reader, span)
                mine = frames if added else self._points.of_time(reader, around, *span)
                fine = self._seconds(reader, span, mine, cursor, around=around)
                for rig in self._rigs:
                    self._renew(reader, rig, span, fine.get(rig, {}), chunks, added=added)
        self._write(chunks, before, cursor)
        return len(frames) == FRAMES_AT_ONCE

    def _write(self, chunks: dict[Key, Chunk], before: int, cursor: int) -> None:
        finest = [chunk for chunk in chunks.values() if chunk.step_s == FINEST_S]
        newest_us = max(map(_end_us, finest), default=0)
        rows = [
            (*key, pyramid.to_bytes(chunk, grows=chunk.end_us > newest_us)) for key, chunk in chunks.items()
        ]
        now_us = self._utc_us()

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany(PUT, rows)
            connection.execute(
                "INSERT INTO cursors VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET"
                " frame_id = excluded.frame_id, moved_us = excluded.moved_us WHERE frame_id = ?",
                (CURSOR, cursor, now_us, before),
            )

        self._committer.between(lambda journal: journal.work(write))

    def _renew(
        self,
        reader: Reader,
        rig: str,
        span: Span,
        fine: Mapping[int, Chunk],
        chunks: dict[Key, Chunk],
        *,
        added: bool = False,
    ) -> None:
        """Put the finest chunks of a span, by their start, and what follows from them into `chunks`.

        They take the place of what is there, or are `added` to it.
        """
        for start_us in _grid(FINEST_S, span):
            old = _known(reader, chunks, (rig, FINEST_S, start_us))
            kept = old if added or old is None else pyramid.without(old, *span)
            _put(chunks, (rig, FINEST_S, start_us), [kept, fine.get(start_us)])
        for finer_s, level_s in pairwise(sorted(LEVELS)):
            step_us = level_s * US
            wide = (span[0] // step_us * step_us, -(-span[1] // step_us) * step_us)
            for start_us in _grid(level_s, wide):
                old = _known(reader, chunks, (rig, level_s, start_us))
                kept = None if old is None else pyramid.without(old, *wide)
                parts = _coarser(reader, chunks, (rig, level_s, start_us), finer_s, wide)
                _put(chunks, (rig, level_s, start_us), [kept, *parts])

    def _seconds(
        self,
        reader: Reader,
        span: Span,
        frames: Iterable[StoredFrame],
        cursor: int,
        *,
        only: str | None = None,
        around: Around | None = None,
    ) -> dict[str, dict[int, Chunk]]:
        """Return the finest chunks that the samples of a span make, by rig and their start."""
        rigs: dict[str, dict[int, Chunk]] = {}
        for batch in _batches(frames, cursor):
            for name, params, result in self._points.evaluations(batch, reader, only, around):
                if not len(result):
                    continue
                found = rigs.setdefault(name, {})
                first_us = max(span[0], int(result.utc_us[0]))
                for start_us in _grid(FINEST_S, (first_us, min(span[1], int(result.utc_us[-1]) + 1))):
                    chunk = in_steps(params, result, FINEST_S * US, start_us, LEVELS[FINEST_S])
                    chunk = pyramid.without(pyramid.without(chunk, 0, span[0]), span[1], chunk.end_us)
                    found[start_us] = pyramid.merged(found[start_us], chunk) if start_us in found else chunk
        return rigs

    def _correct(self, reader: Reader, stopping: threading.Event) -> None:
        """Rebuild from where parameters or calibrations came that are older than what the pyramid has."""
        done, now = _done(reader), _changes(reader)
        if done == now:
            return
        for rig in self._rigs:
            newest_us = _newest_us(reader, rig)
            for from_us, to_us in _changed_spans(reader, rig, done):
                if from_us <= newest_us and not stopping.is_set():
                    self.rebuild(reader, rig, from_us, min(to_us, newest_us))
        if not stopping.is_set():
            row = (DONE, f"{now[0]} {now[1]}")
            sql = "INSERT OR REPLACE INTO meta VALUES (?, ?)"
            self._committer.between(
                lambda journal: journal.work(lambda connection: connection.execute(sql, row))
            )


def _end_us(chunk: Chunk) -> int:
    """Return the end of the newest step with a sample."""
    held = np.flatnonzero(chunk.states.any(axis=0))
    return chunk.start_us + (int(held[-1]) + 1) * chunk.step_s * US if len(held) else 0


def _touched(frames: Sequence[StoredFrame]) -> list[Span]:
    """Return the whole seconds that frames touch, with a margin, as spans apart from each other."""
    found: list[Span] = []
    ends = sorted((min(each.row.utc_us, each.row.utc_last_us), each.row.utc_last_us) for each in frames)
    for first_us, last_us in ends:
        low, high = (first_us - MARGIN_US) // US * US, -(-(last_us + 1 + MARGIN_US) // US) * US
        if found and low <= found[-1][1]:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return found


def _grid(level_s: int, span: Span) -> Iterator[int]:
    """Yield the starts of the chunks of a level that a span lies in."""
    length_us = level_s * LEVELS[level_s] * US
    yield from range(pyramid.chunk_start_us(level_s, span[0]), span[1], length_us)


def _put(chunks: dict[Key, Chunk], key: Key, parts: Sequence[Chunk | None]) -> None:
    """Enter the parts of a chunk together, if there is any."""
    known = [part for part in parts if part is not None]
    if known:
        chunks[key] = reduce(pyramid.merged, known)


def _known(reader: Reader, chunks: dict[Key, Chunk], key: Key) -> Chunk | None:
    """Return a chunk as it will be, or as it is stored; one that is damaged is made anew."""
    if key in chunks:
        return chunks[key]
    row = reader.connection.execute(
        "SELECT data FROM pyramid WHERE rig = ? AND level_s = ? AND start_us = ?", key
    ).fetchone()
    try:
        return None if row is None else pyramid.from_bytes(row[0], key[1], key[2])
    except ChunkError:
        return None


def _coarser(reader: Reader, chunks: dict[Key, Chunk], key: Key, finer_s: int, span: Span) -> Iterator[Chunk]:
    """Yield the finer steps of a span in the steps of the chunk `key`."""
    rig, level_s, start_us = key
    inside = (max(span[0], start_us), min(span[1], start_us + level_s * LEVELS[level_s] * US))
    for at_us in _grid(finer_s, inside):
        finer = _known(reader, chunks, (rig, finer_s, at_us))
        if finer is not None:
            yield pyramid.coarser(pyramid.cut(finer, *inside), level_s, start_us, LEVELS[level_s])


def _changes(reader: Reader) -> tuple[int, int]:
    row = reader.connection.execute(
        "SELECT (SELECT coalesce(max(id), 0) FROM parameters),"
        " (SELECT coalesce(max(id), 0) FROM calibration_corrections)"
    ).fetchone()
    return int(row[0]), int(row[1])


def _done(reader: Reader) -> tuple[int, int]:
    row = reader.connection.execute("SELECT value FROM meta WHERE key = ?", (DONE,)).fetchone()
    first, second = (0, 0) if row is None else (int(each) for each in row[0].split())
    return first, second


def _changed_spans(reader: Reader, rig: str, done: tuple[int, int]) -> list[Span]:
    """Return the spans of a rig that parameters and calibrations entered since then have a say in."""
    far_us = 2**62
    changes = reader.parameters(rig)
    spans = [
        (from_us, min((at_us for _, at_us, _ in changes if at_us > from_us), default=far_us))
        for number, from_us, _ in changes
        if number > done[0]
    ]
    rows = reader.connection.execute(
        "SELECT k.received_us FROM calibration_corrections c JOIN calibrations k USING (node, calibration)"
        " WHERE c.id > ?",
        (done[1],),
    )
    # What was under way when the node said its calibration is older than that: a day's backlog at most.
    return spans + [(received_us - 86_400 * US, far_us) for (received_us,) in rows]


def _newest_us(reader: Reader, rig: str) -> int:
    """Return the end of the newest second of a rig that has a sample, 0 for none."""
    row = reader.connection.execute(
        "SELECT max(start_us) FROM pyramid WHERE rig = ? AND level_s = ?", (rig, FINEST_S)
    ).fetchone()
    chunk = None if row[0] is None else _known(reader, {}, (rig, FINEST_S, row[0]))
    return 0 if chunk is None else _end_us(chunk)


def _shed(reader: Reader, span: Span) -> bool:
    """Tell whether retention took frames of a span."""
    return bool(
        reader.connection.execute(
            "SELECT EXISTS (SELECT 1 FROM shed WHERE first_us < ? AND last_us >= ?)", (span[1], span[0])
        ).fetchone()[0]
    )


def _hours(reader: Reader, from_us: int, to_us: int) -> list[int]:
    """Return the starts of the hours of a span that the pyramid has something of."""
    rows = reader.connection.execute(
        "SELECT DISTINCT start_us FROM pyramid WHERE level_s = ? AND start_us BETWEEN ? AND ?",
        (FINEST_S, from_us // REBUILD_US * REBUILD_US, to_us),
    )
    return sorted({start_us // REBUILD_US * REBUILD_US for (start_us,) in rows})


def _batches(frames: Iterable[StoredFrame], cursor: int) -> Iterator[list[StoredFrame]]:
    batch: list[StoredFrame] = []
    for frame in frames:
        if frame.id <= cursor:
            batch.append(frame)
        if len(batch) == FRAMES_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch
