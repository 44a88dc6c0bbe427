"""The journal: one SQLite file that is the record of everything measured, and the outbox of every sink."""

from ashibar.io.journal.batch import AsideRow, Batch, EventRow, FrameRow, GapRow, KeepRow
from ashibar.io.journal.committer import Committer
from ashibar.io.journal.frames import StoredFrame
from ashibar.io.journal.reader import BootRow, Reader
from ashibar.io.journal.safety_reader import IncidentRow, SafetyReader, SessionRow
from ashibar.io.journal.schema import SchemaError
from ashibar.io.journal.writer import Journal, JournalCorruptError, JournalError, JournalFullError

__all__ = [
    "AsideRow",
    "Batch",
    "BootRow",
    "Committer",
    "EventRow",
    "FrameRow",
    "GapRow",
    "IncidentRow",
    "Journal",
    "JournalCorruptError",
    "JournalError",
    "JournalFullError",
    "KeepRow",
    "Reader",
    "SafetyReader",
    "SchemaError",
    "SessionRow",
    "StoredFrame",
]
