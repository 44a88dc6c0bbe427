"""One view of the frames of the journal, hot rows and packed blocks alike: by id, by sequence, by time.

It reads inside one transaction, so that a block that is being packed is seen once, as rows or as a block.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from ashibar.core.packing import COLUMNS, BlockError, Frames, unpack
from ashibar.io.journal.batch import FrameRow
from ashibar.io.journal.packed import MAX_ID_SPAN, MAX_SEQ_SPAN

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from numpy.typing import NDArray

FRAME_COLUMNS = (
    "id, node, boot, seq, sample_index, samples, cells, flags, device_us, utc_us, utc_last_us, fit,"
    " received_us, payload"
)
CACHED_BLOCKS: Final = 12  # unpacked, about 1 MB each: one for each node of a house and the ones that follow
TAIL_STEP: Final = 256  # frames; a rig on one node sends as many in half a minute
NO_LIMIT: Final = 2**63 - 1


class StoredFrame(NamedTuple):
    """A frame and the id it is stored under."""

    id: int
    row: FrameRow


class BlockInfo(NamedTuple):
    """A packed block without its content."""

    id: int
    node: int
    boot: int
    first_us: int


class Stamped(NamedTuple):
    """Frames as columns, in no order: int64 [K] each, and their payloads."""

    node: NDArray[np.int64]
    boot: NDArray[np.int64]
    seq: NDArray[np.int64]
    utc_us: NDArray[np.int64]
    utc_last_us: NDArray[np.int64]
    payloads: list[bytes]

    def chosen(self, which: NDArray[np.bool_]) -> Stamped:
        """Return the frames that `which` picks."""
        return self.at(which.nonzero()[0])

    def at(self, rows: NDArray[np.intp]) -> Stamped:
        """Return the frames at these rows."""
        payloads = [self.payloads[row] for row in rows.tolist()]
        node, boot, seq, utc_us, utc_last_us = (column[rows] for column in self[:5])
        return Stamped(node, boot, seq, utc_us, utc_last_us, payloads)

    @staticmethod
    def joined(parts: list[Stamped]) -> Stamped:
        """Return the frames of all parts."""
        columns = zip(*(part[:5] for part in parts), strict=True)
        node, boot, seq, utc_us, utc_last_us = (np.concatenate(column) for column in columns)
        payloads = [payload for part in parts for payload in part.payloads]
        return Stamped(node, boot, seq, utc_us, utc_last_us, payloads)


class FrameView:
    """Reads frames over a connection of one thread. `damaged` counts blocks that could not be read."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.damaged = 0
        self._connection = connection
        self._cache: OrderedDict[int, Frames] = OrderedDict()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """See one state of the journal throughout; may be nested."""
        if self._connection.in_transaction:
            yield
            return
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("COMMIT")

    def after(self, cursor: int, limit: int) -> list[StoredFrame]:
        """Return up to `limit` frames with ids above `cursor`, ascending, never past a provisional one."""
        found: list[StoredFrame] = []
        with self.snapshot():
            first = self._all("SELECT coalesce(min(id), ?) FROM frames WHERE fit IS NULL", NO_LIMIT)[0][0]
            while len(found) < limit:
                more = self._some_after(cursor, limit - len(found), first)
                if not more:
                    break
                found += more
                cursor = more[-1].id
        return found

    def _some_after(self, cursor: int, limit: int, before: int) -> list[StoredFrame]:
        """Return the frames up to the end of the next block, all of whose neighbours by id are at hand."""
        ends = self._all("SELECT min(last_id) FROM blocks WHERE last_id > ?", cursor)[0][0]
        upto = before - 1 if ends is None else min(ends, before - 1)
        hot = self._hot("id > ? AND id <= ? ORDER BY id LIMIT ?", cursor, upto, limit)
        if ends is None:
            return hot
        blocks = self._blocks(
            "last_id > ? AND last_id <= ? AND first_id <= ?", cursor, ends + MAX_ID_SPAN, upto
        )
        packed: list[StoredFrame] = []
        for block in blocks:
            frames = self._load(block)
            packed += _rows(block, frames, (frames.id > cursor) & (frames.id <= upto))
        return sorted(hot + packed)[:limit] if hot or packed else self._skip(ends, limit, before)

    def _skip(self, ends: int, limit: int, before: int) -> list[StoredFrame]:
        """Go on behind a block of which nothing could be read."""
        return self._some_after(ends, limit, before) if ends < before - 1 else []

    def of_boot(self, node: int, boot: int, first: int, last: int) -> list[StoredFrame]:
        """Return the frames of a boot with sequences `first` to `last`, in their order."""
        with self.snapshot():
            found = self._hot(
                "node = ? AND boot = ? AND seq BETWEEN ? AND ? ORDER BY seq", node, boot, first, last
            )
            blocks = self._blocks(
                "node = ? AND boot = ? AND first_seq BETWEEN ? AND ? AND last_seq >= ?",
                *(node, boot, first - MAX_SEQ_SPAN, last, first),
            )
            for block in blocks:
                frames = self._load(block)
                found += _rows(block, frames, (frames.seq >= first) & (frames.seq <= last))
        return sorted(found, key=lambda frame: frame.row.seq) if blocks else found

    def between(self, from_us: int, to_us: int) -> Iterator[StoredFrame]:
        """Yield the settled frames with samples in `from_us` <= time < `to_us`, by their first sample.

        What is there when the first is asked for; blocks are opened as their time comes.
        """
        with self.snapshot():
            hot = self._hot(
                "utc_us < ? AND utc_last_us >= ? AND fit IS NOT NULL ORDER BY utc_us, id", to_us, from_us
            )
            blocks = self._blocks("last_us >= ? AND first_us < ?", from_us, to_us)
        waiting = sorted(blocks, key=lambda block: block.first_us, reverse=True)
        heap: list[tuple[int, int, StoredFrame, Iterator[StoredFrame]]] = []
        _push(heap, iter(hot))
        while heap or waiting:
            while waiting and (not heap or waiting[-1].first_us <= heap[0][0]):
                block = waiting.pop()
                frames = self._load(block)
                rows = _rows(block, frames, (frames.utc_us < to_us) & (frames.utc_last_us >= from_us))
                _push(heap, iter(sorted(rows, key=lambda frame: (frame.row.utc_us, frame.id))))
            if heap:
                _, _, frame, rest = heapq.heappop(heap)
                yield frame
                _push(heap, rest)

    def stamped(self, from_us: int, to_us: int, step_us: int) -> Iterator[Stamped]:
        """Yield the same frames as `between`, in columns: those of each `step_us` of time together, in order.

        For whole days: it makes no object for a frame.
        """
        with self.snapshot():
            rows = self._all(
                "SELECT node, boot, seq, utc_us, utc_last_us, payload FROM frames"
                " WHERE utc_us < ? AND utc_last_us >= ? AND fit IS NOT NULL ORDER BY utc_us",
                to_us,
                from_us,
            )
            blocks = self._all(
                "SELECT id, node, boot, first_us, last_us FROM blocks WHERE last_us >= ? AND first_us < ?"
                " ORDER BY first_us",
                from_us,
                to_us,
            )
        hot = _columns(rows)
        starts = [*hot.utc_us[:1].tolist(), *(row[3] for row in blocks)]
        while starts:
            begin_us = max(min(starts), from_us)
            end_us = min(begin_us + step_us, to_us)
            first_us = -NO_LIMIT if begin_us == from_us else begin_us  # the first may straddle the beginning
            parts = [_between(hot, first_us, end_us)]
            for number, node, boot, block_us, last_us in blocks:
                if block_us < end_us and last_us >= begin_us:
                    frames = self._load(BlockInfo(number, node, boot, block_us))
                    whole = _of_block(node, boot, frames)
                    mine = (whole.utc_us >= first_us) & (whole.utc_us < end_us)
                    mine &= whole.utc_last_us >= from_us
                    parts.append(whole if mine.all() else whole.chosen(mine))
            yield Stamped.joined(parts)
            later = hot.utc_us[np.searchsorted(hot.utc_us, end_us) :][:1].tolist()
            starts = later + [max(row[3], end_us) for row in blocks if row[4] >= end_us and end_us < to_us]

    def received_since(self, received_us: int, most: int) -> Stamped:
        """Return the frames stored last, those received at `received_us` or later; at most about `most`.

        Their stamps may not be final. They are found from the newest back: for a start, which has no time.
        """
        rows: list[Any] = []
        with self.snapshot():
            above = self._all("SELECT coalesce(max(id), 0) FROM frames")[0][0]
            while above > 0 and len(rows) < most:
                part = self._all(
                    "SELECT node, boot, seq, utc_us, utc_last_us, payload FROM frames"
                    " WHERE id > ? AND id <= ? AND received_us >= ?",
                    *(above - TAIL_STEP, above, received_us),
                )
                if not part:
                    break
                rows += part
                above -= TAIL_STEP
        return _columns(rows)

    def newest_of_boot(self, node: int, boot: int) -> StoredFrame | None:
        """Return the frame of a boot with the highest sequence, None where there is none."""
        with self.snapshot():
            hot = self._hot("node = ? AND boot = ? ORDER BY seq DESC LIMIT 1", node, boot)
            top = self._all("SELECT max(last_seq) FROM blocks WHERE node = ? AND boot = ?", node, boot)[0][0]
            if top is None or (hot and hot[0].row.seq > top):
                return hot[0] if hot else None
            found = self.of_boot(node, boot, top, top)
            return found[0] if found else None

    def totals(self) -> tuple[int, int]:
        """Return the number of frames and of samples stored, hot and packed."""
        frames, samples = self._all(
            "SELECT sum(n), sum(s) FROM (SELECT count(*) AS n, coalesce(sum(samples), 0) AS s FROM frames"
            " UNION ALL SELECT coalesce(sum(frames), 0), coalesce(sum(samples), 0) FROM blocks)"
        )[0]
        return int(frames), int(samples)

    def _all(self, sql: str, *arguments: Any) -> list[Any]:
        return self._connection.execute(sql, arguments).fetchall()

    def _hot(self, where: str, *arguments: Any) -> list[StoredFrame]:
        rows = self._all(f"SELECT {FRAME_COLUMNS} FROM frames WHERE {where}", *arguments)  # noqa: S608 (ours)
        return [StoredFrame(row[0], FrameRow(*row[1:])) for row in rows]

    def _blocks(self, where: str, *arguments: Any) -> list[BlockInfo]:
        rows = self._all(f"SELECT id, node, boot, first_us FROM blocks WHERE {where}", *arguments)  # noqa: S608
        return [BlockInfo(*row) for row in rows]

    def _load(self, block: BlockInfo) -> Frames:
        """Return the content of a block, from memory if it was read a moment ago; a damaged one has none."""
        frames = self._cache.get(block.id)
        if frames is None:
            row = self._connection.execute(
                "SELECT data FROM block_data WHERE block = ?", (block.id,)
            ).fetchone()
            try:
                frames = unpack(b"" if row is None else row[0])
            except BlockError:
                self.damaged += row is not None  # one that retention took meanwhile is not damaged
                frames = _NOTHING
            self._cache[block.id] = frames
            if len(self._cache) > CACHED_BLOCKS:
                self._cache.popitem(last=False)
        self._cache.move_to_end(block.id)
        return frames


