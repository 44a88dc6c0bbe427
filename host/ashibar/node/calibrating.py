"""From what `diagnose` read with and without known weights to a calibration record. Arithmetic only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from ashibar.core import decoding
from ashibar.core.units import NEWTON_PER_KG
from ashibar.node.errors import NodeError

if TYPE_CHECKING:
    from collections.abc import Sequence

SOUND: Final = "sound"
LEAST_MOVED_COUNT: Final = 2000  # about 1 kg of a 200 kg cell: less cannot give a span
RETURN_SHARE: Final = 0.005  # of what the weight moved it: a cell that comes back worse slips, or creeps


class CellDiagnosis(msgspec.Struct, frozen=True):
    """What `diagnose` says of one cell; counts."""

    name: str
    verdict: str
    readings: int
    mean: float | None = None
    noise: float | None = None
    least: float | None = None
    greatest: float | None = None
    saturated: int = 0
    spikes: int = 0
    desync: int = 0
    not_ready: int = 0


class Diagnosis(msgspec.Struct, frozen=True):
    """The reply to `diagnose`."""

    samples: int
    verdict: str
    cells: list[CellDiagnosis]
    rate_hz: float | None = None
    longest_gap_us: int | None = None

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong, in the node's words."""
        return all(verdict == SOUND for verdict in (self.verdict, *(cell.verdict for cell in self.cells)))

    def means(self) -> list[float]:
        """Return the mean of each cell, counts. Raises NodeError where a cell is not sound."""
        found = []
        for cell in self.cells:
            if cell.verdict != SOUND or cell.mean is None:
                raise NodeError(f"{cell.name}: a sound cell expected, this came: {cell.verdict}")
            found.append(cell.mean)
        return found


def read(reply: dict[str, Any]) -> Diagnosis:
    """Read the reply to `diagnose`. Raises NodeError where it is none."""
    try:
        return decoding.convert(reply, Diagnosis)
    except msgspec.ValidationError as error:
        raise NodeError(
            f"diagnose: a reply as in docs/protocol.md expected, {error}: update the node"
        ) from None


def span_n_per_count(
    names: Sequence[str], cell: int, free: Sequence[float], loaded: Sequence[float], weight_kg: float
) -> float:
    """Return the span of `cell` from all cells' means without and with a weight on its hanger.

    Raises NodeError where the weight moved it too little, or another cell more.
    """
    moved = [there - before for before, there in zip(free, loaded, strict=True)]
    most = max(range(len(moved)), key=lambda i: abs(moved[i]))
    if abs(moved[most]) < LEAST_MOVED_COUNT:
        raise NodeError(
            f"{names[cell]}: a change of at least {LEAST_MOVED_COUNT} counts expected, {moved[cell]:.0f} "
            "came: hang the weight on it"
        )
    if most != cell:
        raise NodeError(
            f"{names[cell]}: the greatest change expected, {names[most]} moved more: hang the weight on the "
            "hanger that is named, or correct the order of the channels"
        )
    return weight_kg * NEWTON_PER_KG / moved[cell]


def expect_return(
    names: Sequence[str],
    free: Sequence[float],
    after: Sequence[float],
    spans: Sequence[float],
    weight_kg: float,
) -> None:
    """Raise NodeError where a cell has not come back to what it read before the weights."""
    for name, before, there, span in zip(names, free, after, spans, strict=True):
        off_kg = abs((there - before) * span) / NEWTON_PER_KG
        if off_kg > RETURN_SHARE * weight_kg:
            raise NodeError(
                f"{name}: its reading without load within {RETURN_SHARE * weight_kg:.3f} kg of the first one "
                f"expected, {off_kg:.3f} kg off came: take everything off, check its mount, begin anew"
            )


def record(
    number: int, by: str, unix_s: int, zeros: Sequence[float], spans: Sequence[float]
) -> dict[str, Any]:
    """Return the record as `set calibration` takes it."""
    cells = [
        {"zero_count": round(zero), "span_n_per_count": span} for zero, span in zip(zeros, spans, strict=True)
    ]
    return {"id": number, "by": by, "unix_s": unix_s, "cells": cells}
