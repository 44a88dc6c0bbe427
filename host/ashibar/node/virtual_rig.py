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
from ashibar.node.runtime import find_firmware

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ashibar.core.trace import Trace

CAPACITY_N: Final = 1961.33  # 200 kg, the cell of the bill of materials
SENSITIVITY: Final = 0.002  # 2 mV/V at capacity
FULL_SCALE: Final = 0.5 / 128  # input of the HX711 at gain 128, in parts of the excitation: it cancels
COUNT_PER_N: Final = SENSITIVITY / FULL_SCALE * 2**23 / CAPACITY_N  # about 2190
# The ADS131M04 has a reference of its own, so its excitation counts: 2.5 V (docs/converters.md), about 2280.
ADS131M04_COUNT_PER_N: Final = SENSITIVITY * 2.5 / (1.2 / 128) * 2**23 / CAPACITY_N
ADS131M04_CLKIN_HZ: Final = 8_192_000
OSCILLATOR_TOLERANCE: Final = 50e-6
NOISE_COUNT: Final = 60  # 90 nV rms at the 3.2 V of an HX711 board at VCC 3.3 V (hardware/converters.py)
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


def draw_cells(names: Sequence[str], seed: int, count_per_n: float = COUNT_PER_N) -> tuple[VirtualCell, ...]:
    """Cells with the tolerances above, `count_per_n` nominally; the same seed gives the same cells."""
    random = np.random.default_rng(seed)
    return tuple(
        VirtualCell(
            name=f"cell-{name}" if name.isdigit() else name,
            zero_count=int(random.integers(-ZERO_COUNT, ZERO_COUNT)),
            count_per_n_q10=round(count_per_n * 1024 * (1 + random.uniform(-SPAN_TOLERANCE, SPAN_TOLERANCE))),
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


def board_config(
    cells: Sequence[VirtualCell], seed: int, board: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The board's part of a run configuration, without trace and faults. `board`: None as board_file."""
    board = board_file(len(cells)) if board is None else board
    config = {"seed": seed, "unique_id": f"v{seed % 100_000:05d}", "mcu": board["chip"]}
    if board["adc"] == "ads131m04":
        return config | {"ads131m04": _ads131m04(cells, seed, board)}
    return config | {
        "chips": [
            {
                "sck": board["clock_pin"],
                "dout": board["data_pins"][channel],
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


def _ads131m04(cells: Sequence[VirtualCell], seed: int, board: Mapping[str, Any]) -> dict[str, Any]:
    """One converter for all cells, on the pins of its board file, with an oscillator of its own."""
    error = np.random.default_rng(seed).uniform(-OSCILLATOR_TOLERANCE, OSCILLATOR_TOLERANCE)
    return {
        "cs": board["cs_pin"],
        "drdy": board["drdy_pin"],
        "reset": board["reset_pin"],
        "clkin_hz": round(ADS131M04_CLKIN_HZ * (1 + error)),
        "drift_count_per_h": cells[0].drift_count_per_h,
        "cells": [{"zero_count": cell.zero_count, "count_per_n_q10": cell.count_per_n_q10} for cell in cells],
    }


def load_board(name: str, cells: int) -> dict[str, Any]:
    """The firmware's board file `name`, for so many cells. Raises NodeError where it does not suit."""
    path = find_firmware() / "barnode" / "boards" / f"{name}.json"
    try:
        board: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NodeError(
            f"board: expected the name of a file in {path.parent}, got {name!r}: {error}"
        ) from error
    channels = len(board["data_pins"]) if "data_pins" in board else board["channels"]
    if channels != cells:
        raise NodeError(f"board {name}: expected a trace of its {channels} cells, got {cells}")
    return board


def count_per_n(board: Mapping[str, Any]) -> float:
    """Nominal counts a newton of a cell on a board."""
    return ADS131M04_COUNT_PER_N if board["adc"] == "ads131m04" else COUNT_PER_N


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
