"""Takes what can still be read out of a damaged journal that was moved aside, which is never written.

First the small tables, at once, so that nodes, sessions and safety log go on; then the frames, bit by bit.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from ashibar.core.packing import BlockError, unpack
from ashibar.io.journal.batch import EventRow, FrameRow
from ashibar.io.journal.frames import FRAME_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger(__name__)

# Frames have a way of their own; what is derived from them is made anew.
APART: Final = ("frames", "blocks", "block_data", "packed", "pyramid", "sqlite_sequence")
PENDING: Final = "salvage"  # in `meta`: the name of the damaged file whose frames are still to be taken over
MOVED: Final = "journal moved aside"  # the event that says so, in the commit that takes the tables over
ROWS_AT_ONCE: Final = 500
ID_MARGIN: Final = 1_000_000  # ids that may have been given after the highest that can be read
MAX_JUMP: Final = 256  # rows passed over at once near damage: a page holds some fifteen frames
UNKNOWN_LAST: Final = 10_000_000  # where the end of a table cannot be read


def small_tables(connection: sqlite3.Connection, damaged: Path, now_us: int) -> dict[str, int]:
    """Copy every table but the frames' into the new journal, with the event that says why, or nothing.

    Returns how many rows of each were read.
    """
    names = [
        name
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid"
        )
        if name not in APART
    ]
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = _copies(connection, damaged, names)
        # The series are made anew. The frames get new ids: each sink has them all to come, and what it had
        # beyond its cursor says nothing of them.
        connection.execute("DELETE FROM cursors WHERE sink = 'series'")
        connection.execute("UPDATE cursors SET frame_id = ?", (highest_id(damaged) - 1,))
        connection.execute("DELETE FROM sink_state WHERE what = 'lanes'")
        connection.execute("DELETE FROM meta WHERE key LIKE 'series %'")
        if found:
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (PENDING, damaged.name))
        event = EventRow(now_us, MOVED, damaged.name, json.dumps({"file": damaged.name}))
        connection.execute("INSERT INTO events (utc_us, kind, subject, detail) VALUES (?, ?, ?, ?)", event)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("PRAGMA foreign_keys = ON")
    return {name: count for name, count in found.items() if count}


def on_record(connection: sqlite3.Connection, damaged: Path) -> bool:
    """Tell whether the small tables of a file that was moved aside were taken over."""
    known = "SELECT 1 FROM events WHERE kind = ? AND subject = ?"
    return connection.execute(known, (MOVED, damaged.name)).fetchone() is not None


def _copies(connection: sqlite3.Connection, damaged: Path, names: list[str]) -> dict[str, int]:
    try:
        old = _open(damaged)
    except sqlite3.Error:
        return {}
    with closing(old):
        return {name: _copy(connection, old, name) for name in names}


def pending(connection: sqlite3.Connection, journal: Path) -> Path | None:
    """Return the damaged file whose frames are still to be taken over, None for none."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (PENDING,)).fetchone()
    return None if row is None else journal.with_name(str(row[0]))


def highest_id(damaged: Path) -> int:
    """Return an id that no frame of the damaged journal had, as far as can be told."""
    best = 0
    for sql in (
        "SELECT max(id) FROM frames",
        "SELECT max(last_id) FROM blocks",
        "SELECT max(frame_id) FROM cursors",
    ):
        try:
            with closing(_open(damaged)) as old:
                best = max(best, int(old.execute(sql).fetchone()[0] or 0))
        except sqlite3.Error:
            continue
    return best + ID_MARGIN


def frames(damaged: Path) -> Iterator[list[FrameRow]]:
    """Yield the frames that can be read, hot and packed, in groups; what cannot is passed over.

    Raises sqlite3.OperationalError where the file cannot be opened now, as on a full disk: that is no damage.
    """
    try:
        old = _open(damaged)
        _probe(old)
    except sqlite3.OperationalError:
        raise
    except sqlite3.Error:
        return
    with closing(old):
        group: list[FrameRow] = []
        for row in _rows(old, "frames", FRAME_COLUMNS.split(", ")):
            group.append(FrameRow(*row[1:]))
            if len(group) == ROWS_AT_ONCE:
                yield group
                group = []
        if group:
            yield group
        for number, node, boot in _rows(old, "blocks", ["id", "node", "boot"]):
            yield _unpacked(old, number, node, boot)


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _probe(old: sqlite3.Connection) -> None:
    """Read something, which needs a file beside the damaged one: opening alone touches neither."""
    try:
        old.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        old.close()
        raise


