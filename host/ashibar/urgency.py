"""Which messages cannot wait for others: frames that may change an alarm or that somebody watches.

The rest is taken in together, a few times a second, which costs a tenth. What it comes to is the same.
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from math import inf
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from ashibar.core import topics
from ashibar.core.alarm_conditions import FALL_WITHIN_US
from ashibar.core.frame import frame_length

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ashibar.core.quiet import Span

COUNTS_AT: Final = 32  # of a frame: the header's length, the spacings follow
REMEMBERED_US: Final = FALL_WITHIN_US + 200_000  # a frame holds the time of a frame before it came
CALM_KINDS: Final = (topics.Kind.WEIGHT, topics.Kind.HEALTH)


class Judgement(NamedTuple):
    """Whether a message is to be taken in at once, and which rigs are to be evaluated for it."""

    urgent: bool
    rigs: tuple[str, ...] = ()


class _Watch:
    """One rig's room on one node, and the frames of late."""

    __slots__ = ("calibration", "recent", "rig", "span")

    def __init__(self, rig: str) -> None:
        self.rig = rig
        # When frames came, and the least and the greatest count of each channel in them.
        self.recent: deque[tuple[int, list[int], list[int]]] = deque()
        self.span: Span | None = None
        self.put(None)

    def put(self, span: Span | None) -> None:
        """Use another room."""
        if span is not None and self.span is not None and span.channels != self.span.channels:
            self.recent.clear()
        self.calibration = b"" if span is None else span.calibration_id.to_bytes(2, "little")
        self.span = span

    def is_quiet(self, payload: bytes, utc_us: int) -> bool:
        """Tell whether a frame lies in the room, together with those before it."""
        span = self.span
        counts = None if span is None else self._counts(payload, span)
        if span is None or counts is None:
            self.recent.clear()
            return False
        cells, recent = payload[27], self.recent
        mine = [counts[channel::cells] for channel in span.channels]
        lows, highs = list(map(min, mine)), list(map(max, mine))
        recent.append((utc_us, lows, highs))
        while recent[0][0] < utc_us - REMEMBERED_US:
            recent.popleft()
        still = True
        for low, high, edges in zip(lows, highs, span.edges, strict=True):
            if low == high or low < edges.low or high > edges.high:
                return False
            still &= edges.still_low <= low and high <= edges.still_high
        return still or _swing_n(recent, span) < span.rise_n

    def _counts(self, payload: bytes, span: Span) -> tuple[int, ...] | None:
        """Return the counts of a live frame with the channels of the room, None where it is none."""
        if len(payload) <= COUNTS_AT or payload[3] or payload[24:26] != self.calibration:
            return None
        samples, cells = payload[26], payload[27]
        if len(payload) != frame_length(samples, cells) or cells <= span.channels[-1]:
            return None
        return _numbers(samples * cells).unpack_from(payload, COUNTS_AT + 2 * samples)


class Urgency:
    """`judge` takes messages in order of arrival, in one thread; `say` replaces what is known of a rig."""

    def __init__(self, studio: str, rigs: Mapping[str, Iterable[str]]) -> None:
        """`rigs`: the nodes of each rig."""
        self._studio = studio
        self._watches: dict[str, list[_Watch]] = {}  # of each node's samples
        for rig, nodes in rigs.items():
            for node in nodes:
                topic = topics.build(studio, node, topics.Kind.SAMPLES)
                self._watches.setdefault(topic, []).append(_Watch(rig))
        nodes = {node for each in rigs.values() for node in each}
        self._calm = {topics.build(studio, node, kind) for node in nodes for kind in CALM_KINDS}
        self._watched: frozenset[str] = frozenset()

    def watch(self, rigs: frozenset[str]) -> None:
        """Say which rigs somebody looks at: their samples do not wait."""
        self._watched = rigs

    def say(self, rig: str, spans: Mapping[str, Span | None]) -> None:
        """Say between which counts each node of a rig may read while its samples wait; None: never."""
        for node, span in spans.items():
            for each in self._watches[topics.build(self._studio, node, topics.Kind.SAMPLES)]:
                if each.rig == rig:
                    each.put(span)

    def unjudged(self, topic: str) -> Judgement:
        """Return what a message is taken for that is not looked at: it may change alarms of all its rigs."""
        return Judgement(True, tuple(each.rig for each in self._watches.get(topic, ())))

    def judge(self, topic: str, payload: bytes, utc_us: int) -> Judgement:
        """Tell whether a message that came at `utc_us` can wait for others."""
        watches = self._watches.get(topic)
        if watches is None:
            return CALM if topic in self._calm else URGENT
        judgement = CALM
        for each in watches:
            if not each.is_quiet(payload, utc_us) or each.rig in self._watched:
                judgement = Judgement(True, (*judgement.rigs, each.rig))
        return judgement


URGENT: Final = Judgement(True)
CALM: Final = Judgement(False)


@lru_cache(maxsize=64)
def _numbers(count: int) -> Struct:
    return Struct(f"<{count}i")


def _swing_n(recent: Sequence[tuple[int, list[int], list[int]]], span: Span) -> float:
    """Return by how much the cells have moved together at most, newtons; without end before all is known."""
    if recent[-1][0] - recent[0][0] < FALL_WITHIN_US:
        return inf
    lows = map(min, zip(*[each[1] for each in recent], strict=True))
    highs = map(max, zip(*[each[2] for each in recent], strict=True))
    swing_n = 0.0
    for edges, low, high in zip(span.edges, lows, highs, strict=True):
        swing_n += edges.n_per_count * (high - low)
    return swing_n
