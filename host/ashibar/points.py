"""Stored frames to lines of InfluxDB's line protocol, recomputed with the load model of their time.

Every sample of the record is one line, and the same line each time: nothing depends on earlier conversions.
"""

from __future__ import annotations

from itertools import pairwise
from math import isnan
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from ashibar.core import messages as wire
from ashibar.core import quantities
from ashibar.core.evaluate import Evaluation, evaluated
from ashibar.core.frame import decode_many
from ashibar.core.stamps import sample_utc_us
from ashibar.core.track import Rows, forces
from ashibar.core.validity import CellFault, Validity
from ashibar.ingest import calibration_of
from ashibar.rigs import from_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from ashibar.core.calibration import NodeCalibration
    from ashibar.core.rig import RigParameters
    from ashibar.io.journal import Reader, StoredFrame

MEASUREMENT: Final = "load"
CONTEXT_FRAMES: Final = 32  # before each stretch: motion looks back 1 s, and frames may be short
FIELDS: Final = (quantities.CLIENT_LOAD, quantities.CLIENT_LOAD_U, quantities.BAR_LOAD, quantities.BAR_LOAD_U)
LABELS: Final = [Validity(number).label for number in range(len(Validity))]


class Points:
    """The converter of a sink. One thread; what it looks up in the journal is read anew for each batch."""

    def __init__(self, studio: str, rigs: Sequence[str]) -> None:
        self._studio = studio
        self._rigs = list(rigs)

    def __call__(self, frames: Sequence[StoredFrame], reader: Reader) -> bytes:
        """Return the lines of `frames`, one a sample and rig."""
        lines: list[str] = []
        for rig, params, result in self.evaluations(frames, reader):
            lines += _format(f"{MEASUREMENT},rig={rig},studio={self._studio} ", result, params)
        return "".join(lines).encode()

    def evaluations(
        self, frames: Sequence[StoredFrame], reader: Reader
    ) -> Iterator[tuple[str, RigParameters, Evaluation]]:
        """Yield rig, parameters and results of every stretch of `frames`: the values every sink writes."""
        lookup = _Lookup(self._rigs, reader)
        for stretch in _stretches(frames):
            for rig, changes in lookup.parameters.items():
                for part, params in _by_parameters(stretch, changes):
                    node = lookup.names[part[0].row.node]
                    if node in params.nodes:
                        yield rig, params, self._evaluated(node, part, params, lookup)

    @staticmethod
    def _evaluated(node: str, part: list[StoredFrame], params: RigParameters, lookup: _Lookup) -> Evaluation:
        first = part[0].row
        before = lookup.reader.frames_of(
            first.node, first.boot, max(0, first.seq - CONTEXT_FRAMES), first.seq - 1
        )
        calibrations = lookup.calibrations.get(first.node, {})
        rows = _rows(part, node, params, calibrations)
        context = _rows(before, node, params, calibrations) if before else Rows.empty(len(params.cells))
        context = context.take(context.utc_us < rows.utc_us[0])
        return evaluated(rows, _bar(rows), context, _bar(context), params)


class _Lookup:
    """What one batch needs of the journal."""

    def __init__(self, rigs: Sequence[str], reader: Reader) -> None:
        self.reader = reader
        self.names = {number: name for number, name, _, _ in reader.nodes()}
        self.parameters = {
            rig: [(from_us, from_json(record)) for _, from_us, record in reader.parameters(rig)]
            for rig in rigs
        }
        self.calibrations: dict[int, dict[int, NodeCalibration]] = {}
        for node, number, record in reader.calibrations():
            calibration = calibration_of(msgspec.json.decode(record, type=wire.Calibration))
            self.calibrations.setdefault(node, {})[number] = calibration


