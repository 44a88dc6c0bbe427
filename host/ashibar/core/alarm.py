"""One alarm after ISA-18.2: what follows from an observation, a deadline or a person's action.

Time comes in with the event (signal time, microseconds UTC). It knows no signal; conditions are elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import msgspec

from ashibar.core.alarm_states import ROWS, Fact, Input, Priority, State
from ashibar.core.records import RefusedError, require_name, require_text, seconds_us


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmDefinition:
    """One alarm of the table: everything about it, said once. Forces in newtons, times in seconds."""

    key: str
    kind: str  # "limit" or "technical"
    source: str  # "signal": recomputable from the record; "host": observed by the daemon
    per: str  # "rig", "bar" or "cell": one instance each
    condition: str
    limit: str | None = None  # the name of the studio's figure without which it is not armed
    on_delay_s: float = 0.0
    off_delay_s: float = 0.0
    deadband_n: float = 0.0
    priority: Priority
    priority_in_session: Priority | None = None
    latching: bool = False
    realarm_after_s: float | None = None
    shelve_limit_s: float = 0.0  # 0: may not be shelved
    message: str
    what_to_do: str

    def in_session(self) -> AlarmDefinition:
        """Give the same alarm with the priority it has while a session is live."""
        return replace(self, priority=self.priority_in_session or self.priority)


NOT_EVALUATED: Final = "not evaluated yet"


class AlarmState(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of one alarm between events. `condition` has passed its delays, `raw` not yet."""

    name: State = State.ERROR  # never evaluated yet is not normal
    since_us: int = 0
    condition: bool | None = None
    raw: bool | None = None
    raw_since_us: int = 0
    owed: bool = False
    latched: bool = False
    acknowledged_us: int | None = None
    shelved_until_us: int | None = None
    by: str = ""
    note: str = NOT_EVALUATED


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an alarm's record: what happened, when, who did it ('' for the signal)."""

    key: str
    at_us: int
    cause: Input
    before: State
    after: State
    priority: Priority
    by: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Observe:
    """The condition at this moment: true, false, or None where it cannot be evaluated."""

    truth: bool | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed: deadlines due by now take effect, each at its own moment."""


@dataclass(frozen=True, slots=True)
class Escalate:
    """The danger behind an acknowledged alarm has grown: the acknowledgement no longer counts."""

    why: str


@dataclass(frozen=True, slots=True)
class Act:
    """A person's action. `note` is the reason or finding; `for_s` is the time on the shelf."""

    what: Input
    by: str
    note: str = ""
    for_s: float = 0.0


Event = Observe | Tick | Escalate | Act
ACTIONS = (Input.ACKNOWLEDGE, Input.INSPECT, Input.SHELVE, Input.UNSHELVE, Input.REMOVE, Input.RESTORE)
_NEEDS_REASON = (Input.SHELVE, Input.REMOVE, Input.INSPECT)


def step(
    definition: AlarmDefinition, state: AlarmState, event: Event, now_us: int
) -> tuple[AlarmState, tuple[Transition, ...]]:
    """Take one event at `now_us`; give the new state and what goes on record.

    Raises RefusedError for an action without a name, without a reason where one is due, or not possible now.
    """
    state, due = _deadlines(definition, state, now_us)
    if isinstance(event, Observe):
        state, more = _observe(definition, state, event, now_us)
    elif isinstance(event, Escalate):
        state, more = _apply(definition, state, Input.ESCALATE, now_us, note=event.why)
    elif isinstance(event, Act):
        state, more = _act(definition, state, event, now_us)
    else:
        more = ()
    return state, due + more


def next_deadline_us(definition: AlarmDefinition, state: AlarmState) -> int | None:
    """Give the moment at which the state changes without any event: end of the shelf, or the re-alarm."""
    if state.name is State.SHELVED:
        return state.shelved_until_us
    if state.name is State.ACKNOWLEDGED and state.condition and definition.realarm_after_s is not None:
        return (state.acknowledged_us or 0) + seconds_us(definition.realarm_after_s)
    return None


def delay_deadline_us(definition: AlarmDefinition, state: AlarmState) -> int | None:
    """Give the moment from which the same observation once more passes its delay; None if none waits."""
    if state.raw is None or state.raw == state.condition:
        return None
    delay_s = definition.on_delay_s if state.raw else definition.off_delay_s
    return state.raw_since_us + seconds_us(delay_s)


def _deadlines(
    definition: AlarmDefinition, state: AlarmState, now_us: int
) -> tuple[AlarmState, tuple[Transition, ...]]:
    due_us = next_deadline_us(definition, state)
    if due_us is None or due_us > now_us:
        return state, ()
    if state.name is State.SHELVED:
        return _apply(definition, state, Input.EXPIRE, due_us, note="time on the shelf is over")
    return _apply(definition, state, Input.ESCALATE, due_us, note="still present since it was acknowledged")


