"""Decides what may go from the journal, and in which order, when it gets old or the room gets short.

It deletes nothing. What is in no list here is never deleted: the safety log, sessions, alarms, incidents,
calibrations, parameters, gaps and accounts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DAY_US: Final = 86_400 * 1_000_000
SHED_AT: Final = 0.95  # of the budget
SHED_TO: Final = 0.90  # down to here at once, so that not every block costs a transaction
# Below this on the disk the journal sheds, below twice this it warns: the write-ahead log may take 64 MB and
# the system needs some itself.
MIN_FREE_BYTES: Final = 512 * 1024 * 1024


class Shortage(IntEnum):
    """How short the room is."""

    NONE = 0
    WARN = 1
    SHED = 2


@dataclass(frozen=True, slots=True)
class Policy:
    """What the studio allows: None is no limit. `raw_days` of the full rate, `max_bytes` of the file."""

    raw_days: float | None = None
    max_bytes: int | None = None
    min_free_bytes: int = MIN_FREE_BYTES


@dataclass(frozen=True, slots=True)
class Room:
    """The room as it is: bytes in use inside the file, bytes free on its disk and inside the file."""

    used_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class ColdBlock:
    """A packed block as retention sees it."""

    id: int
    last_id: int
    first_us: int
    last_us: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Doomed:
    """A block that may go, and why."""

    block: int
    reason: str


def shortage(room: Room, policy: Policy) -> Shortage:
    """Return how short the room is, by the budget or by the disk, whichever is worse.

    A budget alone is what the studio wants kept: shedding keeps it, and nobody has to act. With `raw_days` as
    well, shedding for room takes what was to be kept longer: that is for a person to decide.
    """
    worst = Shortage.NONE
    if policy.max_bytes is not None:
        share = room.used_bytes / policy.max_bytes
        takes_early = policy.raw_days is not None and share >= SHED_TO
        worst = Shortage.SHED if share >= SHED_AT else Shortage.WARN if takes_early else worst
    if room.free_bytes < policy.min_free_bytes:
        return Shortage.SHED
    if room.free_bytes < 2 * policy.min_free_bytes:
        return max(worst, Shortage.WARN)
    return worst


def words(room: Room, policy: Policy, waiting: Sequence[str] = ()) -> str | None:
    """Say that the store is nearly full and what helps, None while there is room. `waiting`: late sinks.

    Said after what may go has gone: what is short then stays short.
    """
    if shortage(room, policy) is Shortage.NONE:
        return None
    budget = "" if policy.max_bytes is None else f" of {policy.max_bytes / 1e6:.0f}"
    behind = f"; {' and '.join(waiting)} still has to take older data" if waiting else ""
    return (
        f"store nearly full: the journal uses {room.used_bytes / 1e6:.0f}{budget} MB, "
        f"{room.free_bytes / 1e6:.0f} MB are free; {_remedy(room, policy)}{behind}"
    )


def _remedy(room: Room, policy: Policy) -> str:
    if room.free_bytes < 2 * policy.min_free_bytes:
        return "free some space on the disk"
    if policy.raw_days is not None:
        return (
            f"the budget does not hold {policy.raw_days:g} days: raise [journal] max_gb or lower raw_days, "
            "or the oldest of them go early"
        )
    return "nothing more may go: raise [journal] max_gb"


def surplus_bytes(room: Room, policy: Policy) -> int:
    """Return how many bytes have to go now; 0 unless the room is short enough to shed."""
    if shortage(room, policy) is not Shortage.SHED:
        return 0
    over_budget = 0 if policy.max_bytes is None else room.used_bytes - SHED_TO * policy.max_bytes
    over_disk = policy.min_free_bytes - room.free_bytes
    return max(0, round(over_budget), over_disk)


def doomed(
    blocks: Iterable[ColdBlock],
    *,
    floor_id: int,
    kept: Sequence[tuple[int, int]],
    now_us: int,
    policy: Policy,
    surplus: int = 0,
) -> list[Doomed]:
    """Return what of the raw record may go, oldest first: what is too old, then as much as `surplus` asks.

    Only blocks that every sink has whole (`last_id` up to `floor_id`) and that no kept span touches.
    """
    found: list[Doomed] = []
    for block in sorted(blocks, key=lambda each: (each.first_us, each.id)):
        evidence = any(start <= block.last_us and block.first_us < end for start, end in kept)
        if block.last_id > floor_id or evidence:
            continue
        aged = policy.raw_days is not None and block.last_us < now_us - policy.raw_days * DAY_US
        if not aged and surplus <= 0:
            continue
        surplus -= block.bytes
        found.append(Doomed(block.id, "age" if aged else "store full"))
    return found
