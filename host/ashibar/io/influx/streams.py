"""What is no sample: sessions, alarms, incidents and node health as points of their own measurements.

Each stream gives what is new or changed since its state; the schema is in docs/influxdb.md. It sends nothing.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np

from ashibar.core import chain, decoding
from ashibar.core.incident import Incident
from ashibar.core.line_protocol import Field, lines
from ashibar.core.session import Session
from ashibar.core.session_summary import Summary

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ashibar.io.journal import SafetyReader

ROWS: Final = 500  # at once
HEALTH_NUMBERS: Final = ("uptime_s", "rssi_dbm", "rate_hz", "temperature_c")
HEALTH_COUNTS: Final = (
    *("boot", "heap_free", "samples", "frames", "sent", "resent", "held", "dropped", "dropped_samples"),
    *("decimated", "reconnects"),
)
HEALTH_SUMS: Final = ("not_ready", "desync", "saturated")
ALARM_WORDS: Final = ("key", "cause", "before", "after", "priority", "note", "session")
SUMMARY_NUMBERS: Final = (
    *("known_s", "unknown_s", "below_s", "in_target_s", "above_target_s", "mean_client_n", "motion_share"),
    "hang_s",
)
NS: Final = 1000  # in a microsecond: the last three digits keep rows of one moment apart


class Position(msgspec.Struct, frozen=True):
    """How far a stream is: rows up to `after` were written, those in `open` (with their CRC) may change."""

    after: int = 0
    open: dict[str, int] = {}


class Page(NamedTuple):
    """Lines (ns) of the next rows and where the stream is with them."""

    lines: bytes
    position: Position
    rows: int


def point(measurement: str, tags: Mapping[str, str], values: Mapping[str, Any], time_ns: int) -> bytes:
    """Return one line. Floats, ints, booleans and text keep their types; None is left out."""
    fields = []
    for name, value in values.items():
        if isinstance(value, str):
            text = " ".join(value.replace("\0", " ").splitlines())
            fields.append(Field(name, np.zeros(1, np.intp), (text,)))
        elif value is not None:
            fields.append(Field(name, np.array([value])))
    return lines(measurement, tags, fields, np.array([time_ns], np.int64))


class Streams:
    """Reads the tables. One thread, the reader's."""

    def __init__(self, studio: str) -> None:
        self._studio = studio
        self.names: dict[str, Callable[[SafetyReader, Position], Page]] = {
            "health": self.health,
            "alarm": self.alarms,
            "session": self.sessions,
            "incident": self.incidents,
        }

    def _tags(self, rig: str) -> dict[str, str]:
        return {"studio": self._studio, "rig": rig}

    def health(self, reader: SafetyReader, position: Position) -> Page:
        """Give what nodes said of themselves, once for each rig they are part of."""
        rows = reader.connection.execute(
            "SELECT h.id, h.node, n.name, h.received_us, h.record FROM health h JOIN nodes n ON n.id = h.node"
            " WHERE h.id > ? ORDER BY h.id LIMIT ?",
            (position.after, ROWS),
        ).fetchall()
        rigs = _rigs_of_nodes(reader) if rows else {}
        found = []
        for _, number, name, received_us, record in rows:
            said = msgspec.json.decode(record)
            values: dict[str, Any] = {"node": name}
            values |= {key: _float(said.get(key)) for key in HEALTH_NUMBERS}
            values |= {key: said.get(key) for key in HEALTH_COUNTS}
            values |= {key: sum(said.get(key) or [0]) for key in HEALTH_SUMS}
            for rig in rigs.get(name, ()):
                stamp = received_us * NS + number % NS
                found.append(point("health", self._tags(rig), values, stamp))
        return Page(b"".join(found), Position(rows[-1][0] if rows else position.after), len(rows))

    def alarms(self, reader: SafetyReader, position: Position) -> Page:
        """Give every step of every alarm, from the safety log."""
        after = position.after - 1  # entries count from 0
        found, rows = [], reader.log_of(kinds=("alarm",), after_seq=after, limit=ROWS)
        for line in rows:
            entry = chain.from_line(line)
            values = {key: entry.data.get(key) or "" for key in ALARM_WORDS}
            values |= {"by": entry.who, "entry": entry.seq}
            stamp = entry.utc_us * NS + entry.seq % NS
            found.append(point("alarm", self._tags(str(entry.data.get("rig"))), values, stamp))
            after = entry.seq
        return Page(b"".join(found), Position(after + 1), len(rows))

    def sessions(self, reader: SafetyReader, position: Position) -> Page:
        """Give sessions that began, and those that ended or were summed up since."""
        sql = (
            "SELECT rowid, id, record, summary FROM sessions WHERE rowid > ? OR id IN ({})"
            " ORDER BY rowid LIMIT ?"
        )
        rows = _changed(reader, sql, position)
        found, still = [], dict(position.open)
        for _, number, record, summary in rows:
            mark = zlib.crc32(f"{record}{summary}".encode())
            if still.get(number) == mark:
                continue
            session = decoding.from_json(record, Session)
            values = _session_values(session, summary)
            found.append(point("session", self._tags(session.rig), values, session.started_us * NS))
            still[number] = mark
            if session.ended_us is not None and summary is not None:
                del still[number]
        return Page(b"".join(found), Position(_after(rows, position), still), len(found))

    def incidents(self, reader: SafetyReader, position: Position) -> Page:
        """Give incidents, each again until it is complete."""
        sql = (
            "SELECT rowid, id, rig, from_us, to_us, complete, session, record FROM incidents"
            " WHERE rowid > ? OR id IN ({}) ORDER BY rowid LIMIT ?"
        )
        rows = _changed(reader, sql, position)
        found, still = [], dict(position.open)
        for row in rows:
            _, number, rig, from_us, to_us, complete, session, record = row
            mark = zlib.crc32(repr(row).encode())
            if still.get(number) == mark:
                continue
            incident = decoding.from_json(record, Incident)
            values = {
                "incident": number,
                "session": session or "",
                "seconds": (to_us - from_us) / 1e6,
                "triggers": ", ".join(dict.fromkeys(each.key for each in incident.triggers)),
                "complete": bool(complete),
            }
            found.append(point("incident", self._tags(rig), values, from_us * NS))
            still[number] = mark
            if complete:
                del still[number]
        return Page(b"".join(found), Position(_after(rows, position), still), len(found))


