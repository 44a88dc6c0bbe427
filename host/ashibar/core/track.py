"""The samples of one node in a row: counts to newtons, codes to faults, spikes dropped. Knows no other node.

A sample is final once the two after it have come. Cutting the stream elsewhere changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ashibar.core import spikes
from ashibar.core.codes import COUNT_MAX, COUNT_MIN
from ashibar.core.validity import CellFault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ashibar.core.calibration import NodeCalibration
    from ashibar.core.rig import RigParameters

BOOTS_REMEMBERED: Final = 8  # samples of an earlier boot that come late are known as such
CONTEXT: Final = spikes.LAG  # decided samples kept to judge the next ones


@dataclass(frozen=True, slots=True)
class NodeSamples:
    """Samples of one node, in a row: `utc_us` int64 [S] ascending, `counts` int32 [S, N] with codes in-band.

    `first_index` is the sample index within the boot of the first one. `calibration` is the one in force,
    None if the node has none. Decimated frames are given as the samples they hold.
    """

    node: str
    boot: int
    first_index: int
    utc_us: NDArray[np.int64]
    counts: NDArray[np.int32]
    calibration: NodeCalibration | None

    def since(self, index: int) -> NodeSamples:
        """Return the part from sample index `index` on."""
        skip = index - self.first_index
        return NodeSamples(
            self.node, self.boot, index, self.utc_us[skip:], self.counts[skip:], self.calibration
        )


@dataclass(frozen=True, slots=True)
class Rows:
    """Forces in a row: `utc_us` [S], `force_n` [S, C], `fault` uint8 [S, C], `zero_at_us` [S].

    An unknown force is nan.
    """

    utc_us: NDArray[np.int64]
    force_n: NDArray[np.float64]
    fault: NDArray[np.uint8]
    zero_at_us: NDArray[np.int64]

    @staticmethod
    def empty(cells: int) -> Rows:
        """Return no rows of `cells` cells."""
        return Rows(
            np.empty(0, np.int64), np.empty((0, cells)), np.empty((0, cells), np.uint8), np.empty(0, np.int64)
        )

    def __len__(self) -> int:
        return len(self.utc_us)

    def take(self, which: slice | NDArray[np.bool_] | NDArray[np.intp]) -> Rows:
        """Return the rows that `which` picks."""
        return Rows(self.utc_us[which], self.force_n[which], self.fault[which], self.zero_at_us[which])

    def then(self, *more: Rows) -> Rows:
        """Return these rows followed by `more`."""
        parts = [rows for rows in (self, *more) if len(rows)]
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return self
        return Rows(
            np.concatenate([rows.utc_us for rows in parts]),
            np.concatenate([rows.force_n for rows in parts]),
            np.concatenate([rows.fault for rows in parts]),
            np.concatenate([rows.zero_at_us for rows in parts]),
        )


@dataclass(frozen=True, slots=True)
class Spike:
    """A sample that was dropped: when (Unix microseconds), from which hanger, and what it read (newtons)."""

    utc_us: int
    hanger: str
    force_n: float


@dataclass(frozen=True, slots=True)
class Track:
    """Where a node's stream stands: the last rows, of which the first `decided` are final already."""

    rows: Rows
    whole: NDArray[np.bool_]
    decided: int
    boot: int | None = None
    next_index: int = 0
    boots: tuple[int, ...] = ()

    @property
    def last_utc_us(self) -> int | None:
        """The time of the newest sample, None before the first."""
        return int(self.rows.utc_us[-1]) if len(self.rows) else None


@dataclass(slots=True)
class Head:
    """What is known of a node's newest sample while a batch is sorted.

    Changed in place, for it is the inner loop.
    """

    boot: int | None
    next_index: int
    boots: tuple[int, ...]
    last_utc_us: int | None

    @staticmethod
    def of(track: Track) -> Head:
        """Return the head of a track."""
        return Head(track.boot, track.next_index, track.boots, track.last_utc_us)

    def fresh(self, samples: NodeSamples) -> NodeSamples | None:
        """Return the part of `samples` that is new, None if nothing is.

        What is older than the newest sample is late.
        """
        if not len(samples.utc_us):
            return None
        if samples.boot == self.boot:
            if samples.first_index >= self.next_index:
                return samples
            if samples.first_index + len(samples.utc_us) <= self.next_index:
                return None
            return samples.since(self.next_index)
        return None if samples.boot in self.boots else samples

    def take(self, samples: NodeSamples) -> None:
        """Move on to the end of `samples`."""
        if samples.boot != self.boot:
            self.boot = samples.boot
            self.boots = (*self.boots, samples.boot)[-BOOTS_REMEMBERED:]
        self.next_index = samples.first_index + len(samples.utc_us)
        self.last_utc_us = int(samples.utc_us[-1])


def new_track(cells: int) -> Track:
    """Return the track of a node that has sent nothing yet, with `cells` cells of the rig."""
    return Track(Rows.empty(cells), np.empty(0, bool), 0)


def follow(
    track: Track, samples: Sequence[NodeSamples], head: Head, params: RigParameters
) -> tuple[Track, Rows, tuple[Spike, ...]]:
    """Return the track after fresh `samples`, the rows now final and the spikes among them."""
    node = samples[0].node
    rows = track.rows.then(*_converted(samples, params))
    whole = np.concatenate([track.whole, _whole(track, samples)])
    spike = spikes.find(rows.force_n, rows.utc_us, whole, params.judged[node])
    end = max(len(rows) - spikes.LAG, track.decided)
    final, dropped = _final(rows, spike, slice(track.decided, end), params, node)
    keep = max(end - CONTEXT, 0)
    after = Track(
        rows.take(slice(keep, None)), whole[keep:], end - keep, head.boot, head.next_index, head.boots
    )
    return after, final, dropped