def _observe(
    definition: AlarmDefinition, state: AlarmState, event: Observe, now_us: int
) -> tuple[AlarmState, tuple[Transition, ...]]:
    if event.truth is not state.raw:
        state = msgspec.structs.replace(state, raw=event.truth, raw_since_us=now_us)
    if event.truth is state.condition:
        return state, ()
    if event.truth is None:
        state = msgspec.structs.replace(state, condition=None)
        return _apply(definition, state, Input.LOST, now_us, note=event.detail)
    due_us = delay_deadline_us(definition, state)
    # A first "false" after not knowing has nothing to delay: no alarm was standing on it.
    waits = due_us is not None and now_us < due_us and (event.truth or state.condition is not None)
    if waits:
        return state, ()
    cause = Input.RAISE if event.truth else Input.CLEAR
    latched = state.latched or (event.truth and definition.latching)
    state = msgspec.structs.replace(state, condition=event.truth, latched=latched)
    return _apply(definition, state, cause, now_us, note=event.detail)


def _act(
    definition: AlarmDefinition, state: AlarmState, event: Act, now_us: int
) -> tuple[AlarmState, tuple[Transition, ...]]:
    what = f"to {event.what}" if event.what is not Input.INSPECT else "recording an inspection"
    if event.what not in ACTIONS:
        raise RefusedError(f"one of {', '.join(ACTIONS)} was expected, {event.what!r} came: choose one.")
    by = require_name(event.by, f"{definition.key}: {what}")
    if event.what in _NEEDS_REASON:
        require_text(event.note, f"{definition.key}: {what}: a reason or finding")
    after = _match(state, event.what)
    if after is None:
        raise RefusedError(f"{definition.key}: {_why_not(definition, state, event.what)}")
    if event.what is Input.SHELVE:
        state = _shelve_until(definition, state, event, now_us)
    if event.what is Input.INSPECT:
        state = msgspec.structs.replace(state, latched=False)
    return _move(definition, state, after, event.what, now_us, by=by, note=event.note)


def _shelve_until(definition: AlarmDefinition, state: AlarmState, event: Act, now_us: int) -> AlarmState:
    if not 0 < event.for_s <= definition.shelve_limit_s:
        limit_s = definition.shelve_limit_s
        allowed = f"at most {limit_s:g} s" if limit_s else "no shelving at all"
        raise RefusedError(
            f"{definition.key}: {allowed} is allowed, {event.for_s:g} s came: "
            "acknowledge it, or remove it from service with a reason."
        )
    return msgspec.structs.replace(state, shelved_until_us=now_us + seconds_us(event.for_s))


def _why_not(definition: AlarmDefinition, state: AlarmState, what: Input) -> str:
    if what is Input.ACKNOWLEDGE:
        return f"an unacknowledged alarm was expected, it is {state.name}: nothing to acknowledge."
    if what is Input.INSPECT and not definition.latching:
        return "a latching alarm was expected, this one is not: acknowledge it instead."
    if what is Input.INSPECT and not state.latched:
        return "a latched alarm was expected, it has not tripped: enter the inspection in the log alone."
    if what is Input.INSPECT:
        return "the condition is still present: take the load off, inspect, then record it."
    if what is Input.SHELVE:
        return f"it is {state.name} already: take it back first, so that the time stays limited."
    return f"this is not possible while it is {state.name}: look at its state and choose another action."


def _facts(state: AlarmState) -> frozenset[Fact]:
    facts = {Fact.PRESENT if state.condition else Fact.GONE}
    if state.condition is None:
        facts.add(Fact.UNKNOWN)
    if state.latched:
        facts.add(Fact.LATCHED)
    if state.owed:
        facts.add(Fact.OWED)
    return frozenset(facts)


def _match(state: AlarmState, cause: Input) -> State | None:
    facts = _facts(state)
    for row in ROWS.get((state.name, cause), ()):
        if row.given <= facts:
            return row.next
    return None


def _apply(
    definition: AlarmDefinition, state: AlarmState, cause: Input, at_us: int, *, by: str = "", note: str = ""
) -> tuple[AlarmState, tuple[Transition, ...]]:
    after = _match(state, cause)
    if after is None:
        return state, ()
    return _move(definition, state, after, cause, at_us, by=by, note=note)


def _move(
    definition: AlarmDefinition,
    state: AlarmState,
    after: State,
    cause: Input,
    at_us: int,
    *,
    by: str,
    note: str,
) -> tuple[AlarmState, tuple[Transition, ...]]:
    before = state.name
    if after is before and cause is Input.LOST:
        return state, ()  # still unknown, and the record has it
    moved = msgspec.structs.replace(
        state,
        name=after,
        since_us=state.since_us if after is before else at_us,
        owed=_owed(before, after, cause, state),
        acknowledged_us=at_us if cause is Input.ACKNOWLEDGE else state.acknowledged_us,
        shelved_until_us=state.shelved_until_us if after is State.SHELVED else None,
        by=by or ("" if cause is Input.RAISE else state.by),
        note=note or ("" if state.note == NOT_EVALUATED else state.note),
    )
    line = Transition(
        key=definition.key, at_us=at_us, cause=cause, before=before, after=after,
        priority=definition.priority, by=by, note=note,
    )  # fmt: skip
    return moved, (line,)


def _owed(before: State, after: State, cause: Input, state: AlarmState) -> bool:
    if after in (State.UNACKNOWLEDGED, State.RETURNED):
        return True
    if after is not State.ERROR or cause in (Input.ACKNOWLEDGE, Input.INSPECT):
        return False
    if before in (State.SHELVED, State.OUT_OF_SERVICE):
        return state.latched
    return state.owed
