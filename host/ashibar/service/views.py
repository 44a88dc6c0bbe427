"""What the interfaces read: from memory as it is now, and from the record with a connection of its own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ashibar.core import chain, decoding
from ashibar.core.bodyweight import BodyWeight
from ashibar.core.incident import Incident
from ashibar.core.session import Session
from ashibar.io.journal import SafetyReader
from ashibar.service import actions, sessions, weights
from ashibar.service.desk import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from pathlib import Path

    from ashibar.core.requests import Request
    from ashibar.io.journal import IncidentRow
    from ashibar.service.desk import Desk
    from ashibar.service.rig_service import RigService
    from ashibar.service.service import Service

MOST: Final = 10_000  # rows of one answer


class Views:
    """The ServiceProvider of the web edge. Any thread: what it reads in memory is immutable."""

    def __init__(self, journal: Path, service: Service, desk: Desk) -> None:
        self._journal = journal
        self._service = service
        self._desk = desk

    def ask(self, request: Request) -> Future[Any]:
        """Hand a request in."""
        return self._desk.ask(request)

    def view(self, what: str, rig: str | None) -> Any:
        """Return what is so now. NotFoundError for an unknown rig."""
        return _VIEWS[what](self._service.rig(rig), time.time_ns() // 1000)

    def look(self, what: str, **chosen: Any) -> Any:
        """Return what is on record. NotFoundError for a session there is not."""
        if chosen.get("rig") is not None:
            self._service.rig(chosen["rig"])
        if "limit" in chosen:
            chosen["limit"] = max(0, min(chosen["limit"], MOST))
        reader = SafetyReader(self._journal)
        try:
            return _LOOKS[what](reader, **chosen)
        finally:
            reader.close()


def _current(rig: RigService, now_us: int) -> Any:
    page, running = rig.session.page(now_us), rig.session.newest
    return page | {"session": None if running is None else sessions.answer(running)}


def _limits(rig: RigService, _now_us: int) -> Any:
    limits, target = rig.alarms.limits, rig.live.params.target
    names = rig.live.params.names
    return {
        "rig": rig.name,
        "client_limit_n": limits.client_limit_n,
        "target_low": target.low,
        "target_high": target.high,
        "body_weight_n": limits.body_weight_n,
        "rig_rating_n": limits.rig_rating_n,
        "working_load_n": dict(zip(names, limits.working_load_n, strict=True)),
        "noise_record_n": dict(zip(names, limits.noise_record_n, strict=True)),
    }


_VIEWS: Final[dict[str, Callable[[RigService, int], Any]]] = {
    "current": _current,
    "hang_test": lambda rig, _: rig.hang.answer(),
    "alarms": actions.alarm_answers,
    "inspections": lambda rig, now_us: rig.inspections.answer(now_us),
    "limits": _limits,
}


def _sessions(reader: SafetyReader, **chosen: Any) -> Any:
    return [_session(row.record, row.summary) for row in reader.sessions(**chosen)]


def _one_session(reader: SafetyReader, *, number: str) -> Any:
    row = reader.session(number)
    if row is None:
        raise NotFoundError(f"a session was expected, {number!r} came: `ashibar sessions` lists them")
    return _session(row.record, row.summary)


def _session(record: str, summary: str | None) -> Any:
    return sessions.answer(decoding.from_json(record, Session), summary)


def _weights(reader: SafetyReader, therapist: str | None = None) -> Any:
    rows = reader.weights(therapist)
    return [weights.answer(name, decoding.from_json(text, BodyWeight)) for name, text in rows]


def _incidents(reader: SafetyReader, **chosen: Any) -> Any:
    return [_incident(row) for row in reader.incidents(**chosen)]


def _incident(row: IncidentRow) -> Any:
    made = decoding.from_json(row.record, Incident)
    told = {name: getattr(row, name) for name in ("id", "rig", "session", "from_us", "to_us", "complete")}
    return told | {"triggers": made.triggers, "context": made.context}


def _log(reader: SafetyReader, *, kind: str | None = None, **chosen: Any) -> Any:
    kinds = () if kind is None else tuple(kind.split(","))
    return [msgspec.json.decode(line) for line in reader.log_of(kinds=kinds, **chosen)]


def _head(reader: SafetyReader) -> Any:
    line = reader.log_head()
    return None if line is None else chain.head_of(chain.from_line(line))


_LOOKS: Final[dict[str, Callable[..., Any]]] = {
    "sessions": _sessions,
    "session": _one_session,
    "weights": _weights,
    "incidents": _incidents,
    "log": _log,
    "head": _head,
}