def _rows(block: BlockInfo, frames: Frames, chosen: Any) -> list[StoredFrame]:
    """Return the chosen frames of a block as the rows they were."""
    at = chosen.nonzero()[0]
    columns = [column[at].tolist() for column in frames.columns()]
    payloads = [frames.payloads[k] for k in at.tolist()]
    return [
        StoredFrame(row[0], FrameRow._make((block.node, block.boot, *row[1:])))
        for row in zip(*columns, payloads, strict=True)
    ]


def _columns(rows: list[Any]) -> Stamped:
    """Return rows of stamps and payload as columns."""
    *columns, payloads = zip(*rows, strict=True) if rows else ((),) * 6
    node, boot, seq, utc_us, utc_last_us = (np.array(column, np.int64) for column in columns)
    return Stamped(node, boot, seq, utc_us, utc_last_us, list(payloads))


def _between(hot: Stamped, from_us: int, to_us: int) -> Stamped:
    """Return the frames that begin in the span; `hot` is in order of time."""
    first, last = np.searchsorted(hot.utc_us, [from_us, to_us]).tolist()
    return hot.at(np.arange(first, last))


def _of_block(node: int, boot: int, frames: Frames) -> Stamped:
    size = len(frames.seq)
    return Stamped(
        np.full(size, node, np.int64), np.full(size, boot, np.int64), frames.seq, frames.utc_us,
        frames.utc_last_us, list(frames.payloads),
    )  # fmt: skip


def _push(heap: list[Any], rest: Iterator[StoredFrame]) -> None:
    frame = next(rest, None)
    if frame is not None:
        heapq.heappush(heap, (frame.row.utc_us, frame.id, frame, rest))


_NOTHING: Final = Frames(**dict.fromkeys(COLUMNS, np.empty(0, np.int64)), payloads=())
