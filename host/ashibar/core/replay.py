"""Derives alarms, incidents, sessions and summaries of a rig again, from its samples and what people did.

Late and repeated delivery leaves no trace here: samples come in the order of the signal. What only the host
could see (no data, dates, disk) is not derived: it was recorded as it was observed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np

from ashibar.core import alarm_bank, session_summary
from ashibar.core.alarm_conditions import SignalBlock, plan_alarms
from ashibar.core.incident import Incident, capture
from ashibar.core.records import RefusedError
from ashibar.core.replay_signal import rows_of
from ashibar.core.session import Change as SessionChange
from ashibar.core.session import (
    Clock,
    End,
    Event,
    Phase,
    Session,
    SessionRecord,
    SessionRules,
    SessionState,
    loaded_runs,
)
from ashibar.core.session import step as step_session
from ashibar.core.session_summary import Account, Summary, SummaryState, bands_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from ashibar.core.alarm import Act, AlarmState, Transition
    from ashibar.core.alarm_conditions import Limits
    from ashibar.core.evaluate import Evaluation

EARLIEST_US: Final = -(2**62)
LATEST_US: Final = 2**62
RUNNING: Final = (Phase.LIVE, Phase.ASKING)


@dataclass(frozen=True, slots=True)
class Acted:
    """A person's action on one alarm."""

    key: str
    act: Act


@dataclass(frozen=True, slots=True)
class HostEnd:
    """The host closed the session by itself; it stays closed, whatever came in later."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Other limits, and whether session priorities hold."""

    limits: Limits
    live: bool


What = Event | Acted | HostEnd | Setting


class Change(NamedTuple):
    """Something set or done at `at_us`; it takes effect after the sample stamped `after_us`."""

    after_us: int
    at_us: int
    what: What


@dataclass(frozen=True, slots=True)
class Begin:
    """How a rig stood when the stretch began."""

    rig: str
    cells: tuple[str, ...]
    setting: Setting
    rules: SessionRules
    session: SessionState
    alarms: Mapping[str, AlarmState] = field(default_factory=dict)
    last_us: int | None = None


class Evidence(NamedTuple):
    """What the summary of a session names beside its figures."""

    samples: Account
    calibrations: frozenset[str]
    zeros: frozenset[str]


class SessionResult(msgspec.Struct, frozen=True, kw_only=True):
    """A session and its figures; no figures while it runs."""

    session: Session
    summary: Summary | None


class Derived(msgspec.Struct, frozen=True, kw_only=True):
    """All that follows from a stretch of signal. `refused`: actions that are not possible in its order."""

    rig: str
    sessions: tuple[SessionResult, ...]
    records: tuple[SessionRecord, ...]
    alarms: tuple[Any, ...]  # Transition
    incidents: tuple[Incident, ...]
    samples: int
    spikes: int
    refused: tuple[str, ...]


def derive(
    begin: Begin,
    results: Iterable[Evaluation],
    changes: Sequence[Change],
    evidence: Callable[[Session], Evidence],
    until_us: int,
    *,
    from_us: int = EARLIEST_US,
    seen_us: int = LATEST_US,
) -> Derived:
    """Derive everything from `from_us` up to and including `until_us`, Unix microseconds.

    Samples before it only prepare what looks back; those after `seen_us` go into the figures of sessions, and
    nothing else follows from them. Changes are in the order in which they were made; those that take effect
    at one moment keep it.
    """
    course = Course(begin, evidence, seen_us)
    waiting = sorted(changes, key=lambda change: change.after_us)
    for result in results:
        course.spikes += sum(from_us <= spike.utc_us <= until_us for spike in result.spikes)
        before, inside = result.utc_us < from_us, (result.utc_us >= from_us) & (result.utc_us <= until_us)
        if before.any():
            course.prepare(rows_of(result, before))
        rest = result if inside.all() else rows_of(result, inside)
        while len(rest) and waiting:
            cut = _position(rest.utc_us, waiting[0].after_us)
            if cut == len(rest):
                break
            course.take(rows_of(rest, slice(0, cut)))
            course.change(waiting.pop(0))
            rest = rows_of(rest, slice(cut, None))
        course.take(rest)
    for change in waiting:
        if change.after_us <= until_us:
            course.change(change)
    return course.finish(until_us)


def _until(block: SignalBlock, until_us: int) -> SignalBlock:
    return block.part(0, int(np.searchsorted(block.utc_us, until_us, side="right")))


def _position(utc_us: NDArray[np.int64], after_us: int) -> int:
    """Give the first sample after a moment; a clock that was set back does not bring it back."""
    return int(np.searchsorted(np.maximum.accumulate(utc_us), after_us, side="right"))


@dataclass(slots=True)
class _Fold:
    session: Session
    state: SummaryState


