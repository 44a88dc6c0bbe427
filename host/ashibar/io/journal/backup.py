"""Copies of the journal while it is written, verified, and the way back. The daemon is not held up."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ashibar.io.journal import check
from ashibar.io.journal.aside import move_aside
from ashibar.io.journal.reader import Reader
from ashibar.io.journal.schema import APPLICATION_ID, MIGRATIONS, version_of
from ashibar.io.journal.writer import JournalError

if TYPE_CHECKING:
    from collections.abc import Callable

PAGES_AT_ONCE: Final = 2000  # 8 MB
PAUSE_S: Final = 0.005  # between them, so that a slow disk is there for the commits too


def backup(journal: Path, target: Path, told: Callable[[int, int], None] = lambda _left, _all: None) -> None:
    """Copy the journal as it is at this moment to `target`, verified, or leave nothing there.

    `told(pages left, pages in all)` reports progress. Raises JournalError.
    """
    if target.exists():
        raise JournalError(f"expected a new file, {target} is there already: choose another name")
    partial = target.with_name(f"{target.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        reader = Reader(journal)
        with closing(reader), closing(sqlite3.connect(partial, isolation_level=None)) as copy:
            # One state for all pages: without this, each commit of the daemon would start the copy anew.
            with reader.frames.snapshot():
                reader.totals()
                reader.connection.backup(
                    copy,
                    pages=PAGES_AT_ONCE,
                    progress=lambda _, left, every: told(left, every),
                    sleep=PAUSE_S,
                )
            copy.execute("PRAGMA journal_mode = DELETE")
            _verify(copy, partial)
        _to_disk(partial)
        partial.rename(target)
        _to_disk(target.parent)
    except (OSError, sqlite3.Error) as error:
        raise JournalError(f"could not copy {journal} to {target}: {error}; check place and space") from error
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            Path(f"{partial}{suffix}").unlink(missing_ok=True)


def restore(source: Path, journal: Path, *, force: bool = False) -> Path | None:
    """Put a backup in the place of the journal; returns where the one before went, None if there was none.

    Refused while a daemon runs, and without `force` where the journal has what the backup has not. Nothing is
    ever deleted: the journal before is renamed. Raises JournalError.
    """
    _require_journal(source)
    journal.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = check.lock(journal)
    except check.LockedError as error:
        raise JournalError(str(error)) from error
    try:
        if journal.exists() and not force:
            _refuse_newer(source, journal)
        partial = journal.with_name(f"{journal.name}.partial")
        partial.unlink(missing_ok=True)
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as copy,
            closing(sqlite3.connect(partial, isolation_level=None)) as target,
        ):
            copy.backup(target)
            _verify(target, partial)
        _to_disk(partial)
        before = None
        if journal.exists():
            before = move_aside(journal, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), "replaced")
        partial.rename(journal)
        _to_disk(journal.parent)
    except (OSError, sqlite3.Error) as error:
        raise JournalError(f"could not restore {source}: {error}; nothing was changed") from error
    else:
        return before
    finally:
        check.unlock(handle)


def content(path: Path) -> dict[str, Any]:
    """Return what tells two journals apart: frames, samples, highest frame id, newest entry of each kind."""
    reader = Reader(path)
    with closing(reader), reader.frames.snapshot():
        frames, samples = reader.totals()
        newest = reader.connection.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()[0]
        return {"frames": frames, "samples": samples, "frame_id": reader.highest_frame_id(), "event": newest}


def _refuse_newer(source: Path, journal: Path) -> None:
    """Refuse where the journal has come further than the backup."""
    try:
        there, here = content(source), content(journal)
    except sqlite3.DatabaseError:
        return  # what is there cannot be read: it is what a backup is for
    if here["frame_id"] > there["frame_id"] or here["event"] > there["event"]:
        raise JournalError(
            f"expected a backup at least as new as {journal}, which goes to frame {here['frame_id']} and "
            f"event {here['event']}; the backup to {there['frame_id']} and {there['event']}: "
            "use --force if what came after may go out of use (the file is kept beside)"
        )


def _require_journal(path: Path) -> None:
    if not path.is_file():
        raise JournalError(f"expected a backup, there is no file {path}: check the name")
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        try:
            owner = connection.execute("PRAGMA application_id").fetchone()[0]
            version = version_of(connection)
        except sqlite3.DatabaseError as error:
            raise JournalError(f"expected a backup of a journal, {path} is none: {error}") from error
    if owner != APPLICATION_ID or version > len(MIGRATIONS):
        raise JournalError(f"expected a backup of a journal of this version or older, {path} is none")


def _verify(connection: sqlite3.Connection, path: Path) -> None:
    wrong = next(check.full(connection), None)
    if wrong is not None:
        raise JournalError(
            f"the copy {path} is not sound: {wrong}; run `ashibar journal check` on the journal"
        )


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
