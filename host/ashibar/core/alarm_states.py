"""The states of an alarm after ISA-18.2 and the transition table, as data. It decides nothing itself."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class State(StrEnum):
    """The states of ISA-18.2, and `error`: the alarm cannot be evaluated, which is not normal."""

    NORMAL = "normal"
    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"
    RETURNED = "returned-unacknowledged"
    SHELVED = "shelved"
    OUT_OF_SERVICE = "out-of-service"
    ERROR = "error"


class Input(StrEnum):
    """What can happen to an alarm once delays have passed."""

    RAISE = "raise"
    CLEAR = "clear"
    LOST = "lost"
    ESCALATE = "escalate"
    EXPIRE = "shelf expires"
    ACKNOWLEDGE = "acknowledge"
    INSPECT = "inspection recorded"
    SHELVE = "shelve"
    UNSHELVE = "unshelve"
    REMOVE = "remove from service"
    RESTORE = "restore to service"


class Priority(StrEnum):
    """How soon somebody must act."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Fact(StrEnum):
    """What a row of the table may ask of the alarm beside its state."""

    LATCHED = "latched"
    OWED = "acknowledgement owed"
    PRESENT = "condition present"
    GONE = "condition not present"
    UNKNOWN = "condition unknown"


class Row(NamedTuple):
    """One row: in `state`, on `cause`, if every fact of `given` holds, go to `next`."""

    state: State
    cause: Input
    given: frozenset[Fact]
    next: State


_N, _U, _A, _R = State.NORMAL, State.UNACKNOWLEDGED, State.ACKNOWLEDGED, State.RETURNED
_S, _O, _E = State.SHELVED, State.OUT_OF_SERVICE, State.ERROR


def _row(state: State, cause: Input, to: State, *given: Fact) -> Row:
    return Row(state, cause, frozenset(given), to)


def _back(state: State, cause: Input) -> tuple[Row, ...]:
    """Rows of an alarm that comes back from the shelf or from out of service: it shows what is so now."""
    return (
        _row(state, cause, _E, Fact.UNKNOWN),
        _row(state, cause, _U, Fact.LATCHED),
        _row(state, cause, _U, Fact.PRESENT),
        _row(state, cause, _N),
    )


# The first row that fits wins. What fits no row is refused (a person's action) or changes nothing.
TABLE: tuple[Row, ...] = (
    _row(_N, Input.RAISE, _U),
    _row(_N, Input.CLEAR, _N),
    _row(_N, Input.LOST, _E),
    _row(_U, Input.RAISE, _U),
    _row(_U, Input.CLEAR, _U, Fact.LATCHED),
    _row(_U, Input.CLEAR, _R),
    _row(_U, Input.LOST, _E),
    _row(_A, Input.RAISE, _U),
    _row(_A, Input.CLEAR, _A, Fact.LATCHED),
    _row(_A, Input.CLEAR, _N),
    _row(_A, Input.LOST, _E),
    _row(_A, Input.ESCALATE, _U),
    _row(_R, Input.RAISE, _U),
    _row(_R, Input.CLEAR, _R),
    _row(_R, Input.LOST, _E),
    _row(_E, Input.RAISE, _U),
    _row(_E, Input.CLEAR, _U, Fact.LATCHED, Fact.OWED),
    _row(_E, Input.CLEAR, _A, Fact.LATCHED),
    _row(_E, Input.CLEAR, _R, Fact.OWED),
    _row(_E, Input.CLEAR, _N),
    _row(_E, Input.LOST, _E),
    *(_row(state, cause, state) for state in (_S, _O) for cause in (Input.RAISE, Input.CLEAR, Input.LOST)),
    _row(_U, Input.ACKNOWLEDGE, _A),
    _row(_R, Input.ACKNOWLEDGE, _N),
    _row(_E, Input.ACKNOWLEDGE, _E, Fact.OWED),
    _row(_U, Input.INSPECT, _N, Fact.LATCHED, Fact.GONE),
    _row(_A, Input.INSPECT, _N, Fact.LATCHED, Fact.GONE),
    *(_row(state, Input.INSPECT, state, Fact.LATCHED, Fact.GONE) for state in (_E, _S, _O)),
    *(_row(state, Input.SHELVE, _S) for state in (_N, _U, _A, _R, _E)),
    *_back(_S, Input.EXPIRE),
    *_back(_S, Input.UNSHELVE),
    *(_row(state, Input.REMOVE, _O) for state in (_N, _U, _A, _R, _E, _S)),
    *_back(_O, Input.RESTORE),
)


def _by_key() -> dict[tuple[State, Input], tuple[Row, ...]]:
    rows: dict[tuple[State, Input], tuple[Row, ...]] = {}
    for row in TABLE:
        rows[row.state, row.cause] = (*rows.get((row.state, row.cause), ()), row)
    return rows


ROWS = _by_key()
