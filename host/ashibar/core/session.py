"""The session of a rig: who works, on whom, with which limits; notices forgotten ends and unattended use.

Pure: events come with their time (microseconds UTC). It keeps no samples; summaries are made elsewhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from ashibar.core.bodyweight import BodyWeight  # noqa: TC001 - msgspec reads the annotation
from ashibar.core.records import US_PER_S, RefusedError, require_name, require_source
from ashibar.core.units import NEWTON_PER_KG

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOADED_N: Final = 5 * NEWTON_PER_KG  # hands that rest on a bar; above any drift of a zero still in use
CLIENT_CODE: Final = re.compile(r"[A-Za-z0-9-]{1,16}")
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Phase(StrEnum):
    """Where a rig's session stands."""

    IDLE = "idle"
    LIVE = "live"
    ASKING = "asking"
    ENDED = "ended"


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What may change within a session. Newtons and fractions of body weight; None: not set."""

    body_weight: BodyWeight | None = None
    client_limit_n: float | None = None
    target_low: float | None = None
    target_high: float | None = None


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One session as it is stored. `ended_by` is "host" if it closed itself."""

    id: str
    rig: str
    therapist: str
    client_code: str
    started_us: int
    started_by: str
    started_from: str
    terms: Terms
    notes: str = ""
    ended_us: int | None = None
    ended_by: str = ""
    ended_from: str = ""
    end_reason: str = ""


class SessionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One line for the record: what happened, when, by whom, from where. `session` None: unattended use."""

    kind: str
    at_us: int
    by: str
    source: str
    session: str | None = None
    data: dict[str, Any] = {}


class SessionState(msgspec.Struct, frozen=True, kw_only=True):
    """All that must survive a restart."""

    rig: str
    phase: Phase = Phase.IDLE
    session: Session | None = None  # the newest one, also when it has ended
    quiet_since_us: int = 0  # the last load, or what counts like one: start, an answer
    unattended_from_us: int | None = None
    unattended_to_us: int = 0


@dataclass(frozen=True, slots=True)
class SessionRules:
    """When a session counts as forgotten and bars as used without one. Seconds."""

    ask_after_s: float = 900.0  # longer than any talk in mid-session
    close_after_s: float = 300.0  # after asking
    unattended_gap_s: float = 60.0  # loads closer than this are one use


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Begin a session."""

    by: str
    source: str
    therapist: str
    client_code: str
    terms: Terms = Terms()  # noqa: RUF009 - a frozen struct


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """End the session; its notes are fixed with it."""

    by: str
    source: str
    notes: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """Answer "is this session still going?" with yes."""

    by: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Change weight, limits, target or notes of the running session; None leaves as it is."""

    by: str
    source: str
    terms: Terms | None = None
    notes: str | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """The bars carried load from `from_us` to `to_us` without a break; see `loaded_runs`."""

    from_us: int
    to_us: int


@dataclass(frozen=True, slots=True)
class Clock:
    """Time has passed."""


Event = Start | End | Keep | Change | Loaded | Clock
Outcome = tuple[SessionState, tuple[SessionRecord, ...]]


def step(rules: SessionRules, state: SessionState, event: Event, now_us: int) -> Outcome:
    """Take one event; give the new state and the lines for the record.

    Raises RefusedError for what is unsigned, malformed or not possible in this phase. `Loaded` acts at its
    own times.
    """
    at_us = event.from_us if isinstance(event, Loaded) else now_us
    state, due = _deadlines(rules, state, at_us)
    if isinstance(event, Start):
        state, more = _start(state, event, at_us)
    elif isinstance(event, End):
        state, more = _end(state, event, at_us)
    elif isinstance(event, Keep):
        state, more = _keep(state, event, at_us)
    elif isinstance(event, Change):
        state, more = _change(state, event, at_us)
    elif isinstance(event, Loaded):
        state, more = _loaded(state, event)
    else:
        more = ()
    return state, due + more


def loaded_runs(
    utc_us: NDArray[np.int64], bar_n: NDArray[np.float64], threshold_n: float = LOADED_N
) -> list[Loaded]:
    """Find runs of samples with the bar load beyond threshold_n, pulled or pushed; nan is none."""
    loaded = np.abs(bar_n) > threshold_n
    number = int(np.count_nonzero(loaded))
    if not number:
        return []
    if number == len(loaded):
        return [Loaded(int(utc_us[0]), int(utc_us[-1]))]
    edges = np.flatnonzero(np.diff(loaded, prepend=False, append=False))
    return [Loaded(int(utc_us[a]), int(utc_us[b - 1])) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _deadlines(rules: SessionRules, state: SessionState, now_us: int) -> Outcome:
    records: tuple[SessionRecord, ...] = ()
    ask_us = state.quiet_since_us + round(rules.ask_after_s * US_PER_S)
    if state.phase is Phase.LIVE and now_us >= ask_us:
        state = msgspec.structs.replace(state, phase=Phase.ASKING)
        records += (_record(state, "session-asked", ask_us, {"no_load_s": rules.ask_after_s}),)
    close_us = ask_us + round(rules.close_after_s * US_PER_S)
    if state.phase is Phase.ASKING and now_us >= close_us:
        quiet_s = rules.ask_after_s + rules.close_after_s
        reason = f"closed by itself: no load for {quiet_s:g} s and no answer"
        state, more = _close(state, close_us, by="host", source="host", reason=reason)
        records += more
    over_us = state.unattended_to_us + round(rules.unattended_gap_s * US_PER_S)
    if state.unattended_from_us is not None and now_us > over_us:
        state, more = _unattended_over(state, "no load any more")
        records += more
    return state, records


def _record(
    state: SessionState,
    kind: str,
    at_us: int,
    data: dict[str, Any],
    *,
    by: str = "host",
    source: str = "host",
) -> SessionRecord:
    session = state.session.id if state.session and state.phase is not Phase.IDLE else None
    return SessionRecord(kind=kind, at_us=at_us, by=by, source=source, session=session, data=data)


def _start(state: SessionState, event: Start, at_us: int) -> Outcome:
    by, source = require_name(event.by, "to start a session"), require_source(event.source)
    if state.phase in (Phase.LIVE, Phase.ASKING) and state.session:
        raise RefusedError(
            f"{state.rig}: no running session was expected, {state.session.therapist}'s is {state.phase}: "
            "end it first."
        )
    _check_terms(event.terms)
    if not CLIENT_CODE.fullmatch(event.client_code):
        raise RefusedError(
            f"a client code of 1 to 16 letters, digits and hyphens was expected, {event.client_code!r} came: "
            "use a pseudonym, never a name."
        )
    state, before = _unattended_over(state, "a session began")
    session = Session(
        id=session_id(state.rig, at_us), rig=state.rig, started_us=at_us, started_by=by, started_from=source,
        therapist=require_name(event.therapist, "a session's therapist"), client_code=event.client_code,
        terms=event.terms,
    )  # fmt: skip
    state = msgspec.structs.replace(state, phase=Phase.LIVE, session=session, quiet_since_us=at_us)
    data = {"therapist": session.therapist, "client_code": session.client_code} | _builtins(session.terms)
    return state, (*before, _record(state, "session-started", at_us, data, by=by, source=source))


def session_id(rig: str, started_us: int) -> str:
    """Name a session by its rig and its start in UTC to the millisecond, as in room-1-20260504T101500123Z."""
    started = EPOCH + timedelta(microseconds=started_us)
    return f"{rig}-{started:%Y%m%dT%H%M%S}{started.microsecond // 1000:03d}Z"


def _check_terms(terms: Terms) -> None:
    if terms.client_limit_n is not None and not terms.client_limit_n > 0:
        raise RefusedError(f"a limit above 0 N was expected, {terms.client_limit_n:g} N came: set it anew.")
    low_high = (terms.target_low, terms.target_high)
    if low_high != (None, None) and not 0 <= (terms.target_low or 0) < (terms.target_high or 0) <= 1:
        raise RefusedError(
            "a target band of two fractions of body weight, the low one first, was expected, "
            f"{low_high} came: set both."
        )


def _close(state: SessionState, at_us: int, *, by: str, source: str, reason: str) -> Outcome:
    if state.session is None:
        return state, ()
    session = msgspec.structs.replace(
        state.session, ended_us=at_us, ended_by=by, ended_from=source, end_reason=reason
    )
    data = {"reason": reason, "last_load_us": state.quiet_since_us, "notes": session.notes}
    record = _record(state, "session-ended", at_us, data, by=by, source=source)
    return msgspec.structs.replace(state, phase=Phase.ENDED, session=session), (record,)


def _running(state: SessionState, what: str) -> Session:
    if state.session is None or state.phase not in (Phase.LIVE, Phase.ASKING):
        hint = (
            "enter a correction in the safety log" if state.phase is Phase.ENDED else "start a session first"
        )
        raise RefusedError(f"{what}: a running session was expected, {state.rig} is {state.phase}: {hint}.")
    return state.session


def _end(state: SessionState, event: End, at_us: int) -> Outcome:
    session = _running(state, "to end a session")
    by, source = require_name(event.by, "to end a session"), require_source(event.source)
    if event.notes is not None:
        state = msgspec.structs.replace(state, session=msgspec.structs.replace(session, notes=event.notes))
    return _close(state, at_us, by=by, source=source, reason="ended")


def _keep(state: SessionState, event: Keep, at_us: int) -> Outcome:
    _running(state, "to keep a session")
    by, source = require_name(event.by, "to keep a session"), require_source(event.source)
    state = msgspec.structs.replace(state, phase=Phase.LIVE, quiet_since_us=at_us)
    return state, (_record(state, "session-kept", at_us, {}, by=by, source=source),)


def _change(state: SessionState, event: Change, at_us: int) -> Outcome:
    session = _running(state, "to change a session")
    by, source = require_name(event.by, "to change a session"), require_source(event.source)
    data: dict[str, Any] = {}
    if event.terms is not None:
        _check_terms(event.terms)
        session = msgspec.structs.replace(session, terms=event.terms)
        data |= _builtins(event.terms)
    if event.notes is not None:
        session = msgspec.structs.replace(session, notes=event.notes)
        data["notes"] = event.notes
    state = msgspec.structs.replace(state, session=session)
    return state, (_record(state, "session-changed", at_us, data, by=by, source=source),)


def _loaded(state: SessionState, event: Loaded) -> Outcome:
    if state.phase in (Phase.LIVE, Phase.ASKING):
        resumed = state.phase is Phase.ASKING
        quiet_us = max(state.quiet_since_us, event.to_us)
        state = msgspec.structs.replace(state, phase=Phase.LIVE, quiet_since_us=quiet_us)
        return state, (_record(state, "session-resumed", event.from_us, {}),) if resumed else ()
    if (
        state.session is not None
        and state.session.ended_us is not None
        and event.to_us <= state.session.ended_us
    ):
        return state, ()  # a late block of the session that has just ended
    begun = state.unattended_from_us
    records: tuple[SessionRecord, ...] = ()
    if begun is None:
        begun = event.from_us
        records = (SessionRecord(kind="unattended-use-began", at_us=begun, by="host", source="host"),)
    to_us = max(state.unattended_to_us, event.to_us)
    return msgspec.structs.replace(state, unattended_from_us=begun, unattended_to_us=to_us), records


def _unattended_over(state: SessionState, why: str) -> Outcome:
    if state.unattended_from_us is None:
        return state, ()
    data = {"from_us": state.unattended_from_us, "to_us": state.unattended_to_us, "why": why}
    record = SessionRecord(
        kind="unattended-use-ended", at_us=state.unattended_to_us, by="host", source="host", data=data
    )
    return msgspec.structs.replace(state, unattended_from_us=None, unattended_to_us=0), (record,)


def _builtins(terms: Terms) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(terms)
    return plain