def _unpacked(old: sqlite3.Connection, number: int, node: int, boot: int) -> list[FrameRow]:
    try:
        data = old.execute("SELECT data FROM block_data WHERE block = ?", (number,)).fetchone()
        content = unpack(b"" if data is None else data[0])
    except (sqlite3.Error, BlockError):
        return []
    columns = [column.tolist() for column in content.columns()[1:]]
    return [FrameRow._make((node, boot, *row)) for row in zip(*columns, content.payloads, strict=True)]


def _copy(connection: sqlite3.Connection, old: sqlite3.Connection, table: str) -> int:
    """Copy the rows of one table that can be read and are not there; returns how many."""
    try:
        theirs = {row[1] for row in old.execute(f"PRAGMA table_xinfo({table})")}
    except sqlite3.Error:
        return 0
    columns = [
        row[1]
        for row in connection.execute(f"PRAGMA table_xinfo({table})")
        if row[6] == 0 and row[1] in theirs
    ]
    if not columns:
        return 0
    marks = ", ".join("?" * len(columns))
    sql = f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 (our schema)
    count = 0
    for row in _rows(old, table, columns):
        try:
            count += connection.execute(sql, row).rowcount
        except sqlite3.IntegrityError:  # a chain that misses an entry ends here; the file aside has the rest
            break
    return count


def _rows(old: sqlite3.Connection, table: str, columns: list[str]) -> Iterator[tuple[Any, ...]]:
    """Yield what can be read of a table, past every damage; some rows may come twice."""
    names = ", ".join(columns)
    try:
        old.execute(f"SELECT rowid FROM {table} LIMIT 0")  # noqa: S608 (our schema)
    except sqlite3.OperationalError:
        yield from _by_key(old, table, names)
    except sqlite3.DatabaseError:
        return
    else:
        yield from _by_rowid(old, table, names)


def _by_rowid(old: sqlite3.Connection, table: str, names: str) -> Iterator[tuple[Any, ...]]:
    """Yield the rows by rowid: in groups, one by one near damage, and in growing jumps over it."""
    sql = f"SELECT rowid, {names} FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT ?"  # noqa: S608
    last = _last_rowid(old, table)
    at, size, jump = -1, ROWS_AT_ONCE, 1
    while at < last:
        try:
            rows = old.execute(sql, (at, size)).fetchall()
        except sqlite3.DatabaseError:
            if size == 1:
                at, jump = at + jump, min(jump * 2, MAX_JUMP)
            size = 1
            continue
        if not rows:
            return
        yield from (row[1:] for row in rows)
        at, size, jump = rows[-1][0], ROWS_AT_ONCE, 1


def _last_rowid(old: sqlite3.Connection, table: str) -> int:
    try:
        return int(old.execute(f"SELECT max(rowid) FROM {table}").fetchone()[0] or 0)  # noqa: S608
    except sqlite3.DatabaseError:
        return UNKNOWN_LAST


def _by_key(old: sqlite3.Connection, table: str, names: str) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a table without rowid: from both ends up to the damage."""
    try:
        info = old.execute(f"PRAGMA table_xinfo({table})").fetchall()
    except sqlite3.DatabaseError:
        return
    keys = [row[1] for row in sorted(info, key=lambda row: int(row[5])) if row[5]]
    for direction in ("ASC", "DESC"):
        order = ", ".join(f"{key} {direction}" for key in keys)
        try:
            yield from old.execute(f"SELECT {names} FROM {table} ORDER BY {order}")  # noqa: S608
        except sqlite3.DatabaseError:
            continue
        return
