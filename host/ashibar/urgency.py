"""Which messages cannot wait for others: frames that may change an alarm or that somebody watches.

The rest is taken in together, a few times a second, which costs a tenth. What it comes to is the same.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING, Final

from ashibar.core import topics
from ashibar.core.frame import frame_length

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ashibar.core.quiet import Span
    from ashibar.io.mqtt import Inbound

COUNTS_AT: Final = 32  # of a frame: the header's length, the spacings follow
CALM_KINDS: Final = (topics.Kind.WEIGHT, topics.Kind.HEALTH)


class Urgency:
    """`hurried` may be called from any thread; `say` replaces what is known of a rig at once."""

    def __init__(self, studio: str, rigs: Mapping[str, Iterable[str]]) -> None:
        """`rigs`: the nodes of each rig."""
        self._rigs: dict[str, tuple[str, ...]] = {}  # of each node's samples
        for rig, nodes in rigs.items():
            for node in nodes:
                topic = topics.build(studio, node, topics.Kind.SAMPLES)
                self._rigs[topic] = (*self._rigs.get(topic, ()), rig)
        nodes = {node for each in rigs.values() for node in each}
        self._calm = {topics.build(studio, node, kind) for node in nodes for kind in CALM_KINDS}
        self._spans: dict[tuple[str, str], Span] = {}
        self._studio = studio
        self._watched: frozenset[str] = frozenset()

    def watch(self, rigs: frozenset[str]) -> None:
        """Say which rigs somebody looks at: their samples do not wait."""
        self._watched = rigs

    def say(self, rig: str, spans: Mapping[str, Span | None]) -> None:
        """Say between which counts each node of a rig may read while its samples wait; None: never."""
        for node, span in spans.items():
            topic = topics.build(self._studio, node, topics.Kind.SAMPLES)
            if span is None:
                self._spans.pop((topic, rig), None)
            else:
                self._spans[topic, rig] = span

    def is_urgent(self, message: Inbound) -> bool:
        """Tell whether a message is to be taken in at once."""
        return message.topic not in self._calm and (
            message.topic not in self._rigs or bool(self.hurried(message))
        )

    def hurried(self, message: Inbound) -> list[str]:
        """Name the rigs whose samples in this message are to be evaluated at once."""
        topic = message.topic
        return [
            rig
            for rig in self._rigs.get(topic, ())
            if rig in self._watched or not _within(message, self._spans.get((topic, rig)))
        ]


@lru_cache(maxsize=64)
def _counts(number: int) -> Struct:
    return Struct(f"<{number}i")


def _within(message: Inbound, span: Span | None) -> bool:
    """Tell whether all counts of a live frame lie within the span, and no cell reads one value only."""
    payload = message.payload
    if span is None or message.utc_us >= span.until_us or len(payload) <= COUNTS_AT or payload[3]:
        return False
    samples, cells = payload[26], payload[27]
    if len(payload) != frame_length(samples, cells) or cells <= max(span.channels):
        return False
    if int.from_bytes(payload[24:26], "little") != span.calibration_id:
        return False
    counts = _counts(samples * cells).unpack_from(payload, COUNTS_AT + 2 * samples)
    for channel, low, high in zip(span.channels, span.low, span.high, strict=True):
        mine = counts[channel::cells]
        least, greatest = min(mine), max(mine)
        if least < low or greatest > high or least == greatest:
            return False
    return True