def settle(track: Track) -> tuple[Track, Rows]:
    """Return the track with nothing undecided, and the rows that were.

    Without what follows them they count as load.
    """
    rest = track.rows.take(slice(track.decided, None))
    return Track(track.rows, track.whole, len(track.rows), track.boot, track.next_index, track.boots), rest


def undecided(track: Track, judged: NDArray[np.bool_]) -> Rows:
    """Return the rows not final yet, without those that may turn out to be spikes."""
    if not spikes.may_withhold(track.rows.force_n, len(track.rows) - track.decided):
        return track.rows.take(slice(track.decided, None))
    start = len(track.rows) - 1
    while start > 0 and track.whole[start] and _near(track.rows, start):
        start -= 1
    start = max(start, 0)
    keep = np.ones(len(track.rows), dtype=bool)
    verdict = ~spikes.withheld(track.rows.force_n[start:], judged)
    keep[len(keep) - len(verdict) :] = verdict
    keep[: track.decided] = False
    return track.rows.take(keep)


def _near(rows: Rows, at: int) -> bool:
    return bool(rows.utc_us[at] - rows.utc_us[at - 1] <= spikes.NEAR_US)


def _whole(track: Track, samples: Sequence[NodeSamples]) -> NDArray[np.bool_]:
    whole = np.ones(sum(len(item.utc_us) for item in samples), dtype=bool)
    boot, index, at = track.boot, track.next_index, 0
    for item in samples:
        whole[at] = item.boot == boot and item.first_index == index
        boot, index = item.boot, item.first_index + len(item.utc_us)
        at += len(item.utc_us)
    return whole


def _final(
    rows: Rows, spike: NDArray[np.bool_] | None, span: slice, params: RigParameters, node: str
) -> tuple[Rows, tuple[Spike, ...]]:
    final = rows.take(span)
    if spike is None:
        return final, ()
    hits = np.argwhere(spike[span])
    names = [params.names[column] for column in params.columns[node]]
    dropped = tuple(Spike(int(final.utc_us[i]), names[j], float(final.force_n[i, j])) for i, j in hits)
    return final.take(np.flatnonzero(~spike[span].any(axis=1))), dropped


def _converted(samples: Sequence[NodeSamples], params: RigParameters) -> list[Rows]:
    """Return rows of each stretch of samples under one calibration."""
    stretches: list[list[NodeSamples]] = []
    for item in samples:
        if (
            stretches
            and stretches[-1][0].calibration is item.calibration
            and stretches[-1][0].counts.shape[1] == item.counts.shape[1]
        ):
            stretches[-1].append(item)
        else:
            stretches.append([item])
    return [_convert(stretch, params) for stretch in stretches]


def _convert(stretch: list[NodeSamples], params: RigParameters) -> Rows:
    first = stretch[0]
    utc_us = first.utc_us if len(stretch) == 1 else np.concatenate([item.utc_us for item in stretch])
    counts = first.counts if len(stretch) == 1 else np.concatenate([item.counts for item in stretch])
    force_n, fault = forces(counts, first.calibration, params, first.node)
    if params.zero is not None:
        zero_at_us = params.zero.at_us
    else:
        zero_at_us = 0 if first.calibration is None else first.calibration.at_us
    return Rows(utc_us, force_n, fault, np.full(len(utc_us), zero_at_us, np.int64))


def forces(
    counts: NDArray[np.int32], calibration: NodeCalibration | None, params: RigParameters, node: str
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Return force (newtons) and fault of the rig's cells on `node`, of `counts` [S, N].

    Both are [S, cells of the rig on the node]. f = s (n - z), design of a linear cell; a count that is a
    code, a channel the node has not and a cell without calibration have force nan and a fault that says so.
    """
    channels = params.channels[node]
    if params.width[node] > counts.shape[1]:
        wider = np.full((len(counts), params.width[node]), COUNT_MIN - CellFault.ABSENT, np.int32)
        wider[:, : counts.shape[1]] = counts
        counts = wider
    if counts.shape[1] != len(channels) or not params.as_sent[node]:
        counts = counts[:, channels]
    fault = _faults(counts)
    if calibration is None or len(calibration.span) < params.width[node]:
        np.putmask(fault, fault == 0, np.uint8(CellFault.UNCALIBRATED))
        return np.full(counts.shape, np.nan), fault
    force_n = counts - zero_of(calibration, params, node)
    force_n *= calibration.span[channels]
    if fault.any():
        force_n[fault != 0] = np.nan
    return force_n, fault


def zero_of(calibration: NodeCalibration, params: RigParameters, node: str) -> NDArray[np.float64]:
    """Return the zero in use of the rig's cells on `node`, counts."""
    if params.zeros is None:
        return calibration.zero[params.channels[node]]
    return params.zeros[params.columns[node]]


def _faults(counts: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Return the fault of each count; the converter's own end words are saturation whoever sends them."""
    fault = np.zeros(counts.shape, np.uint8)
    if not counts.size or (counts.min() > COUNT_MIN and counts.max() < COUNT_MAX):
        return fault
    below = counts < COUNT_MIN
    code = np.minimum(COUNT_MIN - counts.astype(np.int64), CellFault.UNKNOWN)
    fault[below] = code[below].astype(np.uint8)
    fault[counts > COUNT_MAX] = CellFault.UNKNOWN
    fault[counts == COUNT_MAX] = CellFault.SATURATED_HIGH
    fault[counts == COUNT_MIN] = CellFault.SATURATED_LOW
    return fault
