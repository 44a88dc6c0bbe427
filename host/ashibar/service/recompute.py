"""After a late delivery: what follows from all frames goes on record, where it is not what was announced.

What was announced stays in the log as it is. The figures and alarms are `replay`'s, in a thread of its own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from ashibar.core import requests
from ashibar.core.session import Session
from ashibar.io.journal import SafetyReader
from ashibar.replay.run import summary_of
from ashibar.replay.verify import recomputed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ashibar.service.desk import Desk

log = logging.getLogger(__name__)

QUIET_US: Final = 5_000_000  # after the last late frame: the rest of the backlog follows it closely
STORE_S: Final = 1.0  # until what was handed in is on the disk


class LateSpan(NamedTuple):
    """Time of a rig of which samples came late, both ends included."""

    rig: str
    from_us: int
    to_us: int


class Lateness:
    """Which time of a rig samples came late for. One thread."""

    def __init__(self, rig: str) -> None:
        self._rig = rig
        self._from_us: int | None = None
        self._to_us = 0
        self._heard_us = 0

    def take(self, first_us: int, last_us: int, newest_us: int | None, now_us: int) -> None:
        """Take the stamps of samples; those up to `newest_us`, the newest evaluated before, are late."""
        if newest_us is None or first_us > newest_us:
            return
        self._from_us = first_us if self._from_us is None else min(self._from_us, first_us)
        self._to_us = max(self._to_us, last_us)
        self._heard_us = now_us

    def due(self, now_us: int) -> LateSpan | None:
        """Give the span once no more came for a while, and begin anew."""
        if self._from_us is None or now_us - self._heard_us < QUIET_US:
            return None
        span = LateSpan(self._rig, self._from_us, self._to_us)
        self._from_us, self._to_us = None, 0
        return span


def anew(reader: SafetyReader, span: LateSpan, now_us: int) -> list[requests.Request]:
    """Give what the desk is to put on record for a span: figures that changed, and what was not announced."""
    asked: list[requests.Request] = []
    first_us = span.from_us
    for row in reader.sessions(span.rig, to_us=span.to_us):
        made = msgspec.json.decode(row.record, type=Session)
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
    return asked


class Recomputer:
    """The thread that does it. `add` may be called from any thread."""

    def __init__(
        self, journal: Path, desk: Desk, utc_us: Callable[[], int] = lambda: time.time_ns() // 1000
    ) -> None:
        self._journal = journal
        self._desk = desk
        self._utc_us = utc_us
        self._waiting: deque[LateSpan] = deque()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recompute", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def add(self, span: LateSpan) -> None:
        """Recompute this span once its samples are stored."""
        self._waiting.append(span)
        self._wake.set()

    def stop(self) -> None:
        """End; `ashibar verify` names what was not done."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait()
            self._wake.clear()
            while self._waiting and not self._stopping.wait(STORE_S):
                self._one(self._waiting.popleft())

    def _one(self, span: LateSpan) -> None:
        reader = SafetyReader(self._journal)
        try:
            for asked in anew(reader, span, self._utc_us()):
                self._desk.ask(asked)
        except Exception:
            log.exception("%s: a late delivery could not be recomputed; `ashibar verify` shows it", span.rig)
        finally:
            reader.close()
