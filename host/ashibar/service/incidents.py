"""Incidents of one rig: spans of the signal put out of retention's reach as soon as an alarm is raised.

The samples themselves stay where they are; whoever shows an incident reads its span of the record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ashibar.core import decoding, incident
from ashibar.core.incident import Incident
from ashibar.io.journal import safety

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ashibar.core.alarm import Transition
    from ashibar.service.record import Record


class RigIncidents:
    """The newest incident and what becomes of it. One thread."""

    def __init__(self, rig: str, record: Record, kept: str | None) -> None:
        self._rig = rig
        self._record = record
        self._open: tuple[Incident, ...] = ()
        self._stored: incident.Span | None = None
        if kept is not None:
            self._open = tuple(decoding.from_json(kept, list[Incident]))

    @property
    def going_on(self) -> bool:
        """Whether an incident is not over yet."""
        return bool(self._open)

    def take(self, lines: Sequence[Transition], context: dict[str, Any], now_us: int) -> None:
        """Take what the alarms put on record; `context` has session, calibrations, zeros and limits."""
        after = incident.capture(self._open, lines, context)
        if after == self._open:
            return
        for old in after[:-1]:
            self._finish(old, now_us)
        self._open = after[-1:]
        self._store(after[-1], now_us, complete=False)

    def tick(self, passed_us: int, now_us: int) -> None:
        """Let a standing incident grow, and close one whose last sample has been taken by `passed_us`."""
        for each in self._open:
            if not each.standing and incident.is_complete(each, passed_us):
                self._finish(each, now_us)
                self._open = ()
                self._record.state(self._rig, "incident", [])
            elif each.standing and self._grown(each, now_us):
                self._store(each, now_us, complete=False)

    def _grown(self, each: Incident, now_us: int) -> bool:
        """Tell whether the stored span no longer covers the standing incident."""
        span = incident.span_of(each, now_us)
        return self._stored is None or span.to_us > self._stored.to_us

    def _store(self, each: Incident, now_us: int, *, complete: bool) -> None:
        span = incident.span_of(each, now_us)
        if each.standing and not complete:  # not a row for every tick: ten seconds ahead
            span = incident.Span(span.from_us, span.to_us + 10_000_000)
        self._stored = span
        number = f"{self._rig}-{each.id}"
        self._record.row(
            safety.INCIDENT,
            self._rig,
            number,
            span.from_us,
            span.to_us,
            int(complete),
            each.context.get("session"),
            msgspec.json.encode(each).decode(),
        )
        self._record.keep(span.from_us, span.to_us, number, now_us)
        self._record.state(self._rig, "incident", [] if complete else [each])

    def _finish(self, each: Incident, now_us: int) -> None:
        self._store(each, now_us, complete=True)
        span = incident.span_of(each, now_us)
        data = {
            "rig": self._rig,
            "session": each.context.get("session"),
            "id": f"{self._rig}-{each.id}",
            "from_us": span.from_us,
            "to_us": span.to_us,
            "triggers": msgspec.to_builtins(each.triggers),
            "context": each.context,
        }
        self._record.entry("incident", "host", data, utc_us=now_us)
