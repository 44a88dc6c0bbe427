"""Body weights of the therapists: the newest of each, whether one may be entered, and the record of it.

It weighs nobody; a hang test and a scale are elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ashibar.core import bodyweight, decoding
from ashibar.core.bodyweight import BodyWeight, ConfirmationNeeded, Source
from ashibar.core.records import require_name
from ashibar.io.journal import safety
from ashibar.service.desk import ConflictError

if TYPE_CHECKING:
    from ashibar.io.journal import SafetyReader
    from ashibar.service.record import Record


class Weights:
    """What is remembered of each therapist. One thread."""

    def __init__(self, record: Record, reader: SafetyReader) -> None:
        self._record = record
        self._newest = {
            therapist: decoding.from_json(text, BodyWeight) for therapist, text in reader.weights()
        }

    def of(self, therapist: str, now_us: int) -> BodyWeight | None:
        """Return a therapist's newest weight while it holds."""
        weight = self._newest.get(therapist)
        return weight if weight is not None and now_us < weight.expires_at_us() else None

    def check(
        self, therapist: str, value_n: float, source: Source, now_us: int, *, confirmed: bool
    ) -> BodyWeight:
        """Return the weight to use; ConflictError if it is implausible, or asks to be confirmed."""
        last = self._newest.get(therapist)
        try:
            return bodyweight.enter(value_n, source, now_us, last=last, confirmed=confirmed)
        except ConfirmationNeeded as question:
            raise ConflictError(str(question), confirm=True) from question
        except ValueError as error:
            raise ConflictError(str(error)) from error

    def enter(self, therapist: str, weight: BodyWeight, by: str, extra: dict[str, Any]) -> dict[str, Any]:
        """Put a weight on record and remember it; `extra` has rig, session and origin."""
        name = require_name(therapist, "a body weight: the therapist")
        said = answer(name, weight)
        self._record.entry("weight", by, said | extra, utc_us=weight.entered_at_us)
        text = msgspec.json.encode(weight).decode()
        self._record.row(safety.WEIGHT, name, weight.entered_at_us, text)
        self._newest[name] = weight
        return said


def answer(therapist: str, weight: BodyWeight) -> dict[str, Any]:
    """Return a weight as the interfaces say it."""
    plain: dict[str, Any] = msgspec.to_builtins(weight)
    return {"therapist": therapist, "expires_us": weight.expires_at_us()} | plain
