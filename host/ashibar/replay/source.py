"""Stored frames as samples in the order of the signal, whatever order they were delivered or stored in.

It reads and decodes; what a count weighs and what follows from it is the core's.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from ashibar.calibrations import calibrations_of
from ashibar.core.frame import decode_many
from ashibar.core.replay_signal import InForce
from ashibar.core.stamps import sample_utc_us
from ashibar.core.track import NodeSamples
from ashibar.rigs import from_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from ashibar.calibrations import Calibrations
    from ashibar.core.frame import FrameGroup
    from ashibar.io.journal import Reader
    from ashibar.io.journal.frames import Stamped

WINDOW_US: Final = 240_000_000  # some minutes: large arrays, and still in the processor's cache


def windows(
    reader: Reader, nodes: Sequence[str], from_us: int, to_us: int
) -> Iterator[tuple[NodeSamples, ...]]:
    """Give the samples of `nodes` with stamps within the span, each once, in order of time.

    A frame that straddles an end comes whole. Frames whose stamps are not final yet are left out.
    """
    known = {number: name for number, name, _, _ in reader.nodes()}
    names = {number: name for number, name in known.items() if name in nodes}
    calibrations = calibrations_of(reader)
    numbers = np.array(list(names), np.int64)
    for frames in reader.frames.stamped(from_us, to_us + 1, WINDOW_US):
        mine = np.isin(frames.node, numbers)
        yield tuple(node_samples(frames if mine.all() else frames.chosen(mine), names, calibrations))


def node_samples(frames: Stamped, names: dict[int, str], calibrations: Calibrations) -> list[NodeSamples]:
    """Give the samples of some frames, node by node, boot by boot, by index; `frames` may be in any order."""
    decoded = decode_many(frames.payloads)
    stamps = np.column_stack(frames[:5])[decoded.headers.position]
    if not len(stamps):
        return []
    found: list[tuple[int, int, NodeSamples]] = []
    for group in decoded.groups:
        mine = stamps[group.rows]
        index = decoded.headers.sample_index[group.rows].astype(np.int64)
        calibration = decoded.headers.calibration_id[group.rows].astype(np.int64)
        order = np.lexsort((mine[:, 2], mine[:, 1], mine[:, 0]))
        found += _stretches(
            group, mine[order], index[order], calibration[order],
            order=order, names=names, calibrations=calibrations,
        )  # fmt: skip
    begun = {key: _first_us(stamps, key) for key in {(node, each.boot) for node, _, each in found}}
    found.sort(key=lambda each: (each[0], begun[each[0], each[2].boot], each[2].boot, each[1]))
    return [samples for _, _, samples in found]


def _first_us(stamps: NDArray[np.int64], key: tuple[int, int]) -> int:
    return int(stamps[(stamps[:, 0] == key[0]) & (stamps[:, 1] == key[1]), 3].min())


def _stretches(
    group: FrameGroup,
    stamps: NDArray[np.int64],
    index: NDArray[np.int64],
    calibration: NDArray[np.int64],
    *,
    order: NDArray[np.intp],
    names: dict[int, str],
    calibrations: Calibrations,
) -> Iterator[tuple[int, int, NodeSamples]]:
    """Give node, first index and samples of each run of frames without a hole, in arrays."""
    times = sample_utc_us(stamps[:, 3], stamps[:, 4], group.sample_device_us[order])
    counts = group.counts[order]
    follows = (index[1:] == index[:-1] + group.samples) & (calibration[1:] == calibration[:-1])
    follows &= (stamps[1:, :2] == stamps[:-1, :2]).all(axis=1) & (times[1:, 0] > times[:-1, -1])
    borders = [0, *(np.flatnonzero(~follows) + 1).tolist(), len(index)]
    for start, stop in pairwise(borders):
        node = int(stamps[start, 0])
        samples = NodeSamples(
            names[node], int(stamps[start, 1]), int(index[start]), times[start:stop].reshape(-1),
            counts[start:stop].reshape(-1, group.cells),
            calibrations.of(node, int(stamps[start, 1]), int(calibration[start])),
        )  # fmt: skip
        yield node, int(index[start]), samples


def history(reader: Reader, rig: str) -> list[InForce]:
    """Give the parameters of a rig and from when on each held; of one moment the last one said."""
    return in_force((from_us, record) for _, from_us, record in reader.parameters(rig))


def in_force(records: Iterable[tuple[int, str]]) -> list[InForce]:
    """Read recorded parameters, (from_us, JSON) in the order they were written."""
    found: dict[int, InForce] = {}
    for from_us, record in records:
        found[from_us] = InForce(from_us, from_json(record))
    return [found[from_us] for from_us in sorted(found)]


def rigs(reader: Reader) -> list[str]:
    """Give the names of the rigs on record."""
    return [row[0] for row in reader.connection.execute("SELECT DISTINCT rig FROM parameters ORDER BY rig")]
