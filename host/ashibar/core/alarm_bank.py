"""All alarms of one rig together: blocks of signal, host observations and actions in, transitions out.

Only samples at which something can change reach the state machines; the result is that of feeding every one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from msgspec import structs

from ashibar.core.alarm import (
    Act,
    AlarmState,
    Escalate,
    Observe,
    Tick,
    delay_deadline_us,
    next_deadline_us,
    step,
)
from ashibar.core.alarm_calm import calm
from ashibar.core.alarm_conditions import LOST_AFTER_US, Carry, evaluate_conditions, first_carry
from ashibar.core.alarm_states import Input, Priority, State
from ashibar.core.hands import AWAITED, Hands
from ashibar.core.records import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from ashibar.core.alarm import AlarmDefinition, Event, Transition
    from ashibar.core.alarm_conditions import Plan, SignalBlock, Truths

LOST_NOTE: Final = "not readable for 0.5 s"
DISARMED_NOTE: Final = "its limit was taken away"
NOT_ARMED: Final = "not-armed"  # shown where an alarm has no limit and nothing of it is left to answer
AWAITS_HANDS_NOTE: Final = "not armed yet: it waits for the first load on the bars, 2 kg for 1 s"
OF_CLIENT: Final = "client_limit_n"
NO_LIMIT_NOTES: Final = {
    "rig_rating_n": "not armed, no rating entered: enter one (ashibar inspect rating)",
    "working_load_n": "not armed, no working load set: set working_load_kg of this hanger",
}
# What may be done with an alarm that is not armed: answer for what it was, and put it back.
UNARMED_ACTIONS: Final = (Input.ACKNOWLEDGE, Input.INSPECT, Input.UNSHELVE, Input.RESTORE)


@dataclass(frozen=True, slots=True)
class Bank:
    """The state of all alarms of a plan, in its order. `states` is what must survive a restart."""

    states: tuple[AlarmState, ...]
    carry: Carry
    known_us: NDArray[np.int64]  # [signals], when each was last evaluated; -1 never
    last_true: NDArray[np.bool_]  # [signals], what was last observed
    waiting: frozenset[int] = frozenset()  # columns with a delay or a deadline running
    last_us: int | None = None  # the newest sample seen
    live: bool = False


class AlarmView(NamedTuple):
    """One alarm as a person sees it. `armed` False: it has no limit, or waits for hands; it warns of nothing.

    `state` is one of `State`, or NOT_ARMED.
    """

    key: str
    state: str
    armed: bool
    latched: bool
    priority: Priority
    since_us: int
    message: str
    what_to_do: str
    note: str
    by: str
    shelved_until_us: int | None


def first_bank(
    plan: Plan,
    states: Mapping[str, AlarmState] | None = None,
    last_us: int | None = None,
    *,
    live: bool = False,
    hands: Hands = Hands(),  # noqa: B008 - a frozen struct
) -> Bank:
    """Begin without a memory, or with the `states` by key, newest sample, `live`, `hands` of an earlier run.

    What needs a stretch of signal (stuck, noise, uneven hangers, the rise of a fall) begins anew.
    """
    kept = states or {}
    chosen = tuple(kept.get(alarm.key, AlarmState()) for alarm in plan.alarms)
    carry = first_carry(plan)
    raised = np.array([bool(state.raw) for state in chosen[: plan.signals]])
    levels = 3 + len(plan.cells)
    above = carry.above.copy()
    above[:levels] = raised[:levels]
    known_us = np.full(plan.signals, -1 if last_us is None else last_us, dtype=np.int64)
    waiting = _waiting(plan, chosen, range(len(chosen)))
    return Bank(chosen, replace(carry, above=above, hands=hands), known_us, raised, waiting, last_us, live)


def states_by_key(plan: Plan, bank: Bank) -> dict[str, AlarmState]:
    """Give what `first_bank` takes after a restart."""
    return {alarm.key: state for alarm, state in zip(plan.alarms, bank.states, strict=True)}


def advance(plan: Plan, bank: Bank, block: SignalBlock) -> tuple[Bank, tuple[Transition, ...]]:
    """Evaluate a block that follows what was seen before; give the transitions in order of time.

    Stamps that go back are a clock that was set: alarms keep their states, and delays begin anew from there.
    """
    untouched = _untouched(plan, bank, block)
    if untouched is not None:
        return untouched, ()
    lines: tuple[Transition, ...] = ()
    for stretch in block.stretches():
        if bank.last_us is not None and stretch.utc_us[0] <= bank.last_us:
            bank = _restarted(plan, bank)
        bank, more = _advance(plan, bank, stretch)
        lines += more
    return bank, lines


def _untouched(plan: Plan, bank: Bank, block: SignalBlock) -> Bank | None:
    """Return the bank after a block in which plainly nothing happens, else None: then every sample is asked.

    Nothing waits, nothing holds, all was known to the last sample, and no condition of the block holds. Most
    blocks are so, and this costs a third.
    """
    last_us = bank.last_us
    if (
        last_us is None
        or not len(block.utc_us)
        or bank.last_true.any()
        or int(bank.known_us.min()) != last_us
    ):
        return None
    if any(column >= plan.signals or plan.armed[column] for column in bank.waiting):
        return None
    carry = calm(plan, bank.carry, block, last_us)
    if carry is None:
        return None
    end_us = int(block.utc_us[-1])
    known_us = np.full_like(bank.known_us, end_us)
    return Bank(bank.states, carry, known_us, bank.last_true, bank.waiting, end_us, bank.live)


def _restarted(plan: Plan, bank: Bank) -> Bank:
    """Forget all that rests on time before, as it can no longer be compared."""
    states = {
        alarm.key: structs.replace(state, raw=None) if column < plan.signals else state
        for column, (alarm, state) in enumerate(zip(plan.alarms, bank.states, strict=True))
    }
    above = bank.carry.above
    hands = structs.replace(bank.carry.hands, since_us=None, last_us=None)
    fresh = first_bank(plan, states, live=bank.live, hands=hands)
    return replace(fresh, carry=replace(fresh.carry, above=above), last_true=bank.last_true)


def _advance(plan: Plan, bank: Bank, block: SignalBlock) -> tuple[Bank, tuple[Transition, ...]]:
    times = block.utc_us
    gaps = _has_gaps(times, bank.last_us)
    truths, carry = evaluate_conditions(plan, bank.carry, block, bank.last_us)
    columns = _columns(plan, bank, truths, gaps=gaps)
    states, lines = list(bank.states), _none()
    for column in columns:
        run = _Run(_alarms(plan, bank)[column], states[column], int(bank.known_us[column]))
        states[column], own = _follow(plan, run, truths, column, times)
        lines += own
    for column in sorted(bank.waiting):
        if column >= plan.signals:
            states[column], more = step(_alarms(plan, bank)[column], states[column], Tick(), int(times[-1]))
            lines += more
    touched = bank.waiting | set(columns)
    waiting = (bank.waiting - touched) | _waiting(plan, states, touched)
    after = Bank(
        tuple(states), carry, _known(bank.known_us, truths, times), _last_true(bank.last_true, truths),
        waiting, int(times[-1]), bank.live,
    )  # fmt: skip
    return after, tuple(sorted(lines, key=lambda line: line.at_us))


def _has_gaps(times: NDArray[np.int64], before_us: int | None) -> bool:
    first = int(times[0]) - before_us if before_us is not None else 0
    return first >= LOST_AFTER_US or bool(len(times) > 1 and np.diff(times).max() >= LOST_AFTER_US)


def _columns(plan: Plan, bank: Bank, truths: Truths, *, gaps: bool) -> list[int]:
    """Give the columns in which something may change in this block; all others need no look."""
    busy = (truths.true != bank.last_true).any(axis=0)
    if gaps:
        busy[:] = True
    if bank.last_us is not None:
        busy |= (
            bank.known_us < bank.last_us
        )  # unknown at the end of the last block: it may have been lost since
    if not truths.all_known:
        busy |= ~truths.known.all(axis=0)
    chosen = set(np.flatnonzero(busy).tolist()) | {c for c in bank.waiting if c < plan.signals}
    return sorted(column for column in chosen if plan.armed[column])


def _waiting(plan: Plan, states: Sequence[AlarmState], columns: Iterable[int]) -> frozenset[int]:
    """Of `columns`, give those with a delay or deadline running, or not readable until now."""
    return frozenset(
        column
        for column in columns
        if delay_deadline_us(plan.alarms[column], states[column]) is not None
        or next_deadline_us(plan.alarms[column], states[column]) is not None
        or (states[column].raw is None and column < plan.signals)
    )


def _known(before: NDArray[np.int64], truths: Truths, times: NDArray[np.int64]) -> NDArray[np.int64]:
    if truths.all_known:
        return np.full_like(before, times[-1])
    latest = np.where(truths.known, times[:, None], -1).max(axis=0)
    known: NDArray[np.int64] = np.maximum(before, latest)
    return known


def _last_true(before: NDArray[np.bool_], truths: Truths) -> NDArray[np.bool_]:
    if truths.all_known:
        newest: NDArray[np.bool_] = truths.true[-1]
        return newest
    last = len(truths.known) - 1 - np.argmax(truths.known[::-1], axis=0)
    held = np.take_along_axis(truths.true, last[None, :], axis=0)[0]
    return np.where(truths.known.any(axis=0), held, before)


def _alarms(plan: Plan, bank: Bank) -> tuple[AlarmDefinition, ...]:
    return plan.live_alarms if bank.live else plan.alarms


def _none() -> list[Transition]:
    return []


class _Run(NamedTuple):
    alarm: AlarmDefinition
    state: AlarmState
    known_us: int  # before the block; -1 never


def _follow(
    plan: Plan, run: _Run, truths: Truths, column: int, times: NDArray[np.int64]
) -> tuple[AlarmState, list[Transition]]:
    """Take one alarm through a block, stopping only where its truth changes, a delay ends or it is lost."""
    alarm, state, lines = run.alarm, run.state, _none()
    rows = np.flatnonzero(truths.known[:, column])
    at_us, true = times[rows], truths.true[rows, column]

    def take(event: Event, now_us: int) -> None:
        nonlocal state
        state, more = step(alarm, state, event, now_us)
        lines.extend(more)

    def see(position: int) -> None:
        truth = bool(true[position])
        take(Observe(truth, truths.detail(plan, column, int(rows[position]))), int(at_us[position]))

    cursor, known_us = 0, run.known_us
    for position in [*_stops(state, true, at_us, known_us), len(rows)]:
        due_us = delay_deadline_us(alarm, state)
        ripe = int(np.searchsorted(at_us, due_us)) if due_us is not None else position
        if cursor <= ripe < position:
            see(ripe)
        if position == len(rows):
            break
        before_us = int(at_us[position - 1]) if position else known_us
        if before_us >= 0 and at_us[position] - before_us >= LOST_AFTER_US:
            take(Observe(None, LOST_NOTE), before_us + LOST_AFTER_US)
        see(position)
        cursor = position + 1
    known_us = int(at_us[-1]) if len(rows) else known_us
    if known_us >= 0 and times[-1] - known_us >= LOST_AFTER_US:
        take(Observe(None, LOST_NOTE), known_us + LOST_AFTER_US)
    take(Tick(), int(times[-1]))
    return state, lines


def _stops(state: AlarmState, true: NDArray[np.bool_], at_us: NDArray[np.int64], known_us: int) -> list[int]:
    """Give positions at which the truth differs from the one before, or the one before is too long ago."""
    if not len(true):
        return []
    changes = np.empty(len(true), dtype=np.bool_)
    changes[1:] = (true[1:] != true[:-1]) | (np.diff(at_us) >= LOST_AFTER_US)
    changes[0] = state.raw is not bool(true[0]) or at_us[0] - known_us >= LOST_AFTER_US
    return np.flatnonzero(changes).tolist()


def observe(
    plan: Plan,
    bank: Bank,
    truths: Mapping[str, bool | None],
    now_us: int,
    details: Mapping[str, str] | None = None,
) -> tuple[Bank, tuple[Transition, ...]]:
    """Take what the host observed of its own alarms, by key; KeyError for a key of the signal or of none."""
    after, lines = bank, _none()
    for key, truth in truths.items():
        column = _column(plan, key)
        if column < plan.signals:
            raise KeyError(f"an alarm observed by the host was expected, {key} came: the signal decides it")
        state = after.states[column]
        if truth is state.raw and truth is state.condition and column not in after.waiting:
            continue  # it is as it was, and nothing is due
        event = Observe(truth, (details or {}).get(key, ""))
        after, more = _one(plan, after, column, event, now_us)
        lines += more
    return after, tuple(lines)


def act(plan: Plan, bank: Bank, key: str, action: Act, now_us: int) -> tuple[Bank, tuple[Transition, ...]]:
    """Take a person's action on one alarm. To repeat it later, apply it after the sample `bank.last_us`.

    Raises KeyError for an unknown key and RefusedError where the action is not possible or nobody signed it.
    """
    column = _column(plan, key)
    if not plan.armed[column] and action.what not in UNARMED_ACTIONS:
        raise RefusedError(f"{key}: an armed alarm was expected, it has no limit: set the limit first.")
    return _one(plan, bank, column, action, now_us)


def set_live(plan: Plan, bank: Bank, *, live: bool, now_us: int) -> tuple[Bank, tuple[Transition, ...]]:
    """Begin or end the time in which session priorities hold; a raised priority resets acknowledgements.

    The alarms of the client's load wait for hands on the bars then: before that nobody stands on a client.
    """
    after, lines = replace(bank, live=live), _none()
    if live and not bank.live:
        after = replace(after, carry=replace(bank.carry, hands=AWAITED))
        for column, (idle, used) in enumerate(zip(plan.alarms, plan.live_alarms, strict=True)):
            if idle.priority is not used.priority:
                event = Escalate(f"a session began: priority {used.priority}")
                after, more = _one(plan, after, column, event, now_us)
                lines += more
    return after, tuple(lines)


def replan(old: Plan, new: Plan, bank: Bank, now_us: int) -> tuple[Bank, tuple[Transition, ...]]:
    """Carry the bank over to new limits on the same cells; what lost its limit is cleared, and says why."""
    if old.cells != new.cells:
        raise ValueError(
            f"a plan for the cells {old.cells} was expected, {new.cells} came: begin a new bank."
        )
    after, lines = bank, _none()
    for column, alarm in enumerate(old.alarms):
        if old.armed[column] and not new.armed[column]:
            event = Observe(truth=False, detail=DISARMED_NOTE)
            undelayed = replace(alarm, off_delay_s=0.0)
            state, more = step(undelayed, after.states[column], event, now_us)
            after = _put(new, after, column, state)
            lines += more
    return after, tuple(lines)


def _one(
    plan: Plan, bank: Bank, column: int, event: Event, now_us: int
) -> tuple[Bank, tuple[Transition, ...]]:
    state, lines = step(_alarms(plan, bank)[column], bank.states[column], event, now_us)
    return _put(plan, bank, column, state), lines


def _put(plan: Plan, bank: Bank, column: int, state: AlarmState) -> Bank:
    states = (*bank.states[:column], state, *bank.states[column + 1 :])
    waiting = (bank.waiting - {column}) | _waiting(plan, states, (column,))
    return replace(bank, states=states, waiting=waiting)


def _column(plan: Plan, key: str) -> int:
    column = plan.columns.get(key)
    if column is not None:
        return column
    raise KeyError(f"an alarm of this rig was expected, {key!r} came: `ashibar alarms` lists them")


def views(plan: Plan, bank: Bank, now_us: int) -> tuple[AlarmView, ...]:
    """Show every alarm at `now_us`: signal alarms without a fresh sample are in error, whatever they were."""
    stale = bank.last_us is None or now_us - bank.last_us > LOST_AFTER_US
    shown = []
    for column, (alarm, state) in enumerate(zip(_alarms(plan, bank), bank.states, strict=True)):
        armed = is_armed(plan, bank, column)
        name: str = state.name
        note = state.note
        if not armed:
            name, note = _unarmed(plan, bank, column)
        elif column < plan.signals and stale and state.name not in (State.SHELVED, State.OUT_OF_SERVICE):
            name, note = State.ERROR, "no fresh sample"
        shown.append(
            AlarmView(
                alarm.key,
                name,
                armed,
                state.latched,
                alarm.priority,
                state.since_us,
                alarm.message,
                alarm.what_to_do,
                note,
                state.by,
                state.shelved_until_us,
            )
        )
    return tuple(shown)


def is_armed(plan: Plan, bank: Bank, column: int) -> bool:
    """Tell whether an alarm has its limit and, if it is one of the client's load, hands have been on."""
    waits = plan.alarms[column].limit == OF_CLIENT and not bank.carry.hands.on
    return plan.armed[column] and not waits


def _unarmed(plan: Plan, bank: Bank, column: int) -> tuple[str, str]:
    """Give state and note of an alarm that is not armed: what is still to be answered is shown as it is."""
    alarm, state = plan.alarms[column], bank.states[column]
    if plan.armed[column]:
        note = AWAITS_HANDS_NOTE
    elif alarm.limit == OF_CLIENT and not bank.live:
        note = "not armed: no session is running"
    else:
        note = NO_LIMIT_NOTES.get(alarm.limit or "", "not armed, no limit set: set one for this session")
    nothing_left = state.name in (State.NORMAL, State.ERROR) and not (state.owed or state.latched)
    return (NOT_ARMED if nothing_left else state.name), note


def alarm_level(plan: Plan, bank: Bank) -> str:
    """Give what a light shows: "high", "medium", "low" or "none", of what stands or is not acknowledged."""
    level = "none"
    order = ["none", *Priority]
    for alarm, state in zip(_alarms(plan, bank), bank.states, strict=True):
        standing = state.name in (State.UNACKNOWLEDGED, State.ACKNOWLEDGED)
        own = alarm.priority if standing else "low" if state.name is State.RETURNED else "none"
        level = max(level, str(own), key=order.index)
    return level
