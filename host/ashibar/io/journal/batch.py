"""What one group commit carries: rows ready for `executemany`. It opens no file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class FrameRow(NamedTuple):
    """One frame as stored; `fit` None: its stamp is provisional. `payload` is the frame as it came."""

    node: int
    boot: int
    seq: int
    sample_index: int
    samples: int
    cells: int
    flags: int
    device_us: int
    utc_us: int
    utc_last_us: int
    fit: int | None
    received_us: int
    payload: bytes


class AsideRow(NamedTuple):
    """A payload that could not be used, with the reason; `size` is of the whole, `payload` may be cut."""

    topic: str
    received_us: int
    reason: str
    size: int
    payload: bytes


class GapRow(NamedTuple):
    """Frames `seq_from` to `seq_to` (inclusive) of a boot that will not come any more."""

    seq_from: int
    seq_to: int
    reason: str
    recorded_us: int


class EventRow(NamedTuple):
    """Something that happened, for people: `detail` is JSON."""

    utc_us: int
    kind: str
    subject: str
    detail: str


class KeepRow(NamedTuple):
    """Time of which the frames are evidence: retention never takes them."""

    from_us: int
    to_us: int
    reason: str
    made_us: int


@dataclass(slots=True)
class Batch:
    """Rows to be committed together. Dictionaries keep the last word on their key."""

    nodes: list[tuple[int, str, int]] = field(default_factory=list)  # id, name, first_seen_us
    abouts: dict[int, tuple[str, int]] = field(default_factory=dict)  # node -> JSON, received_us
    boots: dict[tuple[int, int], tuple[int, int, str]] = field(
        default_factory=dict
    )  # -> first_seen_us, upto, counts
    fits: dict[tuple[int, int], tuple[int, int, str]] = field(default_factory=dict)  # version, made_us, state
    frames: list[FrameRow] = field(default_factory=list)
    restamps: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)  # see RESTAMP
    gaps: dict[tuple[int, int], list[GapRow]] = field(default_factory=dict)  # all of the boot
    aside: list[AsideRow] = field(default_factory=list)
    calibrations: dict[tuple[int, int], tuple[int, str]] = field(
        default_factory=dict
    )  # -> received_us, record
    parameters: list[tuple[str, int, str]] = field(default_factory=list)  # rig, from_us, record
    events: list[EventRow] = field(default_factory=list)
    cursors: dict[str, tuple[int, int]] = field(default_factory=dict)  # sink -> frame_id, moved_us
    keeps: list[KeepRow] = field(default_factory=list)
    # Any other table's: SQL and the rows it is run for, in order. What fails holds up all behind it, so
    # only statements that cannot fail on their rows belong here (ON CONFLICT says what happens instead).
    statements: list[tuple[str, Sequence[tuple[Any, ...]]]] = field(default_factory=list)

    def extend(self, later: Batch) -> None:
        """Take in everything of a later batch."""
        for name in ("nodes", "frames", "restamps", "aside", "parameters", "events", "keeps", "statements"):
            getattr(self, name).extend(getattr(later, name))
        for name in ("abouts", "boots", "fits", "gaps", "calibrations", "cursors"):
            getattr(self, name).update(getattr(later, name))

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in self.__slots__)
