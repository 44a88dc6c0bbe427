"""What was recorded against what was recomputed, number by number. Numbers are equal or they are not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ABSENT: Final = "not there"


class Difference(NamedTuple):
    """One thing that is not the same: where, what the record says, what comes out now."""

    what: str
    recorded: Any
    recomputed: Any

    def __str__(self) -> str:
        return f"{self.what}: recorded {self.recorded}, recomputed {self.recomputed}"


def differences(what: str, recorded: Any, recomputed: Any) -> Iterator[Difference]:
    """Give every leaf that differs between two values of JSON, structs or tuples of them."""
    yield from _differ(what, msgspec.to_builtins(recorded), msgspec.to_builtins(recomputed))


def _differ(what: str, recorded: Any, recomputed: Any) -> Iterator[Difference]:
    if isinstance(recorded, dict) and isinstance(recomputed, dict):
        for key in [*recorded, *(key for key in recomputed if key not in recorded)]:
            yield from _differ(f"{what} {key}", recorded.get(key, ABSENT), recomputed.get(key, ABSENT))
    elif isinstance(recorded, list | tuple) and isinstance(recomputed, list | tuple):
        for number in range(max(len(recorded), len(recomputed))):
            yield from _differ(f"{what} [{number}]", _at(recorded, number), _at(recomputed, number))
    elif recorded != recomputed or isinstance(recorded, bool) != isinstance(recomputed, bool):
        yield Difference(what, recorded, recomputed)


def _at(items: Any, number: int) -> Any:
    return items[number] if number < len(items) else ABSENT


def by_key(what: str, recorded: Mapping[str, Any], recomputed: Mapping[str, Any]) -> Iterator[Difference]:
    """Give the differences of things that have a name; one that is missing is one difference."""
    for key in sorted({*recorded, *recomputed}):
        if key not in recomputed:
            yield Difference(f"{what} {key}", _told(recorded[key]), ABSENT)
        elif key not in recorded:
            yield Difference(f"{what} {key}", ABSENT, _told(recomputed[key]))
        else:
            yield from differences(f"{what} {key}", recorded[key], recomputed[key])


def _told(value: Any) -> Any:
    return msgspec.to_builtins(value)
