"""Whether the record still says what follows from it: the chain of the log, every figure derived again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from ashibar.core import chain
from ashibar.core.alarm_table import ALARMS
from ashibar.core.compare import Difference, by_key, differences
from ashibar.replay import script
from ashibar.replay.run import derive_span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from ashibar.core.chain import ChainEntry, Head, Verdict
    from ashibar.core.replay import Derived
    from ashibar.io.journal import SafetyReader

SETTLE_US: Final = 120_000_000  # what began within the stretch has ended by then: delays, pauses in use
SESSION_RECORDS: Final = (
    *script.SESSION_KINDS, "session-asked", "session-resumed", script.USE_BEGAN, script.USE_ENDED,
)  # fmt: skip
SUMMARY: Final = "session-summary"
RECOMPUTED: Final = "recomputed"
INCIDENT: Final = "incident"
LAST_US: Final = 2**62
HOST_ALARMS: Final = frozenset(alarm.key for alarm in ALARMS if alarm.source == "host")
NO_FIGURES: Final = ("rig", "session", "from", "after_us")


class Report(NamedTuple):
    """What a comparison found: how much was compared, and each thing that is not the same.

    `host_alarms` are entries of what only the host could see: not derived, so not compared.
    """

    rig: str
    from_us: int
    to_us: int
    samples: int
    sessions: int
    alarms: int
    incidents: int
    differences: tuple[Difference, ...]
    host_alarms: int = 0


Parts = dict[str, dict[str, Any]]  # "session", "record", "alarm", "incident" -> name -> value


def verify_chain(reader: SafetyReader, heads: Sequence[Head] = ()) -> Verdict:
    """Check the safety log against itself and against heads kept elsewhere."""
    return chain.verify(reader.log_lines(), heads)


def read_heads(path: Path) -> list[Head]:
    """Read heads as `ashibar log heads` prints them; ValueError names the line that is none."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            told = json.loads(line)
            found.append(chain.Head(seq=told["seq"], hash=told["hash"], utc_us=told["utc_us"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path}, line {number}: expected a head as `ashibar log heads` prints it, came {line[:60]!r}"
                "; give the file as it was kept"
            ) from error
    return found


def verify_span(
    reader: SafetyReader,
    rig: str,
    from_us: int,
    to_us: int,
    *,
    now_us: int,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Derive a stretch again and compare it with the newest record of it; what is not over is left out."""
    begin_us, end_us = whole_sessions(reader, rig, from_us, to_us)
    derived, until_us = _derived(reader, rig, begin_us, end_us, now_us=now_us, progress=progress)
    mine = derived_parts(derived, from_us, end_us, until_us)
    for row in reader.sessions_without_summary():
        mine["session"].pop(row.id, None)  # it is summed up yet, or by the next start
    theirs = recorded_parts(reader, rig, from_us, end_us)
    found = [each for part in theirs for each in by_key(part, theirs[part], mine[part])]
    found += [Difference("action", "done", text) for text in derived.refused]
    found += _table_differences(reader, rig, from_us, end_us, theirs["session"])
    told = script.entries(reader, rig, (script.ALARM,), from_us, end_us)
    return Report(
        rig, from_us, end_us, derived.samples, len(theirs["session"]), len(theirs["alarm"]),
        len(theirs["incident"]), tuple(found), sum(not _of_signal(entry) for entry in told),
    )  # fmt: skip


def _derived(
    reader: SafetyReader,
    rig: str,
    begin_us: int,
    end_us: int,
    *,
    now_us: int,
    progress: Callable[[int], None] | None = None,
) -> tuple[Derived, int]:
    """Derive a stretch as far as a daemon has come, and give up to when that is."""
    settled_us = end_us + SETTLE_US
    seen_us, watched_us = _watched_until(reader, rig, now_us)
    until_us = min(settled_us, watched_us)
    told_us = min(settled_us, now_us)
    derived = derive_span(reader, rig, begin_us, until_us, progress, seen_us=seen_us, told_us=told_us)
    return derived, until_us


def _watched_until(reader: SafetyReader, rig: str, now_us: int) -> tuple[int, int]:
    """Give the newest sample whose consequences are on record, and up to when those of silence are.

    A daemon stores both with the entries. What it has not come to yet, or its next start will, is no
    difference.
    """
    kept = json.loads(reader.rig_state(rig).get("alarms", "{}"))
    if kept.get("until_us") is not None and kept["last_us"] is not None:
        return kept["last_us"], min(now_us, kept["until_us"])
    lines = reader.log_of(kinds=("daemon-started", "daemon-stopped"))
    last = json.loads(lines[-1]) if lines else {}
    return LAST_US, min(now_us, last["utc_us"]) if last.get("kind") == "daemon-stopped" else now_us


def whole_sessions(reader: SafetyReader, rig: str, from_us: int, to_us: int) -> tuple[int, int]:
    """Widen a stretch to the sessions that reach into or out of it."""
    before = reader.sessions(rig, to_us=from_us, limit=1)  # what a session begins with is set at its start
    inside = reader.sessions(rig, from_us=from_us, to_us=to_us, limit=1)
    begin_us, end_us = from_us, to_us
    for row in before:
        told = json.loads(row.record)
        if told["ended_us"] is None or told["ended_us"] >= from_us:
            begin_us = told["started_us"] - 1
    for row in inside:
        end_us = max(end_us, json.loads(row.record)["ended_us"] or to_us)
    return begin_us, end_us


def derived_parts(derived: Derived, from_us: int, to_us: int, until_us: int) -> Parts:
    """Give what was derived by name, as far as it happened within the stretch."""
    plain: dict[str, Any] = msgspec.to_builtins(derived)
    sessions = {
        each["session"]["id"]: each
        for each in plain["sessions"]
        if from_us <= each["session"]["started_us"] <= to_us and each["summary"] is not None
    }
    records = [(line["kind"], line["at_us"], {"by": line["by"], **line["data"]}) for line in plain["records"]]
    alarms = [(f"{line['key']} {line['cause']}", line["at_us"], _line(line)) for line in plain["alarms"]]
    over = [each for each in plain["incidents"] if not each["standing"] and each["to_us"] <= until_us]
    spans = [(each["id"], each["triggers"][0]["at_us"], _span(each)) for each in over]
    return {"session": sessions} | {
        part: _named(lines, from_us, to_us)
        for part, lines in (("record", records), ("alarm", alarms), ("incident", spans))
    }


def _line(line: dict[str, Any]) -> dict[str, Any]:
    return {name: line[name] for name in ("before", "after", "priority", "by", "note")}


def _span(line: dict[str, Any]) -> dict[str, Any]:
    return {name: line[name] for name in ("from_us", "to_us", "triggers")}


def _named(lines: Iterable[tuple[str, int, Any]], from_us: int, to_us: int) -> dict[str, Any]:
    """Name lines by what and when; what happened several times in one moment is numbered."""
    found: dict[str, Any] = {}
    for what, at_us, data in lines:
        if from_us <= at_us <= to_us:
            name, count = f"{what} at {at_us}", 1
            while name in found:
                count += 1
                name = f"{what} at {at_us} ({count})"
            found[name] = data
    return found


def recorded_parts(reader: SafetyReader, rig: str, from_us: int, to_us: int) -> Parts:
    """Give the newest record of the stretch: as recomputed after a late delivery, else as announced."""
    anew = [
        entry for entry in script.entries(reader, rig, (RECOMPUTED,), 0, LAST_US)
        if entry.data["from_us"] <= to_us and entry.data["to_us"] >= from_us
    ]  # fmt: skip
    parts: Parts = {
        "session": dict(_sessions(reader, rig, from_us, to_us)),
        "record": {},
        "alarm": {},
        "incident": {},
    }
    for entry in anew:
        _replace(parts, entry.data, from_us, to_us)

    def stands(entry: ChainEntry, at_us: int) -> bool:
        later = (each for each in anew if each.seq > entry.seq)
        return not any(each.data["from_us"] <= at_us <= each.data["to_us"] for each in later)

    records = script.entries(reader, rig, SESSION_RECORDS, from_us, to_us)
    told = [(e.kind, e.utc_us, _record(e)) for e in records if stands(e, e.utc_us)]
    parts["record"] |= _named(told, from_us, to_us)
    alarms = [e for e in script.entries(reader, rig, (script.ALARM,), from_us, to_us) if _of_signal(e)]
    lines = [
        (f"{e.data['key']} {e.data['cause']}", e.utc_us, _alarm(e)) for e in alarms if stands(e, e.utc_us)
    ]
    parts["alarm"] |= _named(lines, from_us, to_us)
    spans = [
        (e.data["id"].removeprefix(f"{rig}-"), e.data["triggers"][0]["at_us"], _span(e.data))
        for e in script.entries(reader, rig, (INCIDENT,), from_us, LAST_US)
        if stands(e, e.data["triggers"][0]["at_us"])
    ]
    parts["incident"] |= _named(spans, from_us, to_us)
    return parts


def _replace(parts: Parts, data: dict[str, Any], from_us: int, to_us: int) -> None:
    """Let a recomputed record stand for earlier ones within its span."""
    for part in ("record", "alarm", "incident"):
        kept = {
            name: value
            for name, value in parts[part].items()
            if not _within(name, data["from_us"], data["to_us"])
        }
        fresh = {name: value for name, value in data[part].items() if _within(name, from_us, to_us)}
        parts[part] = kept | fresh


def _within(name: str, from_us: int, to_us: int) -> bool:
    return from_us <= int(name.partition(" at ")[2].partition(" ")[0]) <= to_us


def _sessions(reader: SafetyReader, rig: str, from_us: int, to_us: int) -> Iterator[tuple[str, Any]]:
    """Give ended sessions that began within the stretch, figures as the log has them, the newest ones."""
    figures = {
        entry.data["session"]: entry.data["summary"]
        for entry in script.entries(reader, rig, (SUMMARY,), from_us, LAST_US)
    }
    for row in reader.sessions(rig, from_us=from_us, to_us=to_us):
        told = json.loads(row.record)
        if told["ended_us"] is not None and row.id in figures:
            yield row.id, {"session": told, "summary": figures[row.id]}


def _record(entry: ChainEntry) -> dict[str, Any]:
    return {"by": entry.who} | {k: v for k, v in entry.data.items() if k not in NO_FIGURES}


def _alarm(entry: ChainEntry) -> dict[str, Any]:
    by = "" if entry.who == script.HOST else entry.who
    return {"before": entry.data["before"], "after": entry.data["after"], "priority": entry.data["priority"],
            "by": by, "note": entry.data["note"]}  # fmt: skip


def _of_signal(entry: ChainEntry) -> bool:
    return entry.data["key"].partition(":")[0] not in HOST_ALARMS


def _table_differences(
    reader: SafetyReader, rig: str, from_us: int, to_us: int, sessions: dict[str, Any]
) -> Iterator[Difference]:
    """Compare the table that lists are read from with the log."""
    for row in reader.sessions(rig, from_us=from_us, to_us=to_us):
        logged = sessions.get(row.id)
        kept = None if row.summary is None else json.loads(row.summary)
        if logged is not None:
            yield from differences(f"session {row.id} in the table", kept, logged["summary"])


def recomputed(
    reader: SafetyReader, rig: str, from_us: int, to_us: int, *, now_us: int
) -> dict[str, Any] | None:
    """Give the data of an entry `recomputed`, if the newest record of the stretch is not what follows now.

    For the daemon, after a late delivery. What was announced stays in the log.
    """
    report = verify_span(reader, rig, from_us, to_us, now_us=now_us)
    if not report.differences:
        return None
    begin_us, end_us = whole_sessions(reader, rig, from_us, to_us)
    derived, until_us = _derived(reader, rig, begin_us, end_us, now_us=now_us)
    parts = derived_parts(derived, from_us, end_us, until_us)
    told = {part: parts[part] for part in ("record", "alarm", "incident")}
    return {"rig": rig, "from_us": from_us, "to_us": end_us, **told}
