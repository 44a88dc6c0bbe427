"""Calibrations on record, and those refused: said under an id that stands for another one already.

A record never changes once its id was used, so what such a boot sends has no calibration: no figure is made
of it, live or recomputed. It sends nothing and stores nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from ashibar.core import decoding
from ashibar.core import messages as wire
from ashibar.core.calibration import NodeCalibration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ashibar.io.journal import Reader

REFUSED: Final = "calibration refused"  # the kind of event
ALIKE: Final = 1e-6  # relative: two ways to print one 32-bit float


class Refused(msgspec.Struct, frozen=True):
    """Detail of the event; its subject is the node."""

    boot: int
    id: int
    problem: str


class Calibrations(NamedTuple):
    """All on record: `known` by node number and id, as last corrected; `refused` are node, boot and id."""

    known: dict[int, dict[int, NodeCalibration]]
    refused: frozenset[tuple[int, int, int]] = frozenset()

    def of(self, node: int, boot: int, number: int) -> NodeCalibration | None:
        """Return what a frame's counts are to be read with; None: with nothing."""
        if (node, boot, number) in self.refused:
            return None
        return self.known.get(node, {}).get(number)


def calibrations_of(reader: Reader) -> Calibrations:
    """Read all calibrations on record, and which were refused."""
    known: dict[int, dict[int, NodeCalibration]] = {}
    for node, number, record in reader.calibrations():
        made = decoding.from_json(record, wire.Calibration)
        known.setdefault(node, {})[number] = of_record(made)
    return Calibrations(known, refused_of(reader))


def refused_of(reader: Reader) -> frozenset[tuple[int, int, int]]:
    """Read which calibrations were refused: node number, boot and id."""
    numbers = {name: number for number, name, _, _ in reader.nodes()}
    events = [(node, decoding.from_json(text, Refused)) for _, _, node, text in reader.events(REFUSED)]
    return frozenset((numbers[node], each.boot, each.id) for node, each in events if node in numbers)


def as_said(reader: Reader) -> dict[tuple[int, int], wire.Calibration]:
    """Read the records as nodes said them first, by node number and id; corrections are not in them."""
    rows = reader.connection.execute("SELECT node, calibration, record FROM calibrations")
    return {(node, number): decoding.from_json(text, wire.Calibration) for node, number, text in rows}


def of_record(record: wire.Calibration) -> NodeCalibration:
    """Return the calibration of a node as the load model wants it."""
    return NodeCalibration(
        id=record.id,
        at_us=round((record.unix_s or 0.0) * 1e6),
        zero_count=tuple(cell.zero_count for cell in record.cells),
        span_n_per_count=tuple(cell.span_n_per_count for cell in record.cells),
        by=record.by,
    )


def is_same(one: wire.Calibration, other: wire.Calibration) -> bool:
    """Tell whether two records turn counts into the same forces."""
    pairs = list(zip(one.cells, other.cells, strict=False))
    return len(one.cells) == len(other.cells) and all(
        math.isclose(a.zero_count, b.zero_count, rel_tol=ALIKE, abs_tol=ALIKE)
        and math.isclose(a.span_n_per_count, b.span_n_per_count, rel_tol=ALIKE)
        for a, b in pairs
    )


def usable(
    known: Mapping[int, NodeCalibration], refused: frozenset[tuple[int, int]], boot: int
) -> Mapping[int, NodeCalibration]:
    """Return what the frames of one boot may be read with; `refused` are boots and ids."""
    if not refused:
        return known
    return {number: each for number, each in known.items() if (boot, number) not in refused}


def problem(node: str, number: int) -> str:
    """Say what is wrong and what to do."""
    return (
        f"node {node}: calibration {number} as on record was expected, another one under the same id came; "
        "its samples are stored, but no figure is made of them: calibrate, or set that record under a new id"
    )
