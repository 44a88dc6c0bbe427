"""Which spans of the full-rate signal must outlive retention, and why. It handles no samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from ashibar.core.alarm_states import Input
from ashibar.core.alarm_table import INCIDENT_ALARMS
from ashibar.core.records import US_PER_S

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ashibar.core.alarm import Transition

BEFORE_US: Final = 10 * US_PER_S  # what led to it
AFTER_US: Final = 15 * US_PER_S  # what came of it
LONGEST_US: Final = 600 * US_PER_S  # a limit exceeded for hours must not keep a whole day


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """One alarm that was raised, in or out of sight (shelved alarms are captured too)."""

    at_us: int
    key: str
    note: str


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """A span to keep, both ends included, and what was in force then. `standing`: alarms not yet clear."""

    id: str
    from_us: int
    to_us: int
    triggers: tuple[Trigger, ...]
    context: dict[str, Any]  # calibration ids, zeros, limits of that moment
    standing: tuple[str, ...] = ()


class Span(NamedTuple):
    """A stretch of time, both ends included, microseconds UTC."""

    from_us: int
    to_us: int


def capture(
    incidents: tuple[Incident, ...], lines: Iterable[Transition], context: dict[str, Any]
) -> tuple[Incident, ...]:
    """Take an alarm bank's transitions in order of time; give all incidents, the newest last.

    A trigger whose window meets that of the newest incident extends it; `context` goes into new ones.
    """
    for line in lines:
        if line.key.partition(":")[0] not in INCIDENT_ALARMS:
            continue
        if line.cause is Input.RAISE:
            incidents = _raised(incidents, line, context)
        elif line.cause in (Input.CLEAR, Input.LOST):
            incidents = _cleared(incidents, line)
    return incidents


def _raised(
    incidents: tuple[Incident, ...], line: Transition, context: dict[str, Any]
) -> tuple[Incident, ...]:
    trigger = Trigger(at_us=line.at_us, key=line.key, note=line.note)
    window = Span(line.at_us - BEFORE_US, line.at_us + AFTER_US)
    last = incidents[-1] if incidents else None
    if last is None or window.from_us > span_of(last, line.at_us).to_us:
        new = Incident(
            id=f"incident-{line.at_us}", from_us=window.from_us, to_us=window.to_us, triggers=(trigger,),
            context=context, standing=(line.key,),
        )  # fmt: skip
        return (*incidents, new)
    standing = (*(key for key in last.standing if key != line.key), line.key)
    grown = msgspec.structs.replace(
        last, triggers=(*last.triggers, trigger), to_us=max(last.to_us, window.to_us), standing=standing
    )
    return (*incidents[:-1], grown)


def _cleared(incidents: tuple[Incident, ...], line: Transition) -> tuple[Incident, ...]:
    if not incidents or line.key not in incidents[-1].standing:
        return incidents
    last = incidents[-1]
    end_us = max(last.to_us, min(line.at_us + AFTER_US, _latest_us(last)))
    standing = tuple(key for key in last.standing if key != line.key)
    return (*incidents[:-1], msgspec.structs.replace(last, to_us=end_us, standing=standing))


def _latest_us(incident: Incident) -> int:
    return max(trigger.at_us for trigger in incident.triggers) + LONGEST_US


def span_of(incident: Incident, now_us: int) -> Span:
    """Give the span to keep as it stands at `now_us`: it grows while one of its alarms stands."""
    if not incident.standing:
        return Span(incident.from_us, incident.to_us)
    return Span(incident.from_us, max(incident.to_us, min(now_us + AFTER_US, _latest_us(incident))))


def is_complete(incident: Incident, now_us: int) -> bool:
    """Tell whether every sample of its span can have been taken by `now_us`."""
    return now_us >= span_of(incident, now_us).to_us


def kept_spans(incidents: Iterable[Incident], now_us: int) -> tuple[Span, ...]:
    """Give what retention must not delete: spans in order of time, those that meet joined."""
    joined: list[Span] = []
    for span in sorted(span_of(incident, now_us) for incident in incidents):
        if joined and span.from_us <= joined[-1].to_us:
            joined[-1] = Span(joined[-1].from_us, max(joined[-1].to_us, span.to_us))
        else:
            joined.append(span)
    return tuple(joined)


def deletable(span: Span, kept: Iterable[Span]) -> tuple[Span, ...]:
    """Give the parts of `span` that no kept span touches, in order of time."""
    parts, start = [], span.from_us
    for keep in sorted(kept):
        if keep.to_us < start:
            continue
        if keep.from_us > span.to_us:
            break
        if keep.from_us > start:
            parts.append(Span(start, keep.from_us - 1))
        start = keep.to_us + 1
    if start <= span.to_us:
        parts.append(Span(start, span.to_us))
    return tuple(parts)
