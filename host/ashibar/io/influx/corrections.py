"""Which spans were written with parameters or calibrations corrected since. It writes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from ashibar.io.influx.lanes import Lanes
    from ashibar.io.journal import SafetyReader


DAY_US: Final = 86_400_000_000  # frames may be older than the word of their calibration: a long backlog


class Correction(msgspec.Struct, frozen=True):
    """A span of a rig to be computed and written again: from, to (Unix microseconds), as far as `at_us`."""

    rig: str
    from_us: int
    to_us: int
    at_us: int
    why: str
    points: int = 0

    @property
    def entry(self) -> dict[str, Any]:
        """What the log says of it."""
        return {
            "rig": self.rig,
            "from_us": self.from_us,
            "to_us": self.to_us,
            "why": self.why,
            "points": self.points,
        }


def known_changes(reader: SafetyReader) -> dict[str, int]:
    """Return the newest parameters and calibration correction on record."""
    row = reader.connection.execute(
        "SELECT (SELECT coalesce(max(id), 0) FROM parameters),"
        " (SELECT coalesce(max(id), 0) FROM calibration_corrections)"
    ).fetchone()
    return {"parameters": row[0], "calibrations": row[1]}


def affected(
    reader: SafetyReader, seen: dict[str, int] | None, lanes: Lanes
) -> tuple[list[Correction], dict[str, int]]:
    """Return the spans that changes since `seen` make wrong in InfluxDB, and what has been seen with them.

    The first time there is nothing to correct: everything is still to be written.
    """
    now = known_changes(reader)
    if seen is None or seen == now:
        return [], now
    newest_us = _newest_us(reader, lanes.live)
    if newest_us is None:
        return [], now
    found = [*_of_parameters(reader, seen["parameters"], newest_us)]
    found += _of_calibrations(reader, seen["calibrations"], newest_us)
    return found, now


def _newest_us(reader: SafetyReader, live: int) -> int | None:
    """Return the latest time of a sample written, None before the first; a clock set back is behind it."""
    row = reader.connection.execute(
        "SELECT max(coalesce((SELECT max(utc_last_us) FROM frames WHERE id <= ?), 0),"
        " coalesce((SELECT max(last_us) FROM blocks WHERE last_id <= ?), 0))",
        (live, live),
    ).fetchone()
    return row[0] or None


def _of_parameters(reader: SafetyReader, seen: int, newest_us: int) -> list[Correction]:
    rows = reader.connection.execute(
        "SELECT p.rig, p.from_us, (SELECT min(n.from_us) FROM parameters n WHERE n.rig = p.rig"
        " AND n.from_us > p.from_us) FROM parameters p WHERE p.id > ? AND p.from_us <= ? ORDER BY p.from_us",
        (seen, newest_us),
    ).fetchall()
    return [
        Correction(rig, from_us, min(_or(next_us, newest_us + 1), newest_us + 1), from_us, "parameters")
        for rig, from_us, next_us in rows
    ]


def _of_calibrations(reader: SafetyReader, seen: int, newest_us: int) -> list[Correction]:
    """Return the time in which a node may have used a calibration, for each of its rigs."""
    rows = reader.connection.execute(
        "SELECT n.name, k.calibration, k.received_us, (SELECT min(l.received_us) FROM calibrations l"
        " WHERE l.node = k.node AND l.received_us > k.received_us)"
        " FROM calibration_corrections c JOIN calibrations k USING (node, calibration)"
        " JOIN nodes n ON n.id = c.node WHERE c.id > ?",
        (seen,),
    ).fetchall()
    records = reader.connection.execute("SELECT DISTINCT rig, record FROM parameters").fetchall()
    found = []
    for node, number, first_us, next_us in rows:
        to_us = min(_or(next_us, newest_us + 1), newest_us + 1)
        from_us = first_us - DAY_US
        rigs = sorted({rig for rig, text in records if _has_node(text, node)})
        why = f"calibration {number} of {node}"
        found += [Correction(rig, from_us, to_us, from_us, why) for rig in rigs]
    return [each for each in found if each.to_us > each.from_us]


def _has_node(record: str, node: str) -> bool:
    return any(cell["node"] == node for cell in msgspec.json.decode(record)["cells"])


def _or(value: int | None, default: int) -> int:
    return default if value is None else value