class Course:
    """One rig from a beginning on: takes blocks and changes in order. Used for one derivation."""

    def __init__(
        self, begin: Begin, evidence: Callable[[Session], Evidence], seen_us: int = LATEST_US
    ) -> None:
        self.spikes = 0
        self._seen_us = seen_us
        self._rig = begin.rig
        self._rules = begin.rules
        self._evidence = evidence
        self._plan = plan_alarms(begin.cells, begin.setting.limits)
        self._session = begin.session
        live = begin.setting.live
        self._bank = alarm_bank.first_bank(self._plan, begin.alarms, begin.last_us, live=live)
        self._memory: alarm_bank.Bank | None = None
        self._folds: list[_Fold] = []
        self._records: list[SessionRecord] = []
        self._alarms: list[Transition] = []
        self._incidents: tuple[Incident, ...] = ()
        self._samples = 0
        self._latest_us = EARLIEST_US
        self._refused: list[str] = []

    def prepare(self, result: Evaluation) -> None:
        """Take samples before the beginning: they change nothing but what conditions remember."""
        if not len(result):
            return
        memory = self._memory or alarm_bank.first_bank(self._plan)
        self._memory, _ = alarm_bank.advance(self._plan, memory, SignalBlock.of(result))
        self._bank = replace(
            self._bank, carry=self._memory.carry, known_us=self._memory.known_us, last_us=self._memory.last_us
        )

    def take(self, result: Evaluation) -> None:
        """Take the samples that follow."""
        if not len(result):
            return
        self._samples += len(result)
        seen = result.utc_us <= self._seen_us
        if seen.all():
            self._follow_signal(result)
        elif seen.any():
            self._follow_signal(rows_of(result, seen))
        rising = SignalBlock.of(result).rising(self._latest_us)
        if not len(rising.utc_us):
            return
        self._latest_us = int(rising.utc_us[-1])
        if self._latest_us <= self._seen_us:
            self._step(Clock(), self._latest_us)
        for fold in self._folds:
            ended_us = fold.session.ended_us
            mine = rising if ended_us is None else _until(rising, ended_us)
            fold.state = session_summary.fold(fold.state, mine.rising(fold.state.last_us))

    def _follow_signal(self, result: Evaluation) -> None:
        """Take what samples do to alarms and sessions."""
        self._bank, lines = alarm_bank.advance(self._plan, self._bank, SignalBlock.of(result))
        self._note(lines)
        for run in loaded_runs(result.utc_us, np.where(result.zeroed, result.bar_n, np.nan)):
            self._step(run, run.to_us)

    def change(self, change: Change) -> None:
        """Take what was set or done; what is not possible in the order of the signal is noted."""
        what = change.what
        try:
            if isinstance(what, Acted):
                self._act(what, change.at_us)
            elif isinstance(what, HostEnd):
                self._host_end(change.at_us)
            elif isinstance(what, Setting):
                self._set(what, change.at_us)
            else:
                self._step(what, change.at_us)
        except RefusedError as error:
            self._refused.append(str(error))

    def finish(self, until_us: int) -> Derived:
        """Close the stretch and give what came of it."""
        if until_us > self._latest_us:
            self._step(Clock(), until_us)
        return Derived(
            rig=self._rig,
            sessions=tuple(self._result(fold) for fold in self._folds),
            records=tuple(self._records),
            alarms=tuple(self._alarms),
            incidents=self._incidents,
            samples=self._samples,
            spikes=self.spikes,
            refused=tuple(self._refused),
        )

    def _act(self, acted: Acted, at_us: int) -> None:
        column = next((i for i, alarm in enumerate(self._plan.alarms) if alarm.key == acted.key), None)
        if column is None or column >= self._plan.signals:
            return  # the host's own alarms are on record as observed
        self._bank, lines = alarm_bank.act(self._plan, self._bank, acted.key, acted.act, at_us)
        self._note(lines)

    def _set(self, setting: Setting, at_us: int) -> None:
        plan = plan_alarms(self._plan.cells, setting.limits)
        self._bank, lines = alarm_bank.replan(self._plan, plan, self._bank, at_us)
        self._plan = plan
        self._bank, more = alarm_bank.set_live(plan, self._bank, live=setting.live, now_us=at_us)
        self._note(lines + more)

    def _note(self, lines: Sequence[Transition]) -> None:
        signal = {alarm.key for alarm in self._plan.alarms[: self._plan.signals]}
        own = [line for line in lines if line.key in signal]
        self._alarms += own
        self._incidents = capture(self._incidents, own, {})

    def _step(self, event: Event, at_us: int) -> None:
        before = self._session
        self._session, records = step_session(self._rules, before, event, at_us)
        self._records += records
        self._follow(before)

    def _follow(self, before: SessionState) -> None:
        """Keep the folds in step with the session."""
        now = self._session.session
        if now is not None and (before.session is None or before.session.id != now.id):
            state = session_summary.begin(self._plan.cells, bands_of(now.terms), now.started_us)
            self._folds.append(_Fold(now, state))
        elif now is not None and self._folds and self._folds[-1].session.id == now.id:
            fold = self._folds[-1]
            if now.terms != fold.session.terms:
                fold.state = session_summary.with_bands(fold.state, bands_of(now.terms))
            fold.session = now

    def _host_end(self, at_us: int) -> None:
        self._step(Clock(), at_us)
        if self._session.phase in RUNNING:
            self._refused.append(
                f"{self._rig}: the host closed the session at {at_us} us, the record shows load until then"
            )
            self._step(End(by="host", source="host"), at_us)

    def _result(self, fold: _Fold) -> SessionResult:
        session = fold.session
        if session.ended_us is None:
            return SessionResult(session=session, summary=None)
        samples, calibrations, zeros = self._evidence(session)
        state = replace(fold.state, calibrations=calibrations, zeros=zeros)
        count = sum(_within(incident, session) for incident in self._incidents)
        ended_us = max(session.ended_us, state.last_us)
        return SessionResult(session=session, summary=session_summary.finish(state, ended_us, samples, count))


def _within(incident: Incident, session: Session) -> bool:
    """Tell whether something of it happened in the session, whatever it is one incident with."""
    to_us = LATEST_US if session.ended_us is None else session.ended_us
    return any(session.started_us <= each.at_us <= to_us for each in incident.triggers)


__all__ = [
    "Acted",
    "Begin",
    "Change",
    "Derived",
    "Evidence",
    "HostEnd",
    "SessionChange",
    "SessionResult",
    "derive",
]
