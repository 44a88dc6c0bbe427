"""What people and programs may ask of the host, as checked structures. It does nothing and knows no protocol.

Unknown fields are refused: a misspelt limit must not be taken for no limit.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from ashibar.core import decoding

Words = Annotated[str, Meta(max_length=2000)]
Name = Annotated[str, Meta(max_length=200)]  # records.require_name says the rest in words
Newtons = Annotated[float, Meta(gt=0, le=100_000)]
Fraction = Annotated[float, Meta(ge=0, le=2)]
Microseconds = Annotated[int, Meta(ge=0, le=2**53)]
Origin = Literal["page", "cli", "api", "mqtt"]
NODE_REPLY_S: Final = 4.0  # a node that is there replies at once; a person waits for this one


class RequestError(ValueError):
    """A request that cannot be read; the text names the place, what was expected and what came."""


class Request(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every request has: the rig (None: the only one), who asks and from where."""

    by: Name = ""
    rig: str | None = None
    source: Origin = msgspec.field(default="api", name="from")


class WeightGiven(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A body weight as a person enters it, newtons."""

    value_n: Newtons
    source: Literal["scale", "typed"]
    confirmed: bool = False


class SessionStart(Request, frozen=True, kw_only=True):
    """Begin a session; what is left out is the studio's, and the therapist's newest weight."""

    therapist: Name
    client_code: str
    weight: WeightGiven | None = None
    client_limit_n: Newtons | None = None
    client_limit: Fraction | None = None
    target_low: Fraction | None = None
    target_high: Fraction | None = None
    notes: Words = ""


class SessionEnd(Request, frozen=True, kw_only=True):
    """End the session `id`; its notes are fixed with it."""

    id: str = ""
    notes: Words | None = None


class SessionKeep(Request, frozen=True, kw_only=True):
    """Say that the session `id` is still going."""

    id: str = ""


class SessionChange(Request, frozen=True, kw_only=True):
    """Change what is given, leave the rest."""

    id: str = ""
    notes: Words | None = None
    client_limit_n: Newtons | None = None
    target_low: Fraction | None = None
    target_high: Fraction | None = None


class Weigh(Request, frozen=True, kw_only=True):
    """Enter a therapist's body weight."""

    therapist: Name
    value_n: Newtons
    weight_source: Literal["scale", "typed"] = msgspec.field(name="source")
    confirmed: bool = False


class HangTestStart(Request, frozen=True, kw_only=True):
    """Begin a hang test; `use`: take the result as the therapist's body weight."""

    therapist: Name
    scale_n: Newtons | None = None
    use: bool = False


class HangTestCancel(Request, frozen=True, kw_only=True):
    """Give the hang test up."""


class ZeroNow(Request, frozen=True, kw_only=True):
    """Zero the bars. `confirmed`: somebody has looked that what they read is no load."""

    confirmed: bool = False


class AlarmAction(Request, frozen=True, kw_only=True):
    """Act on the alarm `key`."""

    key: str = ""
    action: Literal["acknowledge", "shelve", "unshelve", "remove", "restore"] = "acknowledge"
    note: Words = ""
    for_s: Annotated[float, Meta(ge=0, le=7 * 86_400)] = 0.0


class InspectionGiven(Request, frozen=True, kw_only=True):
    """Record an inspection of the rig or a hanger; `at_us` None: now."""

    subject: str
    due_us: Microseconds
    passed: bool
    finding: Words
    at_us: Microseconds | None = None


class RatingGiven(Request, frozen=True, kw_only=True):
    """Record what an engineer says the rig may carry; `at_us` None: now."""

    rating_n: Newtons
    document: Words
    due_us: Microseconds
    at_us: Microseconds | None = None


class CorrectionGiven(Request, frozen=True, kw_only=True):
    """Say what the entry `seq` should have said, and why."""

    seq: Annotated[int, Meta(ge=0)]
    why: Words
    data: dict[str, Any]


class SummaryMade(Request, frozen=True, kw_only=True):
    """The host's own: a session's figures, read again from the record."""

    id: str
    summary: dict[str, Any]
    again: bool = False  # after a late delivery


class RecomputedMade(Request, frozen=True, kw_only=True):
    """The host's own: what follows from all frames of a span, after some of them came late."""

    data: dict[str, Any]


class LateDone(Request, frozen=True, kw_only=True):
    """The host's own: all that follows from a late delivery, samples of these times, is on record."""

    from_us: int
    to_us: int


class CopyMended(Request, frozen=True, kw_only=True):
    """The host's own: a span of InfluxDB was written again after a correction."""

    data: dict[str, Any]


def read(kind: type[Any], payload: bytes, **named: Any) -> Any:
    """Return the request in `payload`, with what the address names set; RequestError if it is none."""
    try:
        fields = msgspec.json.decode(payload or b"{}", type=dict[str, Any])
        for name, value in named.items():
            if fields.get(name, value) != value:
                raise RequestError(
                    f"$.{name}: {value!r} was expected as in the address, {fields[name]!r} came"
                )
        return decoding.convert(fields | named, kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(str(error)) from error
