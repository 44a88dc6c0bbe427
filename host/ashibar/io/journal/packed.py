"""Packed blocks in the journal: which frames are cold, their swap for a block, what was ever packed.

The bytes of a block are `core.packing`'s. A block and its frames change places in one transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ashibar.core.packing import COLUMNS, Frames, pack, unpack
from ashibar.core.sequence import IntervalSet

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from ashibar.core.sequence import Interval
    from ashibar.io.journal.batch import FrameRow

COLD_S: Final = 600.0  # frames younger than this stay as they came: re-stamping is over, sinks have had them
BLOCK_S: Final = 300.0  # a block in the long run: from here on larger ones gain nothing, smaller ones cost
LEFT_S: Final = 3600.0  # what is left of a boot that ended is packed after this, however little it is
MAX_FRAMES: Final = 4096
# Bounds that let a reader find blocks by one look into an index, whatever order frames came in.
MAX_ID_SPAN: Final = 100_000
MAX_SEQ_SPAN: Final = 65_536


class PackingError(Exception):
    """A block did not give its frames back; they stay as they are."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A packed block, ready to take the place of its frames."""

    node: int
    boot: int
    frames: Frames
    data: bytes

    @property
    def runs(self) -> list[Interval]:
        """The sequences inside, as inclusive intervals."""
        found = IntervalSet()
        for seq in self.frames.seq.tolist():
            found.add(seq, seq)
        return found.intervals

    def swap(self, connection: sqlite3.Connection) -> bool:
        """Delete the frames and insert the block; False where not all of them are there, settled."""
        ids = [(number,) for number in self.frames.id.tolist()]
        connection.execute("SAVEPOINT swap")
        gone = connection.executemany("DELETE FROM frames WHERE id = ? AND fit IS NOT NULL", ids).rowcount
        if gone != len(ids):
            connection.execute("ROLLBACK TO swap")
            connection.execute("RELEASE swap")
            return False
        frames = self.frames
        row = (
            *(self.node, self.boot, len(frames)),
            *(int(frames.samples.sum()), int((frames.samples * frames.cells).sum())),
            *(int(frames.id.min()), int(frames.id.max()), int(frames.seq.min()), int(frames.seq.max())),
            *(int(frames.utc_us.min()), int(frames.utc_last_us.max()), len(self.data)),
        )
        number = connection.execute(
            "INSERT INTO blocks (node, boot, frames, samples, cell_samples, first_id, last_id, first_seq,"
            " last_seq, first_us, last_us, bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        ).lastrowid
        connection.execute("INSERT INTO block_data VALUES (?, ?)", (number, self.data))
        for first, last in self.runs:
            _remember(connection, self.node, self.boot, first, last)
        connection.execute("RELEASE swap")
        return True


def _remember(connection: sqlite3.Connection, node: int, boot: int, first: int, last: int) -> None:
    """Enter sequences as packed, joined with what touches them."""
    touching = "node = ? AND boot = ? AND first_seq <= ? AND last_seq >= ?"
    low, high = connection.execute(
        f"SELECT min(first_seq), max(last_seq) FROM packed WHERE {touching}",  # noqa: S608 (constant text)
        (node, boot, last + 1, first - 1),
    ).fetchone()
    if low is not None:
        connection.execute(f"DELETE FROM packed WHERE {touching}", (node, boot, last + 1, first - 1))  # noqa: S608
        first, last = min(first, low), max(last, high)
    connection.execute("INSERT INTO packed VALUES (?, ?, ?, ?)", (node, boot, first, last))


class Packed:
    """What was ever packed, in memory: frames of it are stored already, though no row says so."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sets: dict[tuple[int, int], IntervalSet] = {}
        for node, boot, first, last in connection.execute("SELECT * FROM packed"):
            self.add(node, boot, [(first, last)])

    def add(self, node: int, boot: int, runs: list[Interval]) -> None:
        """Enter inclusive intervals of sequences of a boot."""
        known = self._sets.setdefault((node, boot), IntervalSet())
        for first, last in runs:
            known.add(first, last)

    def unpacked(self, frames: list[FrameRow]) -> list[FrameRow]:
        """Return the frames that were not packed before, in order."""
        tops = {key: known.last for key, known in self._sets.items()}
        if not any(row.seq <= tops.get((row.node, row.boot), -1) for row in frames):
            return frames
        return [row for row in frames if row.seq not in self._sets.get((row.node, row.boot), ())]


def cold_blocks(
    connection: sqlite3.Connection, now_us: int, *, cold_s: float = COLD_S
) -> list[tuple[int, int]]:
    """Return node and boot of every boot that has enough cold frames for a block."""
    found: list[tuple[int, int]] = []
    key = (-1, -1)
    while True:
        row = connection.execute(
            "SELECT node, boot FROM frames WHERE (node, boot) > (?, ?) ORDER BY node, boot LIMIT 1", key
        ).fetchone()
        if row is None:
            return found
        key = (row[0], row[1])
        if _ripe(connection, key, now_us, cold_s):
            found.append(key)


def _ripe(connection: sqlite3.Connection, key: tuple[int, int], now_us: int, cold_s: float) -> bool:
    """Tell whether the oldest frames of a boot fill a block, or have waited long enough for one."""
    first = connection.execute(
        "SELECT utc_us, received_us, fit FROM frames WHERE node = ? AND boot = ? ORDER BY seq LIMIT 1", key
    ).fetchone()
    if first[2] is None:
        return False
    newest_us = max(first[0], first[1])
    full_us = (cold_s + BLOCK_S) * 1e6
    if newest_us > now_us - full_us:
        return False
    if newest_us < now_us - (cold_s + LEFT_S) * 1e6:
        return True
    later = connection.execute(
        "SELECT utc_us FROM frames WHERE node = ? AND boot = ? ORDER BY seq LIMIT 1 OFFSET ?",
        (*key, MAX_FRAMES),
    ).fetchone()
    last = connection.execute(
        "SELECT utc_us FROM frames WHERE node = ? AND boot = ? ORDER BY seq DESC LIMIT 1", key
    ).fetchone()
    return later is not None or last[0] >= first[0] + BLOCK_S * 1e6


def make_block(
    connection: sqlite3.Connection, node: int, boot: int, now_us: int, *, cold_s: float = COLD_S
) -> Block | None:
    """Pack the oldest cold frames of a boot, in order of their sequence; None where there are none.

    Reads only. Raises PackingError where the block does not give them back.
    """
    names = ", ".join((*COLUMNS, "payload"))
    rows = connection.execute(
        f"SELECT {names} FROM frames WHERE node = ? AND boot = ? ORDER BY seq LIMIT ?",  # noqa: S608 (constant)
        (node, boot, MAX_FRAMES),
    ).fetchall()
    rows = rows[: _usable(rows, now_us - cold_s * 1e6)]
    if not rows:
        return None
    *columns, payloads = zip(*rows, strict=True)
    arrays = {name: np.array(column, np.int64) for name, column in zip(COLUMNS, columns, strict=True)}
    frames = Frames(payloads=payloads, **arrays)
    data = pack(frames)
    if not same(unpack(data), frames):
        raise PackingError(
            f"frames {rows[0][1]} to {rows[-1][1]} of boot {boot} of node {node} did not survive packing"
        )
    return Block(node, boot, frames, data)


def _usable(rows: Sequence[tuple[int, ...]], cold_us: float) -> int:
    """Return how many rows from the first on are settled and cold and stay within the bounds of a block."""
    at = {name: number for number, name in enumerate(COLUMNS)}
    low = high = rows[0][at["id"]] if rows else 0
    for count, row in enumerate(rows):
        low, high = min(low, row[at["id"]]), max(high, row[at["id"]])
        cold = max(row[at["utc_last_us"]], row[at["received_us"]]) <= cold_us and row[at["fit"]] is not None
        spans = high - low > MAX_ID_SPAN or row[at["seq"]] - rows[0][at["seq"]] > MAX_SEQ_SPAN
        done = row[at["utc_us"]] - rows[0][at["utc_us"]] > BLOCK_S * 1e6
        if not cold or spans or done:
            return count
    return len(rows)


def same(one: Frames, other: Frames) -> bool:
    """Tell whether two blocks hold the same frames to the last bit."""
    numbers = zip(one.columns(), other.columns(), strict=True)
    return list(one.payloads) == list(other.payloads) and all(np.array_equal(a, b) for a, b in numbers)
