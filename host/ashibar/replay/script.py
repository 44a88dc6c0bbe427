"""What people did and what was set, out of the safety log and the settings: the changes of a derivation.

Settings hold for samples stamped from their moment on, actions come after the newest sample of then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from ashibar.core import chain, decoding, inspection
from ashibar.core.alarm import ACTIONS, Act, AlarmState
from ashibar.core.alarm_states import Input, State
from ashibar.core.alarm_table import ALARMS
from ashibar.core.replay import Acted, Change, HostEnd, SessionChange, Setting
from ashibar.core.session import End, Keep, SessionState, Start, Terms
from ashibar.core.settings import from_stored

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ashibar.core.chain import ChainEntry
    from ashibar.core.settings import Settings
    from ashibar.io.journal import SafetyReader

SESSION_KINDS: Final = ("session-started", "session-kept", "session-changed", "session-ended")
ALARM: Final = "alarm"
USE_BEGAN: Final = "unattended-use-began"
USE_ENDED: Final = "unattended-use-ended"
_ENTRY: Final = decoding.decoder(chain.ChainEntry)
HOST: Final = "host"
FRESH_US: Final = 1_000_000  # older data are no data: what is done then is done at its own time
LATCHING: Final = frozenset(alarm.key for alarm in ALARMS if alarm.latching)


class Set(NamedTuple):
    """Settings that hold for samples stamped `from_us` or later."""

    from_us: int
    settings: Settings


def settings_of(reader: SafetyReader, rig: str, since_us: int = 0) -> list[Set]:
    """Give the settings of a rig that were in force at `since_us` or later, oldest first."""
    known: dict[str, Settings] = {}
    found = []
    for from_us, number, record in reader.settings_of(rig, since_us):
        if number not in known:
            known[number] = from_stored(record)
        found.append(Set(from_us, known[number]))
    return found


def entries(
    reader: SafetyReader, rig: str, kinds: tuple[str, ...], from_us: int, to_us: int
) -> list[ChainEntry]:
    """Give the entries of a rig, as first written; the chain is not checked here."""
    lines = reader.log_of(from_us=from_us, to_us=to_us, kinds=kinds)
    return [entry for entry in map(_ENTRY.decode, lines) if entry.data.get("rig") == rig]


def setting_changes(history: Iterable[Set]) -> list[Change]:
    """Give the changes of limits and priorities."""
    return [
        Change(each.from_us - 1, each.from_us, Setting(each.settings.limits, each.settings.live))
        for each in history
    ]


def actions(log: Iterable[ChainEntry]) -> list[Change]:
    """Give what people did with sessions and alarms, and what the host closed by itself."""
    found = [_change(entry) for entry in log]
    return [change for change in found if change is not None]


def _change(entry: ChainEntry) -> Change | None:
    data, at_us = entry.data, entry.utc_us
    if entry.kind == ALARM:
        if entry.who == HOST or data["cause"] not in ACTIONS:
            return None
        until_us = data.get("until_us") or at_us
        act = Act(Input(data["cause"]), entry.who, data["note"], (until_us - at_us) / 1e6)
        after_us = data.get("after_us")
        return Change(at_us if after_us is None else after_us, at_us, Acted(data["key"], act))
    event = _event(entry)
    return None if event is None else Change(_after_us(data, at_us), at_us, event)


def _after_us(data: dict[str, Any], at_us: int) -> int:
    after_us = data.get("after_us")
    return at_us if after_us is None or at_us - after_us > FRESH_US else int(after_us)


def _event(entry: ChainEntry) -> Any:
    data, who = entry.data, {"by": entry.who, "source": entry.data["from"]}
    if entry.kind == "session-started":
        return Start(**who, therapist=data["therapist"], client_code=data["client_code"], terms=_terms(data))
    if entry.kind == "session-ended":
        return HostEnd() if entry.who == HOST else End(**who, notes=data["notes"])
    if entry.kind == "session-kept":
        return Keep(**who)
    if entry.kind == "session-changed":
        terms = _terms(data) if "body_weight" in data else None
        return SessionChange(**who, terms=terms, notes=data.get("notes"))
    return None


def _terms(data: dict[str, Any]) -> Terms:
    return decoding.convert({name: data.get(name) for name in Terms.__struct_fields__}, Terms)


def alarm_states(log: Iterable[ChainEntry]) -> dict[str, AlarmState]:
    """Give how the alarms stood after the transitions of a log, as far as those tell."""
    states: dict[str, AlarmState] = {}
    for entry in log:
        key = entry.data["key"]
        states[key] = _moved(states.get(key, AlarmState()), entry)
    return states


def _moved(state: AlarmState, entry: ChainEntry) -> AlarmState:
    data, at_us = entry.data, entry.utc_us
    cause, before, after = Input(data["cause"]), State(data["before"]), State(data["after"])
    conditions = {Input.RAISE: True, Input.CLEAR: False, Input.LOST: None}
    condition = conditions.get(cause, state.condition)
    latched = state.latched or (cause is Input.RAISE and data["key"].partition(":")[0] in LATCHING)
    until_us = data.get("until_us") if cause is Input.SHELVE else state.shelved_until_us
    return msgspec.structs.replace(
        state, name=after, since_us=state.since_us if after is before else at_us,
        condition=condition, raw=condition, raw_since_us=at_us if cause in conditions else state.raw_since_us,
        owed=_owed(state, cause, before, after), latched=latched and cause is not Input.INSPECT,
        acknowledged_us=at_us if cause is Input.ACKNOWLEDGE else state.acknowledged_us,
        shelved_until_us=until_us if after is State.SHELVED else None,
        by="" if entry.who == HOST else entry.who, note=data["note"] or state.note,
    )  # fmt: skip


def _owed(state: AlarmState, cause: Input, before: State, after: State) -> bool:
    """Tell whether an acknowledgement is due, by the rules of `core.alarm`."""
    if after in (State.UNACKNOWLEDGED, State.RETURNED):
        return True
    if after is not State.ERROR or cause in (Input.ACKNOWLEDGE, Input.INSPECT):
        return False
    return state.latched if before in (State.SHELVED, State.OUT_OF_SERVICE) else state.owed


def session_state(log: Iterable[ChainEntry], rig: str, now_us: int) -> SessionState:
    """Give whether the bars were in use without a session, after the entries of a log."""
    began_us: int | None = None
    for entry in log:
        began_us = entry.utc_us if entry.kind == USE_BEGAN else None
    if began_us is None:
        return SessionState(rig=rig)
    return SessionState(rig=rig, unattended_from_us=began_us, unattended_to_us=now_us)


def inspections_of(reader: SafetyReader, rig: str | None, now_us: int) -> dict[str, Any]:
    """Give inspections, ratings and what is due of a rig (None: the only one), from the log."""
    kinds = (inspection.INSPECTION, inspection.RATING, chain.CORRECTION)
    log = [chain.from_line(line) for line in reader.log_of(kinds=kinds)]
    mine = [entry for entry in chain.effective(log) if rig is None or entry.data.get("rig") == rig]
    made, ratings = inspection.read_inspections(mine), inspection.read_ratings(mine)
    dues = inspection.obligations(_subjects(reader, rig), made, ratings, now_us)
    return {"obligations": [due._asdict() for due in dues], "inspections": made, "ratings": ratings}


def inspections_due_us(reader: SafetyReader, rig: str, now_us: int) -> int | None:
    """Give when the first inspection or rating of a rig is due, None where one was never made."""
    dues = inspections_of(reader, rig, now_us)["obligations"]
    return inspection.earliest_due_us([inspection.Due(**due) for due in dues])


def _subjects(reader: SafetyReader, rig: str | None) -> Sequence[str]:
    from ashibar.replay.source import rigs  # noqa: PLC0415 - keeps this file free of frames

    names = rigs(reader) if rig is None else [rig]
    held = settings_of(reader, names[0]) if names else []
    return held[-1].settings.cells if held else ()
