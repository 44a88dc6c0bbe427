"""The tables of the journal and their numbered migrations; each migration happens whole or not at all.

A migration that was released is never edited: a change is a new number. Columns ending in `_us` are Unix
microseconds, UTC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ashibar.io.journal.safety import SAFETY
from ashibar.io.journal.sinks import SINKS

if TYPE_CHECKING:
    import sqlite3

APPLICATION_ID = 0x61736869  # "ashi": tells our files from other SQLite files

FIRST = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE nodes (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, first_seen_us INTEGER NOT NULL,
        about TEXT, about_us INTEGER)""",
    # One row a boot: how far it is stored without holes, and what the accounting needs after a restart.
    """CREATE TABLE boots (
        node INTEGER NOT NULL REFERENCES nodes, boot INTEGER NOT NULL, first_seen_us INTEGER NOT NULL,
        upto INTEGER NOT NULL, counts TEXT NOT NULL, PRIMARY KEY (node, boot)) WITHOUT ROWID""",
    # Each boot's time map, with all its pieces: a frame delivered again gets the same stamp.
    """CREATE TABLE fits (
        node INTEGER NOT NULL, boot INTEGER NOT NULL, version INTEGER NOT NULL, made_us INTEGER NOT NULL,
        state TEXT NOT NULL, PRIMARY KEY (node, boot)) WITHOUT ROWID""",
    # The record. `utc_us`, `utc_last_us`: stamps of the first and last sample; `fit`: version of the map that
    # gave them, null while they are provisional.
    """CREATE TABLE frames (
        id INTEGER PRIMARY KEY, node INTEGER NOT NULL, boot INTEGER NOT NULL, seq INTEGER NOT NULL,
        sample_index INTEGER NOT NULL, samples INTEGER NOT NULL, cells INTEGER NOT NULL,
        flags INTEGER NOT NULL, device_us INTEGER NOT NULL, utc_us INTEGER NOT NULL,
        utc_last_us INTEGER NOT NULL, fit INTEGER, received_us INTEGER NOT NULL, payload BLOB NOT NULL,
        UNIQUE (node, boot, seq))""",
    "CREATE INDEX frames_provisional ON frames (id) WHERE fit IS NULL",
    # What will not come any more; a boot's gaps are replaced together when one of them is filled after all.
    """CREATE TABLE gaps (
        id INTEGER PRIMARY KEY, node INTEGER NOT NULL, boot INTEGER NOT NULL, seq_from INTEGER NOT NULL,
        seq_to INTEGER NOT NULL, reason TEXT NOT NULL, recorded_us INTEGER NOT NULL)""",
    "CREATE INDEX gaps_of_boot ON gaps (node, boot)",
    """CREATE TABLE aside (
        id INTEGER PRIMARY KEY, topic TEXT NOT NULL, received_us INTEGER NOT NULL, reason TEXT NOT NULL,
        size INTEGER NOT NULL, payload BLOB NOT NULL)""",
    """CREATE TABLE calibrations (
        node INTEGER NOT NULL, calibration INTEGER NOT NULL, received_us INTEGER NOT NULL,
        record TEXT NOT NULL, PRIMARY KEY (node, calibration)) WITHOUT ROWID""",
    # What turns counts into a client load, and from when: a report is recomputed from these.
    """CREATE TABLE parameters (
        id INTEGER PRIMARY KEY, rig TEXT NOT NULL, from_us INTEGER NOT NULL, record TEXT NOT NULL)""",
    "CREATE INDEX parameters_of_rig ON parameters (rig, from_us, id)",
    """CREATE TABLE events (
        id INTEGER PRIMARY KEY, utc_us INTEGER NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL,
        detail TEXT NOT NULL)""",
    # A sink has everything up to and including this frame id.
    """CREATE TABLE cursors (
        sink TEXT PRIMARY KEY, frame_id INTEGER NOT NULL, moved_us INTEGER NOT NULL) WITHOUT ROWID""",
)

PACKED = (
    # Cold frames of one boot, packed; `first_*` and `last_*` bound what is inside, which may have holes.
    """CREATE TABLE blocks (
        id INTEGER PRIMARY KEY, node INTEGER NOT NULL, boot INTEGER NOT NULL, frames INTEGER NOT NULL,
        samples INTEGER NOT NULL, cell_samples INTEGER NOT NULL, first_id INTEGER NOT NULL,
        last_id INTEGER NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL,
        first_us INTEGER NOT NULL, last_us INTEGER NOT NULL, bytes INTEGER NOT NULL)""",
    "CREATE INDEX blocks_by_id ON blocks (last_id, first_id)",
    "CREATE INDEX blocks_of_boot ON blocks (node, boot, first_seq)",
    "CREATE INDEX blocks_by_time ON blocks (last_us, first_us)",
    """CREATE TABLE block_data (
        block INTEGER PRIMARY KEY REFERENCES blocks ON DELETE CASCADE, data BLOB NOT NULL)""",
    # Which sequences were ever packed, without holes: such a frame is never stored again, even once retention
    # has taken it.
    """CREATE TABLE packed (
        node INTEGER NOT NULL, boot INTEGER NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL,
        PRIMARY KEY (node, boot, first_seq)) WITHOUT ROWID""",
    # What retention took: stored once, and gone on purpose.
    """CREATE TABLE shed (
        id INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, node INTEGER NOT NULL, boot INTEGER NOT NULL,
        first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, first_us INTEGER NOT NULL,
        last_us INTEGER NOT NULL, frames INTEGER NOT NULL, samples INTEGER NOT NULL, reason TEXT NOT NULL)""",
    # Time in which the full rate is evidence: retention never takes it.
    """CREATE TABLE kept_spans (
        id INTEGER PRIMARY KEY, from_us INTEGER NOT NULL, to_us INTEGER NOT NULL, reason TEXT NOT NULL,
        made_us INTEGER NOT NULL)""",
    # The record in coarser steps, derived from frames up to the cursor `series`; see core/pyramid.py.
    """CREATE TABLE pyramid (
        id INTEGER PRIMARY KEY, rig TEXT NOT NULL, level_s INTEGER NOT NULL, start_us INTEGER NOT NULL,
        data BLOB NOT NULL, UNIQUE (rig, level_s, start_us))""",
)

# To add tables: append one tuple of statements here, and nothing else; docs/journal.md says how rows get in.
MIGRATIONS: tuple[tuple[str, ...], ...] = (FIRST, PACKED, SAFETY, SINKS)


class SchemaError(Exception):
    """The file is not a journal this version can use; nothing was changed in it."""


def version_of(connection: sqlite3.Connection) -> int:
    """Return the number of migrations the file has had."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection, migrations: tuple[tuple[str, ...], ...] = MIGRATIONS) -> int:
    """Bring the file to the newest schema in one transaction; returns the version it had.

    Raises SchemaError for a file of a newer program or of another one, sqlite3.Error where a step fails;
    nothing is changed then.
    """
    had = version_of(connection)
    if had > len(migrations):
        raise SchemaError(
            f"expected a journal of schema {len(migrations)} or older, this one is {had}: "
            "it was written by a newer ashibar; install that version, or give another [journal] path"
        )
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if owner not in (0, APPLICATION_ID) or (had == 0 and tables):
        raise SchemaError(
            "expected a journal, this SQLite file belongs to something else; give another [journal] path"
        )
    if had == len(migrations):
        return had
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statements in migrations[had:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(migrations)}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    return had