def _stretches(frames: Sequence[StoredFrame]) -> list[list[StoredFrame]]:
    """Return the frames boot by boot, cut where a sequence is missing, each stretch in order."""
    found: list[list[StoredFrame]] = []
    for frame in sorted(frames, key=lambda each: each.row[:3]):
        last = found[-1][-1].row if found else None
        node, boot, seq = frame.row[:3]
        if last is not None and (last.node, last.boot, last.seq + 1) == (node, boot, seq):
            found[-1].append(frame)
        else:
            found.append([frame])
    return found


def _by_parameters(
    stretch: list[StoredFrame], changes: list[tuple[int, RigParameters]]
) -> list[tuple[list[StoredFrame], RigParameters]]:
    """Return the stretch cut where the parameters changed; before the first ones those are used."""
    if not changes:
        return []
    starts = np.array([from_us for from_us, _ in changes], np.int64)
    times = np.array([frame.row.utc_us for frame in stretch], np.int64)
    chosen = np.maximum(np.searchsorted(starts, times, side="right") - 1, 0)
    borders = [0, *(np.flatnonzero(np.diff(chosen)) + 1).tolist(), len(stretch)]
    return [(stretch[start:stop], changes[int(chosen[start])][1]) for start, stop in pairwise(borders)]


def _rows(
    frames: Sequence[StoredFrame],
    node: str,
    params: RigParameters,
    calibrations: dict[int, NodeCalibration],
) -> Rows:
    """Return the forces of one node's frames in order of time; the rig's cells on other nodes are missing."""
    decoded = decode_many([frame.row.payload for frame in frames])
    parts: list[Rows] = []
    columns = params.columns[node]
    for group in decoded.groups:
        first = np.array([frames[row].row.utc_us for row in group.rows.tolist()], np.int64)
        last = np.array([frames[row].row.utc_last_us for row in group.rows.tolist()], np.int64)
        utc_us = sample_utc_us(first, last, group.sample_device_us)
        ids = decoded.headers.calibration_id[group.rows]
        for number in np.unique(ids).tolist():
            mine = ids == number
            calibration = calibrations.get(number)
            times = utc_us[mine].reshape(-1)
            force_n = np.full((len(times), len(params.cells)), np.nan)
            fault = np.full(force_n.shape, CellFault.MISSING, np.uint8)
            counts = group.counts[mine].reshape(-1, group.cells)
            force_n[:, columns], fault[:, columns] = forces(counts, calibration, params, node)
            at_us = params.zero.at_us if params.zero is not None else calibration.at_us if calibration else 0
            parts.append(Rows(times, force_n, fault, np.full(len(times), at_us, np.int64)))
    rows = parts[0].then(*parts[1:])
    return rows.take(np.argsort(rows.utc_us, kind="stable")) if len(parts) > 1 else rows


def _bar(rows: Rows) -> NDArray[np.float64]:
    """Return the signed sum of the cells, column by column as the live figure adds them."""
    total = np.zeros(len(rows))
    for column in rows.force_n.T:
        total += column
    return total


def _format(head: str, result: Evaluation, params: RigParameters) -> list[str]:
    """Return a line for each row; a field that is not known is left out."""
    names = [field.influx_field for field in FIELDS]
    names += [quantities.hanger_force(name).influx_field for name in params.names]
    table = np.column_stack(
        [result.client_n, result.u_client_n, result.bar_n, result.u_bar_n, result.force_n]
    )
    motion, validity = quantities.MOTION.influx_field, quantities.VALIDITY.influx_field
    tails = [
        f'{motion}={"t" if moving else "f"},{validity}="{LABELS[number]}" {utc_us}\n'
        for moving, number, utc_us in zip(
            result.motion.tolist(), result.validity.tolist(), result.utc_us.tolist(), strict=True
        )
    ]
    if not np.isnan(table).any():
        form = head + "".join(f"{name}=%.3f," for name in names)
        return [form % tuple(row) + tail for row, tail in zip(table.tolist(), tails, strict=True)]
    return [
        head
        + "".join(f"{name}={value:.3f}," for name, value in zip(names, row, strict=True) if not isnan(value))
        + tail
        for row, tail in zip(table.tolist(), tails, strict=True)
    ]
