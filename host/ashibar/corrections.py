"""What a correction in the safety log changes of the record: body weights and calibrations, in retrospect.

Samples stay as they are; sinks and series compute what follows from them again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ashibar.core import decoding
from ashibar.core import messages as wire
from ashibar.core.bodyweight import BodyWeight, enter
from ashibar.core.records import RefusedError
from ashibar.io.journal.sinks import CORRECT_CALIBRATION
from ashibar.rigs import from_json, to_json

if TYPE_CHECKING:
    from ashibar.core.chain import ChainEntry
    from ashibar.io.journal import Reader

WEIGHT: Final = "weight"


class CalibrationCorrected(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The record that should have stood under a node's calibration id."""

    node: str
    id: int
    cells: list[wire.CellCalibration]


def parameters_of(reader: Reader, old: ChainEntry, data: dict[str, Any]) -> list[tuple[str, int, str]]:
    """Return rig, time and record of all parameters that used the weight of a corrected entry `weight`.

    None for other entries. RefusedError where the correction gives no plausible weight.
    """
    if old.kind != WEIGHT or "value_n" not in data:
        return []
    was_n, at_us = float(old.data["value_n"]), int(old.data["entered_at_us"])
    weight = _weight(data, old.data, at_us)
    rows = reader.connection.execute("SELECT rig, from_us, record FROM parameters ORDER BY from_us, id")
    newest = {(rig, from_us): record for rig, from_us, record in rows}
    found = []
    for (rig, from_us), record in newest.items():
        params = from_json(record)
        used = params.body_weight
        if used is not None and (used.entered_at_us, used.value_n) == (at_us, was_n):
            found.append((rig, from_us, to_json(replace(params, body_weight=weight))))
    return found


def _weight(data: dict[str, Any], old: dict[str, Any], at_us: int) -> BodyWeight:
    try:
        return enter(float(data["value_n"]), data.get("source", old["source"]), at_us)
    except (TypeError, ValueError) as error:
        raise RefusedError(f"a body weight in newtons was expected: {error}") from error


def calibration_of(
    reader: Reader, data: dict[str, Any], by: str, now_us: int
) -> tuple[str, tuple[int, int, int, str]] | None:
    """Return statement and row for a correction whose data has `calibration`, None for others.

    RefusedError where node and id are not on record, or the cells are not those of it.
    """
    if "calibration" not in data:
        return None
    try:
        given = decoding.convert(data["calibration"], CalibrationCorrected)
    except msgspec.ValidationError as error:
        raise RefusedError(f"node, id and cells of a calibration were expected: {error}") from error
    numbers = {name: number for number, name, _, _ in reader.nodes()}
    known = {(node, number): record for node, number, record in reader.calibrations()}
    record = known.get((numbers.get(given.node, -1), given.id))
    old = None if record is None else decoding.from_json(record, wire.Calibration)
    if old is None or len(old.cells) != len(given.cells):
        raise RefusedError(
            f"a calibration on record with its number of cells was expected, {given.id} of {given.node} came"
        )
    new = msgspec.structs.replace(old, cells=given.cells, by=by)
    text = msgspec.json.encode(new).decode()
    return CORRECT_CALIBRATION, (numbers[given.node], given.id, now_us, text)
