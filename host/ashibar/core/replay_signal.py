"""The samples of a rig through the load model once more, with the parameters that held when each was taken.

Samples come in the order of the signal, in windows of any size; nothing depends on where windows end.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from ashibar.core import evaluate
from ashibar.core.evaluate import Evaluation
from ashibar.core.session_summary import Account

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from ashibar.core.evaluate import State
    from ashibar.core.rig import RigParameters
    from ashibar.core.track import NodeSamples


COLUMNS: Final = tuple(each.name for each in fields(Evaluation) if each.name not in {"spikes", "late"})
EDGE_US: Final = 60_000_000  # so much of the record before a span is read with it, always


@dataclass(frozen=True, slots=True)
class InForce:
    """Parameters that hold for samples stamped `from_us` (Unix microseconds) or later."""

    from_us: int
    params: RigParameters


def rows_of(result: Evaluation, which: slice | NDArray[np.bool_]) -> Evaluation:
    """Give the rows that `which` picks, without what was dropped beside them."""
    return Evaluation(*(getattr(result, name)[which] for name in COLUMNS))


def evaluations(windows: Iterable[Sequence[NodeSamples]], history: Sequence[InForce]) -> Iterator[Evaluation]:
    """Give the results of all samples in order; what is undecided at the end counts as load.

    `history` ascends; before its first entry that one is used. At each entry what came before is settled, as
    it is live: no result waits across a change. ValueError without any.
    """
    stream = _Stream(history)
    for window in windows:
        yield from stream.take(window)
    yield from stream.settle()


class _Stream:
    """The load model in mid-stream. Used for one derivation."""

    def __init__(self, history: Sequence[InForce]) -> None:
        if not history:
            raise ValueError(
                "parameters of the rig were expected, none are on record: nothing to compute with"
            )
        self._history = history
        self._starts = np.array([each.from_us for each in history], np.int64)
        self._number = 0
        self._state: State | None = None

    def take(self, window: Sequence[NodeSamples]) -> Iterator[Evaluation]:
        for number, samples in self._cut(window):
            if number > self._number:
                yield from self._enter(number)
            params = self._history[number].params
            before = self._state or evaluate.start(params)
            self._state, result = evaluate.advance(before, samples, params)
            yield result

    def settle(self) -> Iterator[Evaluation]:
        if self._state is not None:
            self._state, result = evaluate.flush(self._state, self._history[self._number].params)
            yield result

    def _enter(self, number: int) -> Iterator[Evaluation]:
        """Settle what came before an entry of the history; other cells begin anew."""
        yield from self.settle()
        before, after = self._history[self._number].params, self._history[number].params
        if before.cells != after.cells:
            self._state = None
        self._number = number

    def _cut(self, window: Sequence[NodeSamples]) -> list[tuple[int, list[NodeSamples]]]:
        """Divide a window where the parameters change; they never go back, as a clock may."""
        parts: dict[int, list[NodeSamples]] = {}
        reached: dict[str, int] = {}
        for samples in window:
            numbers = np.searchsorted(self._starts, samples.utc_us, side="right") - 1
            numbers = np.maximum(numbers, reached.get(samples.node, self._number))
            reached[samples.node] = int(numbers[-1]) if len(numbers) else self._number
            edges = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
            for start, stop in pairwise(edges):
                if stop > start:
                    parts.setdefault(int(numbers[start]), []).append(_slice(samples, start, stop))
        return sorted(parts.items())


def _slice(samples: NodeSamples, start: int, stop: int) -> NodeSamples:
    if (start, stop) == (0, len(samples.utc_us)):
        return samples
    return replace(
        samples, first_index=samples.first_index + start,
        utc_us=samples.utc_us[start:stop], counts=samples.counts[start:stop],
    )  # fmt: skip


@dataclass(slots=True)
class Taken:
    """What the samples say of a stretch of time: how many there are, and under which calibration."""

    stretches: dict[str, list[NodeSamples]] = field(default_factory=dict)

    def add(self, windows: Iterable[Sequence[NodeSamples]]) -> Iterator[Sequence[NodeSamples]]:
        """Note windows as they pass."""
        for window in windows:
            for samples in window:
                empty = replace(samples, counts=samples.counts[:0])  # the stamps are kept, not the counts
                self.stretches.setdefault(samples.node, []).append(empty)
            yield window

    def account(self, nodes: Sequence[str], from_us: int, to_us: int) -> Account:
        """Count samples stamped later than `from_us`, up to `to_us`, and indices left out before them.

        What is missing behind the last sample is not counted: nobody can know it when the span has just
        ended. What is missing at its beginning is, if there is a sample up to `EDGE_US` before.
        """
        stored = missing = 0
        for node in nodes:
            previous: NodeSamples | None = None
            for samples in self.stretches.get(node, []):
                inside = np.searchsorted(samples.utc_us, [from_us, to_us], side="right")
                stored += int(inside[1] - inside[0])
                if previous is not None and previous.boot == samples.boot:
                    missing += _left_out(previous, samples, from_us, to_us)
                previous = samples
        return Account(expected=stored + missing, stored=stored, missing=missing)

    def calibrations(self, nodes: Sequence[str], from_us: int, to_us: int) -> frozenset[str]:
        """Name the calibrations of samples within the span, as in `bars:3`; `bars:0` is none."""
        return frozenset(
            f"{node}:{samples.calibration.id if samples.calibration else 0}"
            for node in nodes
            for samples in self.stretches.get(node, [])
            if np.diff(np.searchsorted(samples.utc_us, [from_us, to_us], side="right"))[0]
        )


def _left_out(before: NodeSamples, after: NodeSamples, from_us: int, to_us: int) -> int:
    """Count indices between two stretches, spread evenly over the time between, that lie within the span."""
    end = before.first_index + len(before.utc_us)
    count, first_us, last_us = after.first_index - end, int(before.utc_us[-1]), int(after.utc_us[0])
    if count <= 0 or last_us <= first_us or last_us > to_us or first_us < from_us - EDGE_US:
        return 0
    at_us = first_us + np.arange(1, count + 1, dtype=np.int64) * (last_us - first_us) // (count + 1)
    return int(((at_us > from_us) & (at_us <= to_us)).sum())
