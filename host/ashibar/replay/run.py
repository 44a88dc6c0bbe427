"""A stretch of a rig derived again from the journal: frames, parameters, settings, actions of that time."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from ashibar.core.replay import LATEST_US, Begin, Derived, Evidence, Setting, derive
from ashibar.core.replay_signal import EDGE_US, InForce, Taken, evaluations
from ashibar.replay import script
from ashibar.replay.source import history, windows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ashibar.core.session import Session
    from ashibar.core.session_summary import Summary
    from ashibar.core.track import NodeSamples
    from ashibar.io.journal import SafetyReader
    from ashibar.replay.script import Set

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MARGIN_US: Final = 1_000_000  # after it: what rules out a spike, and the other nodes' samples


class NothingRecordedError(ValueError):
    """The journal has no parameters or settings of this rig; the text says what to do."""


def derive_span(
    reader: SafetyReader,
    rig: str,
    from_us: int,
    to_us: int,
    progress: Callable[[int], None] | None = None,
    *,
    seen_us: int = LATEST_US,
    told_us: int | None = None,
) -> Derived:
    """Derive what happened on a rig from `from_us` to `to_us`, both included (Unix microseconds).

    It begins with the alarm states that the safety log has for that moment. `progress` is told the stamp
    reached. From samples after `seen_us` nothing follows but figures. What people did is read up to `told_us`
    (None: `to_us`): an entry has the host's time, which is a little after the sample it follows. Raises
    NothingRecordedError.
    """
    parameters, held = history(reader, rig), script.settings_of(reader, rig)
    if not parameters or not held:
        raise NothingRecordedError(
            f"{rig}: parameters and settings were expected in the journal, none are there: check the name"
        )
    kinds = (*script.SESSION_KINDS, script.ALARM)
    log = script.entries(reader, rig, kinds, from_us, to_us if told_us is None else told_us)
    changes = [*script.setting_changes(each for each in held if from_us < each.from_us <= to_us)]
    changes += script.actions(log)
    taken = Taken()
    nodes = _nodes(parameters)
    frames = windows(reader, nodes, from_us - EDGE_US, to_us + MARGIN_US)
    signal = evaluations(_told(taken.add(frames), progress), points_of(parameters, held))
    lead = _begin(reader, rig, held, from_us)

    def evidence(session: Session) -> Evidence:
        span = session.started_us, session.ended_us or session.started_us
        return Evidence(
            taken.account(nodes, *span), taken.calibrations(nodes, *span), _zeros(parameters, *span)
        )

    return derive(lead, signal, changes, evidence, to_us, from_us=from_us, seen_us=seen_us)


def summary_of(reader: SafetyReader, session: Session) -> Summary:
    """Derive the figures of a session that has ended. Raises NothingRecordedError."""
    if session.ended_us is None:
        raise ValueError(f"{session.id}: a session that has ended was expected, it runs: end it first")
    derived = derive_span(reader, session.rig, session.started_us - 1, session.ended_us)
    for each in derived.sessions:
        if each.session.id == session.id and each.summary is not None:
            return each.summary
    raise NothingRecordedError(
        f"{session.id}: its start was expected in the safety log, it is not there: `ashibar verify` checks it"
    )


def _begin(reader: SafetyReader, rig: str, held: Sequence[Set], from_us: int) -> Begin:
    settings = [each.settings for each in held if each.from_us <= from_us][-1:] or [held[0].settings]
    alarms = script.alarm_states(script.entries(reader, rig, (script.ALARM,), 0, from_us - 1))
    uses = script.entries(reader, rig, (script.USE_BEGAN, script.USE_ENDED), 0, from_us - 1)
    return Begin(
        rig=rig,
        cells=settings[0].cells,
        setting=Setting(settings[0].limits, settings[0].live),
        rules=settings[0].rules,
        session=script.session_state(uses, rig, from_us),
        alarms=alarms,
    )


def _nodes(parameters: Sequence[InForce]) -> list[str]:
    return list(dict.fromkeys(itertools.chain.from_iterable(each.params.nodes for each in parameters)))


def points(reader: SafetyReader, rig: str, parameters: Sequence[InForce]) -> list[InForce]:
    """Give every moment at which results were settled live, with the parameters from there on."""
    return points_of(parameters, script.settings_of(reader, rig))


def shown_time(utc_us: int) -> str:
    """Write a stamp in ISO 8601 to the microsecond, with the offset of this place."""
    return (EPOCH + timedelta(microseconds=utc_us)).astimezone().isoformat(timespec="microseconds")


def points_of(parameters: Sequence[InForce], held: Sequence[Set]) -> list[InForce]:
    """Give every moment at which parameters or settings changed, with the parameters from there on."""
    moments = sorted({each.from_us for each in parameters} | {each.from_us for each in held})
    found, number = [], 0
    for moment_us in moments:
        while number + 1 < len(parameters) and parameters[number + 1].from_us <= moment_us:
            number += 1
        found.append(InForce(moment_us, parameters[number].params))
    return found


def _zeros(parameters: Sequence[InForce], from_us: int, to_us: int) -> frozenset[str]:
    """Name the zeros in force within the span, by kind and moment."""
    found = []
    for each, following in itertools.zip_longest(parameters, parameters[1:]):
        if each.from_us < to_us and (following is None or following.from_us > from_us):
            zero = each.params.zero
            found.append("calibration" if zero is None else f"{zero.kind} {zero.at_us}")
    return frozenset(found)


def _told(
    frames: Iterator[Sequence[NodeSamples]], progress: Callable[[int], None] | None
) -> Iterator[Sequence[NodeSamples]]:
    for window in frames:
        if progress is not None and window:
            progress(int(window[-1].utc_us[-1]))
        yield window
