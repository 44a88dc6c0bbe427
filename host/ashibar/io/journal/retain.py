"""Room and retention in the journal: what is used, what is kept, and deletion that goes on record.

What may go is decided by `core.retention`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ashibar.core.retention import ColdBlock, Room
from ashibar.io.journal.writer import free_bytes

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

    from ashibar.core.retention import Doomed

BLOCKS_AT_ONCE: Final = 16  # of one transaction: 2 MB of free pages to write, a few milliseconds


def room(connection: sqlite3.Connection, path: Path) -> Room:
    """Return the bytes in use inside the file, and those free on its disk or inside it."""
    pages, free, size = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return Room((pages - free) * size, free_bytes(path) + free * size)


def oldest_blocks(connection: sqlite3.Connection) -> list[ColdBlock]:
    """Return all packed blocks, oldest first."""
    rows = connection.execute(
        "SELECT id, last_id, first_us, last_us, bytes FROM blocks ORDER BY first_us, id"
    )
    return [ColdBlock(*row) for row in rows]


def kept_spans(connection: sqlite3.Connection) -> list[tuple[int, int, str]]:
    """Return from, to and reason of every span that is never thinned out, by time."""
    return connection.execute("SELECT from_us, to_us, reason FROM kept_spans ORDER BY from_us, id").fetchall()


def shed(connection: sqlite3.Connection, doomed: Sequence[Doomed], now_us: int) -> int:
    """Delete blocks and put on record what went; returns the number of frames. Inside a transaction."""
    frames = 0
    for each in doomed:
        row = connection.execute(
            "INSERT INTO shed (at_us, node, boot, first_seq, last_seq, first_us, last_us, frames, samples,"
            " reason) SELECT ?, node, boot, first_seq, last_seq, first_us, last_us, frames, samples, ?"
            " FROM blocks WHERE id = ? RETURNING frames",
            (now_us, each.reason, each.block),
        ).fetchone()
        frames += 0 if row is None else int(row[0])
        connection.execute("DELETE FROM block_data WHERE block = ?", (each.block,))
        connection.execute("DELETE FROM blocks WHERE id = ?", (each.block,))
    return frames


def shed_totals(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return the frames and samples that retention took."""
    frames, samples = connection.execute(
        "SELECT coalesce(sum(frames), 0), coalesce(sum(samples), 0) FROM shed"
    ).fetchone()
    return int(frames), int(samples)
