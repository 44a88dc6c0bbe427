"""The electronics of a virtual node: load cells and converters with their tolerances, drawn from a seed.

It knows the truth (zero, span) that a calibration of the same node would find, and writes its files.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ashibar.node.errors import NodeError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ashibar.core.trace import Trace

CAPACITY_N: Final = 1961.33  # 200 kg, the cell of the bill of materials
SENSITIVITY: Final = 0.002  # 2 mV/V at capacity
FULL_SCALE: Final = 0.5 / 128  # input of the HX711 at gain 128, in parts of the excitation: it cancels
COUNT_PER_N: Final = SENSITIVITY / FULL_SCALE * 2**23 / CAPACITY_N  # about 2190
NOISE_COUNT: Final = 46  # 90 nV rms at an excitation of 4.2 V
ZERO_COUNT: Final = 100_000  # 0.2 mV of offset: that of a cell and its board
SPAN_TOLERANCE: Final = 0.01
RATE_HZ: Final = 80.0
RATE_TOLERANCE: Final = 0.02
DRIFT_COUNT_PER_H: Final = (
    200  # 0.1 N: 0.02 % of capacity in 10 K, as a room warms by a few tenths in an hour
)
CLOCK_PIN: Final = 23
DATA_PINS: Final = (18, 19, 21, 22)
SPACING_US: Final = 500
LONGEST_FILE_ROWS: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class VirtualCell:
    """One cell with its converter; `span_n_per_count` and `zero_count` are exact."""

    name: str
    zero_count: int
    count_per_n_q10: int
    rate_hz: float
    phase_us: int
    drift_count_per_h: int

    @property
    def span_n_per_count(self) -> float:
        """Newtons per count: the count per newton is a whole number of 1024ths."""
        return 1024 / self.count_per_n_q10


def draw_cells(names: Sequence[str], seed: int) -> tuple[VirtualCell, ...]:
    """Cells with the tolerances above; the same seed gives the same cells."""
    random = np.random.default_rng(seed)
    return tuple(
        VirtualCell(
            name=f"cell-{name}" if name.isdigit() else name,
            zero_count=int(random.integers(-ZERO_COUNT, ZERO_COUNT)),
            count_per_n_q10=round(COUNT_PER_N * 1024 * (1 + random.uniform(-SPAN_TOLERANCE, SPAN_TOLERANCE))),
            rate_hz=RATE_HZ * (1 + random.uniform(-RATE_TOLERANCE, RATE_TOLERANCE)),
            phase_us=int(random.integers(0, 12_500)),
            drift_count_per_h=int(random.integers(-DRIFT_COUNT_PER_H, DRIFT_COUNT_PER_H)),
        )
        for name in names
    )


def calibration_record(cells: Sequence[VirtualCell], unix_s: float) -> dict[str, Any]:
    """The calibration that fits these cells exactly, as docs/protocol.md has it in `about`."""
    return {
        "id": 1,
        "by": "virtual bench",
        "unix_s": int(unix_s),
        "cells": [
            {"zero_count": cell.zero_count, "span_n_per_count": cell.span_n_per_count} for cell in cells
        ],
    }


def write_trace(trace: Trace, path: Path) -> dict[str, Any]:
    """Write the file that firmware/virtual/board_trace.py reads; answers its part of the board's settings.

    Spaced by 0.5 ms, more above a quarter of an hour; averages between the instants written are exact.
    """
    spacing_us = SPACING_US * max(1, math.ceil(trace.duration_s * 1e6 / SPACING_US / LONGEST_FILE_ROWS))
    rows = math.ceil(trace.duration_s * 1e6 / spacing_us) + 2
    start_s = float(trace.times_s[0])
    impulse = trace.impulse_to(start_s + np.arange(rows) * spacing_us / 1e6)
    np.rint(impulse * 1e9).astype("<i8").tofile(path)
    return {
        "file": str(path),
        "cells": trace.cells,
        "spacing_us": spacing_us,
        "rows": rows,
        "first_mn": [round(float(force) * 1000) for force in trace.forces_n[0]],
        "last_mn": [round(float(force) * 1000) for force in trace.forces_n[-1]],
    }


def board_config(cells: Sequence[VirtualCell], seed: int) -> dict[str, Any]:
    """The board's part of a run configuration, without trace and faults."""
    return {
        "seed": seed,
        "unique_id": f"v{seed % 100_000:05d}",
        "chips": [
            {
                "sck": CLOCK_PIN,
                "dout": DATA_PINS[channel],
                "rate_hz": cell.rate_hz,
                "phase_us": cell.phase_us,
                "zero_count": cell.zero_count,
                "count_per_n_q10": cell.count_per_n_q10,
                "noise_count": NOISE_COUNT,
                "drift_count_per_h": cell.drift_count_per_h,
            }
            for channel, cell in enumerate(cells)
        ],
    }


def board_file(cells: int) -> dict[str, Any]:
    """The firmware's board description for so many cells (1 to 4)."""
    if not 1 <= cells <= len(DATA_PINS):
        raise NodeError(
            f"expected a trace of 1 to {len(DATA_PINS)} cells, got {cells}: use one node for each four cells"
        )
    return {
        "board": f"virtual-hx711-{cells}",
        "chip": "esp32",
        "adc": "hx711",
        "rate_hz": round(RATE_HZ),
        "gain": 128,
        "clock_pin": CLOCK_PIN,
        "data_pins": list(DATA_PINS[:cells]),
        "light_pin": 13,
        "lights": 16,
    }


def write_config(path: Path, node: dict[str, Any], board: dict[str, Any]) -> None:
    """The file given to firmware/virtual/run.py."""
    path.write_text(json.dumps({"node": node, "board": board, "control": True}), encoding="utf-8")
