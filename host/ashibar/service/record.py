"""What the service puts on record: chained entries and rows, gathered into one batch.

It waits for no disk: the journal stores batches in the order they were handed in, or none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ashibar.core import chain
from ashibar.io.journal import Batch, safety
from ashibar.io.journal.batch import KeepRow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ashibar.core.chain import ChainEntry, Head
    from ashibar.io.journal import SafetyReader


class Record:
    """The end of the chain and the batch that grows. One thread."""

    def __init__(self, reader: SafetyReader) -> None:
        line = reader.log_head()
        self.head: Head | None = None if line is None else chain.head_of(chain.from_line(line))
        self._batch = Batch()

    def entry(self, kind: str, who: str, data: Mapping[str, Any], *, utc_us: int) -> ChainEntry:
        """Chain an entry. RefusedError if it is unsigned or no JSON; nothing is changed then."""
        entry, self.head = chain.append(self.head, utc_us=utc_us, kind=kind, who=who, data=data)
        self._put(entry)
        return entry

    def correction(
        self, old: ChainEntry, who: str, why: str, data: Mapping[str, Any], *, utc_us: int
    ) -> ChainEntry:
        """Chain a correction of `old`. RefusedError as `entry`."""
        if self.head is None:
            raise AssertionError("a log with an entry to correct has a head")
        entry, self.head = chain.correct(self.head, old, utc_us=utc_us, who=who, why=why, data=data)
        self._put(entry)
        return entry

    def row(self, statement: str, *values: Any) -> None:
        """Add a row of one of the statements of `io.journal.safety`."""
        self._batch.statements.append((statement, [values]))

    def state(self, rig: str, what: str, value: Any) -> None:
        """Keep what a restart goes on from."""
        self.row(safety.RIG_STATE, rig, what, msgspec.json.encode(value).decode())

    def keep(self, from_us: int, to_us: int, reason: str, now_us: int) -> None:
        """Keep a span of the signal outside retention, both ends included."""
        self._batch.keeps.append(KeepRow(from_us, to_us + 1, reason, now_us))

    def parameters(self, rig: str, from_us: int, record: str) -> None:
        """Put the load model's parameters on record, in force from `from_us` on."""
        self._batch.parameters.append((rig, from_us, record))

    def take(self) -> Batch:
        """Give what was gathered and begin anew."""
        batch, self._batch = self._batch, Batch()
        return batch

    def _put(self, entry: ChainEntry) -> None:
        self.row(safety.LOG, entry.seq, chain.to_line(entry).decode())
