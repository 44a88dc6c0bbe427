"""The thread that derives a session's figures from the record, once that has its samples.

What they are is `replay.run`'s: the same code makes and verifies them.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ashibar.core import requests
from ashibar.core.session import Session
from ashibar.io.journal import SafetyReader
from ashibar.replay.run import summary_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ashibar.service.desk import Desk

log = logging.getLogger(__name__)

SETTLE_S: Final = 1.0  # after the end: what was still on its way
TRIES: Final = 8  # of SETTLE_S: for samples whose stamps are provisional still


class Summarizer:
    """The thread that sums sessions up once they are in the record, and hands the figures in at the desk."""

    def __init__(self, journal: Path, desk: Desk) -> None:
        self._journal = journal
        self._desk = desk
        self._waiting: deque[str] = deque()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="summaries", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def add(self, sessions: Sequence[str]) -> None:
        """Sum these up when their samples are stored."""
        self._waiting.extend(sessions)
        if sessions:
            self._wake.set()

    def stop(self) -> None:
        """End; what is not done is done after the next start."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait()
            self._wake.clear()
            while self._waiting and not self._stopping.is_set():
                number = self._waiting.popleft()
                try:
                    self._one(number)
                except Exception:
                    log.exception(
                        "session %s could not be summed up; it is tried again after a restart", number
                    )

    def _one(self, number: str) -> None:
        reader = SafetyReader(self._journal)
        try:
            for _ in range(TRIES):
                if self._stopping.wait(SETTLE_S):
                    return
                row = reader.session(number)
                made = None if row is None else msgspec.json.decode(row.record, type=Session)
                if made is not None and made.ended_us is not None and not reader.boots_with_provisional():
                    break
            if made is None or made.ended_us is None:
                return
            summary: Any = msgspec.to_builtins(summary_of(reader, made))
            self._desk.ask(requests.SummaryMade(by="host", rig=made.rig, id=number, summary=dict(summary)))
        finally:
            reader.close()