def _session_values(session: Session, summary: str | None) -> dict[str, Any]:
    """Return the fields of a session. The client's code stays in the journal."""
    terms, ended_us = session.terms, session.ended_us
    values: dict[str, Any] = {
        "session": session.id,
        "therapist": session.therapist,
        "ended": ended_us is not None,
        "duration_s": None if ended_us is None else (ended_us - session.started_us) / 1e6,
        "body_weight_n": None if terms.body_weight is None else _float(terms.body_weight.value_n),
        "client_limit_n": _float(terms.client_limit_n),
    }
    if summary is None:
        return values
    made = decoding.from_json(summary, Summary)
    values |= {name: _float(getattr(made, name)) for name in SUMMARY_NUMBERS}
    peaks = {"client_max_n": made.client_max, "bar_max_n": made.bar_max, "bar_min_n": made.bar_min}
    values |= {name: None if peak is None else _float(peak.value_n) for name, peak in peaks.items()}
    least_s, most_s = made.over_limit_s or (None, None)
    return values | {
        "over_limit_least_s": _float(least_s),
        "over_limit_most_s": _float(most_s),
        "hangs": made.hangs,
        "incidents": made.incidents,
        "samples": made.samples.stored,
        "missing": made.samples.missing,
    }


def _changed(reader: SafetyReader, sql: str, position: Position) -> list[Any]:
    """Return rows behind a position and those still open."""
    marks = ", ".join("?" * len(position.open))
    arguments = (position.after, *position.open, ROWS + len(position.open))
    return reader.connection.execute(sql.format(marks), arguments).fetchall()


def _after(rows: list[Any], position: Position) -> int:
    return max(position.after, max((row[0] for row in rows), default=0))


def _rigs_of_nodes(reader: SafetyReader) -> dict[str, list[str]]:
    """Return the rigs each node is part of by their newest parameters."""
    rows = reader.connection.execute(
        "SELECT rig, record FROM parameters WHERE id IN (SELECT max(id) FROM parameters GROUP BY rig)"
    )
    found: dict[str, list[str]] = {}
    for rig, record in rows:
        for node in dict.fromkeys(cell["node"] for cell in msgspec.json.decode(record)["cells"]):
            found.setdefault(node, []).append(rig)
    return found


def _float(value: Any) -> float | None:
    """Keep a field a float where the record has a whole number: its first point fixes a field's type."""
    return None if value is None else float(value)
