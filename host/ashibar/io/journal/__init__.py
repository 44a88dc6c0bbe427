"""The journal: one SQLite file that is the record of everything measured, and the outbox of every sink."""

from ashibar.io.journal.batch import AsideRow, Batch, EventRow, FrameRow, GapRow
from ashibar.io.journal.committer import Committer
from ashibar.io.journal.reader import BootRow, Reader, StoredFrame
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
    "Journal",
    "JournalCorruptError",
    "JournalError",
    "JournalFullError",
    "Reader",
    "SchemaError",
    "StoredFrame",
]
