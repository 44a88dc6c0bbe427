"""Is the journal sound? A glance before every start, a look bounded in time behind it, a full one by command.

It mends nothing.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from typing import TYPE_CHECKING, Final

from ashibar.core import packing, pyramid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

GLANCE_S: Final = 0.25  # of a start: a display waits for it
QUICK_S: Final = 60.0  # behind the start: what takes longer is looked at whole by `ashibar journal check`
STEPS: Final = 20_000  # of SQLite's machine between two looks at the clock: a few milliseconds


class LockedError(Exception):
    """Another process writes this journal."""


def lock(path: Path) -> int:
    """Keep others from writing the journal beside us; returns what `unlock` wants. Ends with the process."""
    handle = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise LockedError(
            f"expected to be the only one who writes {path}, another process does: stop it first"
        ) from error
    return handle


def unlock(handle: int) -> None:
    """Let others write."""
    os.close(handle)


def quick(
    connection: sqlite3.Connection, within_s: float = QUICK_S, stopped: Callable[[], bool] = lambda: False
) -> str | None:
    """Return what is wrong with the file, None if nothing was found within that time or until `stopped`."""
    end_s = time.monotonic() + within_s
    connection.set_progress_handler(lambda: time.monotonic() > end_s or stopped(), STEPS)
    try:
        verdict = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        return None
    finally:
        connection.set_progress_handler(None, STEPS)
    return None if verdict == "ok" else verdict


def full(connection: sqlite3.Connection) -> Iterator[str]:
    """Yield everything that is wrong: pages, references, blocks that do not open or are not what they say."""
    try:
        for (verdict,) in connection.execute("PRAGMA integrity_check(100)"):
            if verdict != "ok":
                yield f"page: {verdict}"
        for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
            yield f"reference: row {row} of {table} refers to a row of {parent} that is not there"
        yield from _blocks(connection)
        yield from _chunks(connection)
    except sqlite3.DatabaseError as error:
        yield f"file: {error}"


def _blocks(connection: sqlite3.Connection) -> Iterator[str]:
    rows = connection.execute(
        "SELECT blocks.id, frames, first_seq, last_seq, data FROM blocks"
        " LEFT JOIN block_data ON block = blocks.id"
    )
    for number, frames, first, last, data in rows:
        try:
            content = packing.unpack(data or b"")
        except packing.BlockError as error:
            yield f"block {number}, sequences {first} to {last}: {error}"
            continue
        if (len(content), int(content.seq.min()), int(content.seq.max())) != (frames, first, last):
            yield f"block {number}: expected {frames} frames {first} to {last}, it has others"
    sql = (
        "SELECT count(*) FROM frames JOIN packed ON frames.node = packed.node AND frames.boot = packed.boot"
        " AND seq BETWEEN first_seq AND last_seq"
    )
    twice = connection.execute(sql).fetchone()[0]
    if twice:
        yield f"{twice} frames are there as rows and in a block"


def _chunks(connection: sqlite3.Connection) -> Iterator[str]:
    for rig, level_s, start_us, data in connection.execute(
        "SELECT rig, level_s, start_us, data FROM pyramid"
    ):
        try:
            pyramid.from_bytes(data, level_s, start_us)
        except pyramid.ChunkError as error:
            yield f"series of {rig}, {level_s} s from {start_us}: {error}"
