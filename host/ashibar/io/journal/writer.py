"""The journal's one writing connection: opens, checks and migrates the file, and commits batches durably.

It decides nothing about what is stored; a batch is written whole or not at all.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from ashibar.io.journal import aside, check, salvage
from ashibar.io.journal.packed import Packed
from ashibar.io.journal.schema import SchemaError, migrate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ashibar.io.journal.batch import Batch
    from ashibar.io.journal.packed import Block

T = TypeVar("T")
ASIDE_MAX_ROWS = (
    2000  # unreadable payloads kept for a person to look at; a flood of them must not fill the disk
)
ASIDE_MAX_BYTES = 4096  # of each
WAL_LIMIT_BYTES = 64 * 1024 * 1024

INSERT_FRAME = """INSERT OR IGNORE INTO frames
    (id, node, boot, seq, sample_index, samples, cells, flags, device_us, utc_us, utc_last_us,
    fit, received_us, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
# A final stamp stays: it may have been copied. Taking a damaged journal over twice names frames again.
RESTAMP = """UPDATE frames SET utc_us = ?, utc_last_us = ?, fit = ?
    WHERE node = ? AND boot = ? AND seq = ? AND fit IS NULL"""


class JournalError(Exception):
    """The journal could not be read or written; nothing of the batch was stored."""


class JournalFullError(JournalError):
    """There is no room for the batch."""


class JournalCorruptError(JournalError):
    """The file is damaged."""


def connect(path: Path) -> sqlite3.Connection:
    """Open the file for writing, in WAL mode, each commit on the disk before it returns."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
    connection.execute("PRAGMA cache_size = -16000")
    return connection


class Journal:
    """The writing side, one thread at a time. `moved_aside` names a damaged file found at opening."""

    def __init__(self, path: Path, *, utc_us: Callable[[], int] = lambda: time.time_ns() // 1000) -> None:
        """Open, check and migrate.

        A damaged file is moved aside and a new one begun. Raises JournalError where no file can be had, and
        SchemaError for a file that is not ours or is of a newer version.
        """
        self.path = path
        self.salvaged: dict[str, int] = {}
        self.unchecked = False  # whether the look at the start ended for want of time
        self._lock: int | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = check.lock(path)
            self._connection, self.moved_aside = self._open(utc_us)
        except check.LockedError as error:
            raise JournalError(str(error)) from error
        except SchemaError:
            self._unlock()
            raise
        except (OSError, sqlite3.Error, JournalError) as error:
            self._unlock()
            raise JournalError(
                f"expected a writable journal at {path}, came: {error}; check the directory's owner and "
                "space, or give another [journal] path"
            ) from error
        highest = (
            "SELECT max(coalesce((SELECT max(id) FROM frames), 0),"
            " coalesce((SELECT max(last_id) FROM blocks), 0),"
            " coalesce((SELECT max(frame_id) FROM cursors), 0))"
        )
        self._next_id = self._take_over(utc_us())
        self._next_id = max(self._next_id, int(self._connection.execute(highest).fetchone()[0]) + 1)
        self._aside_rows = int(self._connection.execute("SELECT count(*) FROM aside").fetchone()[0])
        self._packed = Packed(self._connection)

    def _open(self, utc_us: Callable[[], int]) -> tuple[sqlite3.Connection, Path | None]:
        """Return a connection to a sound file, and where a damaged one went, now or at a start cut short."""
        moved = aside.resume(self.path)
        try:
            return self._checked(), moved
        except JournalCorruptError:
            stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(utc_us() / 1e6))
            moved = aside.begin(self.path, stamp)
            return self._checked(), moved

    def _take_over(self, now_us: int) -> int:
        """Take over what goes at once from a file moved aside; frames follow later, with ids of their own.

        Returns from where on, as far as the damaged file can be read now; cursors may be past that.
        """
        if self.moved_aside is not None:
            if salvage.on_record(self._connection, self.moved_aside):
                self.moved_aside = None  # only the mark was left
            else:
                self.salvaged = salvage.small_tables(self._connection, self.moved_aside, now_us)
            aside.done(self.path)
        damaged = salvage.pending(self._connection, self.path)
        return 1 if damaged is None else salvage.highest_id(damaged)

    def _checked(self) -> sqlite3.Connection:
        """Return a connection to a sound, migrated file, or raise JournalCorruptError."""
        connection: sqlite3.Connection | None = None
        try:
            if aside.suspect(self.path).exists():
                raise JournalCorruptError(f"{self.path} was found damaged while it was written")  # noqa: TRY301
            connection = connect(self.path)
            began = time.monotonic()
            verdict = check.quick(connection, check.GLANCE_S)
            self.unchecked = time.monotonic() - began >= check.GLANCE_S
            if verdict is not None:
                raise JournalCorruptError(f"quick_check of {self.path}: {verdict}")  # noqa: TRY301
            migrate(connection)
        except BaseException as error:
            if connection is not None:
                connection.close()
            if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
                raise JournalCorruptError(f"{self.path}: {error}") from error
            raise
        return connection

    @property
    def next_id(self) -> int:
        """The id the next new frame will get."""
        return self._next_id

    def commit(self, batch: Batch) -> int:
        """Store a batch in one transaction and return how many frames were new; then it is on the disk.

        Raises JournalFullError or JournalError, and then nothing of the batch is stored.
        """
        try:
            new = self.work(lambda connection: self._write(connection, batch))
        except JournalError:
            self._aside_rows = ASIDE_MAX_ROWS  # recount at the next chance
            raise
        self._next_id += len(batch.frames)
        return new

    def work(self, do: Callable[[sqlite3.Connection], T]) -> T:
        """Run `do` in a transaction of its own and return its result, durable; raises as `commit` does."""
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            result = do(connection)
            connection.execute("COMMIT")
        except BaseException as error:
            with suppress(sqlite3.Error):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise self._named(error) from error
            raise
        return result

    def pack(self, block: Block) -> bool:
        """Put a block in the place of its frames; False, and nothing changed, where they are not there."""
        swapped = self.work(block.swap)
        if swapped:
            self._packed.add(block.node, block.boot, block.runs)
        return swapped

    def found_damaged(self, verdict: str) -> JournalCorruptError:
        """Mark the file as damaged, so that the next start moves it aside; returns what to say of it."""
        with suppress(OSError):
            aside.suspect(self.path).touch()
        return JournalCorruptError(
            f"{self.path} is damaged: {verdict}; the service begins anew and moves the file aside"
        )

    def _named(self, error: sqlite3.Error) -> JournalError:
        text = f"could not store in {self.path}: {error}"
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL:
            return JournalFullError(
                f"{text}; free some space on that disk, nothing is lost while nodes hold their frames"
            )
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return self.found_damaged(str(error))  # the look at the next start is short and might miss it
        return JournalError(f"{text}; check the disk")

    def _write(self, connection: sqlite3.Connection, batch: Batch) -> int:
        """Write every table of the batch; returns the number of new frames."""
        if batch.nodes:
            connection.executemany(
                "INSERT INTO nodes (id, name, first_seen_us) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                batch.nodes,
            )
        if batch.fits:
            connection.executemany(
                "INSERT OR REPLACE INTO fits VALUES (?, ?, ?, ?, ?)",
                [(*key, *value) for key, value in batch.fits.items()],
            )
        new = 0
        if batch.frames:
            frames = self._packed.unpacked(batch.frames)
            rows = [(number, *row) for number, row in enumerate(frames, self._next_id)]
            new = connection.executemany(INSERT_FRAME, rows).rowcount
        self._write_ledger(connection, batch)
        self._write_rest(connection, batch)
        if batch.aside:
            self._write_aside(connection, batch)
        return new

    @staticmethod
    def _write_ledger(connection: sqlite3.Connection, batch: Batch) -> None:
        if batch.boots:
            connection.executemany(
                "INSERT INTO boots VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET upto = excluded.upto, counts = excluded.counts",
                [(*key, *value) for key, value in batch.boots.items()],
            )
        if batch.restamps:
            connection.executemany(RESTAMP, batch.restamps)
        if batch.gaps:
            connection.executemany("DELETE FROM gaps WHERE node = ? AND boot = ?", list(batch.gaps))
            connection.executemany(
                "INSERT INTO gaps (node, boot, seq_from, seq_to, reason, recorded_us)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [(*boot, *row) for boot, rows in batch.gaps.items() for row in rows],
            )
        if batch.cursors:
            connection.executemany(
                "INSERT INTO cursors VALUES (?, ?, ?)"
                " ON CONFLICT DO UPDATE SET frame_id = excluded.frame_id, moved_us = excluded.moved_us",
                [(sink, *value) for sink, value in batch.cursors.items()],
            )

    @staticmethod
    def _write_rest(connection: sqlite3.Connection, batch: Batch) -> None:
        if batch.abouts:
            connection.executemany(
                "UPDATE nodes SET about = ?, about_us = ? WHERE id = ?",
                [(text, at, node) for node, (text, at) in batch.abouts.items()],
            )
        if batch.calibrations:
            connection.executemany(
                "INSERT OR IGNORE INTO calibrations VALUES (?, ?, ?, ?)",  # records never change
                [(*key, *value) for key, value in batch.calibrations.items()],
            )
        if batch.parameters:
            connection.executemany(
                "INSERT INTO parameters (rig, from_us, record) VALUES (?, ?, ?)", batch.parameters
            )
        if batch.events:
            connection.executemany(
                "INSERT INTO events (utc_us, kind, subject, detail) VALUES (?, ?, ?, ?)", batch.events
            )
        if batch.keeps:
            connection.executemany(
                "INSERT INTO kept_spans (from_us, to_us, reason, made_us) VALUES (?, ?, ?, ?)", batch.keeps
            )
        for sql, rows in batch.statements:
            connection.executemany(sql, rows)

    def _write_aside(self, connection: sqlite3.Connection, batch: Batch) -> None:
        """Keep unusable payloads, the newest ones only, each cut to a bound."""
        rows = [row._replace(payload=row.payload[:ASIDE_MAX_BYTES]) for row in batch.aside[-ASIDE_MAX_ROWS:]]
        connection.executemany(
            "INSERT INTO aside (topic, received_us, reason, size, payload) VALUES (?, ?, ?, ?, ?)", rows
        )
        self._aside_rows += len(rows)
        if self._aside_rows > ASIDE_MAX_ROWS:
            connection.execute(
                "DELETE FROM aside WHERE id <= (SELECT max(id) FROM aside) - ?",
                (ASIDE_MAX_ROWS,),
            )
            self._aside_rows = int(connection.execute("SELECT count(*) FROM aside").fetchone()[0])

    def close(self) -> None:
        """Close the file; the write-ahead log is folded in."""
        with suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            check.unlock(self._lock)
            self._lock = None


def free_bytes(path: Path) -> int:
    """Return the space left for an ordinary user on the file's disk."""
    status = os.statvfs(path.parent)
    return status.f_bavail * status.f_frsize


__all__ = [
    "Journal",
    "JournalCorruptError",
    "JournalError",
    "JournalFullError",
    "SchemaError",
    "connect",
    "free_bytes",
]
