"""After a late delivery: what follows from all frames goes on record, where it is not what was announced.

What was announced stays in the log as it is. The figures and alarms are `replay`'s, in a thread of its own.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ashibar.core import decoding, requests
from ashibar.core.session import Session
from ashibar.io.journal import SafetyReader
from ashibar.replay.run import summary_of
from ashibar.replay.verify import recomputed
from ashibar.service.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ashibar.service.desk import Desk

QUIET_US: Final = 5_000_000  # after the last late frame: the rest of the backlog follows it closely
STORE_S: Final = 1.0  # until what was handed in is on the disk


class LateSpan(msgspec.Struct, frozen=True):
    """Time of a rig of which samples came late, both ends included."""

    rig: str
    from_us: int
    to_us: int


class Lateness:
    """Which time of a rig samples came late for, until what follows from it is on record. One thread.

    `stored` is what it gave to store before a restart.
    """

    def __init__(self, rig: str, stored: str | None = None, now_us: int = 0) -> None:
        self._rig = rig
        self._open: LateSpan | None = None
        self._heard_us = now_us
        self._handed: list[LateSpan] = []
        for span in [] if stored is None else decoding.from_json(stored, list[LateSpan]):
            self._widen(span.from_us, span.to_us)

    @property
    def spans(self) -> list[LateSpan]:
        """What is to be stored for a restart."""
        return self._handed + ([] if self._open is None else [self._open])

    def take(self, first_us: int, last_us: int, newest_us: int | None, now_us: int) -> bool:
        """Take the stamps of samples; those up to `newest_us`, the newest evaluated before, are late.

        True if `spans` changed.
        """
        if newest_us is None or first_us > newest_us:
            return False
        before = self._open
        self._widen(first_us, last_us)
        self._heard_us = now_us
        return self._open != before

    def due(self, now_us: int) -> LateSpan | None:
        """Give the span once no more came for a while, and begin anew."""
        if self._open is None or now_us - self._heard_us < QUIET_US:
            return None
        span, self._open = self._open, None
        self._handed.append(span)
        return span

    def done(self, span: LateSpan) -> None:
        """Forget a span: what follows from it is on record."""
        self._handed = [each for each in self._handed if each != span]

    def _widen(self, first_us: int, last_us: int) -> None:
        known = self._open or LateSpan(self._rig, first_us, last_us)
        self._open = LateSpan(self._rig, min(known.from_us, first_us), max(known.to_us, last_us))


def anew(reader: SafetyReader, span: LateSpan, now_us: int) -> list[requests.Request]:
    """Give what the desk is to put on record for a span: figures that changed, and what was not announced.

    Last, that this is all: until then the span is done again after a restart.
    """
    asked: list[requests.Request] = []
    first_us = span.from_us
    for row in reader.sessions(span.rig, to_us=span.to_us):
        made = decoding.from_json(row.record, Session)
        if made.ended_us is None or row.summary is None:
            continue
        if made.ended_us < span.from_us:
            break
        first_us = min(first_us, made.started_us)
        summary: Any = msgspec.to_builtins(summary_of(reader, made))
        if msgspec.json.encode(summary) != row.summary.encode():
            plain = msgspec.json.decode(msgspec.json.encode(summary))
            asked.append(requests.SummaryMade(by="host", rig=span.rig, id=made.id, summary=plain, again=True))
    told = recomputed(reader, span.rig, first_us, now_us, now_us=now_us)
    if told is not None and any(told[part] for part in ("record", "alarm", "incident")):
        asked.append(requests.RecomputedMade(by="host", rig=span.rig, data=told))
    done = requests.LateDone(by="host", rig=span.rig, from_us=span.from_us, to_us=span.to_us)
    return [*asked, done]


class Recomputer:
    """Does it, in a thread of its own; what is not done when it stops is done after the next start."""

    def __init__(
        self, journal: Path, desk: Desk, utc_us: Callable[[], int] = lambda: time.time_ns() // 1000
    ) -> None:
        self._journal = journal
        self._desk = desk
        self._utc_us = utc_us
        self._worker = Worker("recompute", self._one, "could not be recomputed; `ashibar verify` shows it")
        self.start, self.stop = self._worker.start, self._worker.stop

    def add(self, span: LateSpan) -> None:
        """Recompute this span once its samples are stored."""
        self._worker.add([span])

    def _one(self, span: LateSpan) -> None:
        if self._worker.pause(STORE_S):
            return
        reader = SafetyReader(self._journal)
        try:
            for asked in anew(reader, span, self._utc_us()):
                self._desk.ask(asked)
        finally:
            reader.close()
