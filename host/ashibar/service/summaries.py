"""The thread that derives a session's figures from the record, once that has its samples.

What they are is `replay.run`'s: the same code makes and verifies them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from ashibar.core import decoding, requests
from ashibar.core.session import Session
from ashibar.io.journal import SafetyReader
from ashibar.replay.run import summary_of
from ashibar.service.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ashibar.service.desk import Desk

SETTLE_S: Final = 1.0  # after the end: what was still on its way
TRIES: Final = 8  # of SETTLE_S: for samples whose stamps are provisional still


class Summarizer:
    """Sums sessions up once they are in the record, and hands the figures in at the desk.

    What is not done when it stops is done after the next start.
    """

    def __init__(self, journal: Path, desk: Desk) -> None:
        self._journal = journal
        self._desk = desk
        self._worker = Worker("summaries", self._one, "could not be summed up; tried again after a restart")
        self.start, self.stop = self._worker.start, self._worker.stop

    def add(self, sessions: Sequence[str]) -> None:
        """Sum these up when their samples are stored."""
        self._worker.add(sessions)

    def _one(self, number: str) -> None:
        reader = SafetyReader(self._journal)
        try:
            for _ in range(TRIES):
                if self._worker.pause(SETTLE_S):
                    return
                row = reader.session(number)
                made = None if row is None else decoding.from_json(row.record, Session)
                if made is not None and made.ended_us is not None and not reader.boots_with_provisional():
                    break
            if made is None or made.ended_us is None:
                return
            summary: Any = msgspec.to_builtins(summary_of(reader, made))
            self._desk.ask(requests.SummaryMade(by="host", rig=made.rig, id=number, summary=dict(summary)))
        finally:
            reader.close()
