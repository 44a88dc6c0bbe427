"""Inspections and ratings of one rig: read from the safety log, entered into it, and when the next is due."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ashibar.core import chain, inspection

if TYPE_CHECKING:
    from ashibar.core.chain import ChainEntry
    from ashibar.core.inspection import Inspection, Rating
    from ashibar.io.journal import SafetyReader
    from ashibar.service.record import Record

KINDS = (inspection.INSPECTION, inspection.RATING, chain.CORRECTION)


class Inspections:
    """What was inspected and rated. One thread."""

    def __init__(self, rig: str, subjects: tuple[str, ...], record: Record, reader: SafetyReader) -> None:
        self._rig = rig
        self._subjects = subjects
        self._record = record
        self._entries = [chain.from_line(line) for line in reader.log_of(kinds=KINDS)]
        self._read()

    def take(self, entry: ChainEntry) -> None:
        """Take an entry of one of KINDS, of any rig."""
        self._entries.append(entry)
        self._read()

    def inspect(self, made: Inspection, source: str, now_us: int) -> dict[str, Any]:
        """Enter an inspection. RefusedError if unsigned, of an unknown subject, or due too early."""
        data = inspection.inspection_data(made, self._subjects)
        extra = {"rig": self._rig, "from": source}
        self.take(self._record.entry(inspection.INSPECTION, made.by, data | extra, utc_us=now_us))
        return data

    def rate(self, made: Rating, source: str, now_us: int) -> dict[str, Any]:
        """Enter an engineer's rating. RefusedError if unsigned, without a document, or no plausible force."""
        data = inspection.rating_data(made)
        extra = {"rig": self._rig, "from": source}
        self.take(self._record.entry(inspection.RATING, made.by, data | extra, utc_us=now_us))
        return data

    def rating_n(self, now_us: int) -> float | None:
        """Return the rating in force, newtons."""
        rating = inspection.rating_in_force(self._ratings, now_us)
        return None if rating is None else rating.rating_n

    def due_us(self, now_us: int) -> int | None:
        """Return when the first of all obligations is due, None where one was never met."""
        return inspection.earliest_due_us(self._obligations(now_us))

    def answer(self, now_us: int) -> dict[str, Any]:
        """Return obligations, inspections and ratings as the interfaces say them."""
        told: Any = msgspec.to_builtins(
            {
                "obligations": [due._asdict() for due in self._obligations(now_us)],
                "inspections": self._inspections,
                "ratings": self._ratings,
            }
        )
        return dict(told)

    def _obligations(self, now_us: int) -> tuple[inspection.Due, ...]:
        return inspection.obligations(self._subjects, self._inspections, self._ratings, now_us)

    def _read(self) -> None:
        mine = [entry for entry in chain.effective(self._entries) if entry.data.get("rig") == self._rig]
        self._inspections = inspection.read_inspections(mine)
        self._ratings = inspection.read_ratings(mine)
