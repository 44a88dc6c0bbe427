"""Inspections and engineer's ratings as entries of the safety log: who, when, with what result, due when."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from ashibar.core import decoding
from ashibar.core.chain import effective
from ashibar.core.records import US_PER_S, RefusedError, require_name, require_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ashibar.core.chain import ChainEntry

INSPECTION: Final = "inspection"
RATING: Final = "rating"
RIG: Final = "rig"
DAY_US: Final = 86_400 * US_PER_S
SOON_US: Final = 30 * DAY_US  # time to find somebody who inspects
RATING_MAX_N: Final = 100_000.0  # ten tonnes: above it a unit was mixed up


class Inspection(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody looked at `subject` ("rig" or a hanger). `due_us`: when it must be looked at again."""

    subject: str
    by: str
    at_us: int
    due_us: int
    passed: bool
    finding: str


class Rating(msgspec.Struct, frozen=True, kw_only=True):
    """What an engineer says the rig may carry, newtons, in which document, and until when it holds."""

    rating_n: float
    by: str
    document: str
    at_us: int
    due_us: int


class DueState(StrEnum):
    """How an obligation stands."""

    NEVER = "never done"
    OVERDUE = "overdue"
    SOON = "due soon"
    OK = "ok"


class Due(NamedTuple):
    """One obligation: what, on which subject, due when (None: never done yet), and how it stands."""

    kind: str
    subject: str
    due_us: int | None
    state: DueState
    by: str


def inspection_data(inspection: Inspection, subjects: Sequence[str]) -> dict[str, Any]:
    """Give the log entry's data; RefusedError if unsigned, of an unknown subject or due too early."""
    if inspection.subject not in (RIG, *subjects):
        known = ", ".join((RIG, *subjects))
        raise RefusedError(
            f"one of {known} was expected, {inspection.subject!r} came: name what was inspected."
        )
    require_text(inspection.finding, "a finding")
    _check(inspection.by, inspection.at_us, inspection.due_us, "an inspection")
    return msgspec.structs.asdict(inspection)


def rating_data(rating: Rating) -> dict[str, Any]:
    """Give the log entry's data; RefusedError if unsigned, without a document, or no plausible force."""
    if not 0 < rating.rating_n <= RATING_MAX_N:
        raise RefusedError(
            f"a rating above 0 and up to {RATING_MAX_N:g} N was expected, "
            f"{rating.rating_n:g} N came: check its unit."
        )
    require_text(rating.document, "the document of the rating")
    _check(rating.by, rating.at_us, rating.due_us, "an engineer's rating")
    return msgspec.structs.asdict(rating)


def _check(by: str, at_us: int, due_us: int, what: str) -> None:
    require_name(by, what)
    if due_us <= at_us:
        raise RefusedError(f"{what} due after its own date was expected, an earlier one came: correct it.")


def read_inspections(entries: Iterable[ChainEntry]) -> list[Inspection]:
    """Give the inspections of a log, corrections applied, oldest first."""
    found = [decoding.convert(e.data, Inspection) for e in effective(entries) if e.kind == INSPECTION]
    return sorted(found, key=lambda inspection: inspection.at_us)


def read_ratings(entries: Iterable[ChainEntry]) -> list[Rating]:
    """Give the engineer's ratings of a log, corrections applied, oldest first."""
    found = [decoding.convert(e.data, Rating) for e in effective(entries) if e.kind == RATING]
    return sorted(found, key=lambda rating: rating.at_us)


def rating_in_force(ratings: Sequence[Rating], now_us: int) -> Rating | None:
    """Give the newest rating made by `now_us`. One past its date still limits."""
    made = [rating for rating in ratings if rating.at_us <= now_us]
    return made[-1] if made else None


def obligations(
    subjects: Sequence[str], inspections: Sequence[Inspection], ratings: Sequence[Rating], now_us: int
) -> tuple[Due, ...]:
    """Say for the rig, each hanger of `subjects` and the rating how they stand at `now_us`.

    An inspection that did not pass leaves its subject overdue from the moment it was made.
    """
    dues = []
    for subject in (RIG, *subjects):
        made = [i for i in inspections if i.subject == subject and i.at_us <= now_us]
        last = made[-1] if made else None
        due_us = None if last is None else last.due_us if last.passed else last.at_us
        dues.append(Due(INSPECTION, subject, due_us, _state(due_us, now_us), last.by if last else ""))
    rating = rating_in_force(ratings, now_us)
    due_us = rating.due_us if rating else None
    return (*dues, Due(RATING, RIG, due_us, _state(due_us, now_us), rating.by if rating else ""))


def earliest_due_us(dues: Iterable[Due]) -> int | None:
    """Give the first date of all; None if anything was never done. Feeds the alarm "inspection-due"."""
    dates = [due.due_us for due in dues]
    known = [date for date in dates if date is not None]
    return min(known) if known and len(known) == len(dates) else None


def _state(due_us: int | None, now_us: int) -> DueState:
    if due_us is None:
        return DueState.NEVER
    if now_us >= due_us:
        return DueState.OVERDUE
    return DueState.SOON if now_us >= due_us - SOON_US else DueState.OK
