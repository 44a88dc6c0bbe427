"""Puts the data sheets' figures of the two converters into kilograms at a cell, for docs/converters.md.

Run it: python hardware/converters.py. Arithmetic only; a test compares the page with what it prints, and the
simultaneity with the models of both chips.
"""

# ruff: noqa: INP001 - a script, not a package

from __future__ import annotations

import math
from typing import NamedTuple

CAPACITY_KG = 200.0
SENSITIVITY = 0.002  # 2 mV/V at capacity
CELLS = 4
SWING_KG_S = 100.0  # how fast load moves from one cell to another when a person swings hard


class Converter(NamedTuple):
    """`noise_v`: rms of one sample, at the input; `apart_s`: how far the samples of a row may lie apart."""

    name: str
    excitation_v: float
    full_scale_v: float
    noise_v: float
    rate_hz: float
    apart_s: float

    def kg(self, volt: float) -> float:
        """Kilograms that give such a voltage."""
        return volt / (SENSITIVITY * self.excitation_v) * CAPACITY_KG


# HX711: 90 nV rms at 80 SPS and gain 128, +-20 mV at AVDD 5 V. At VCC 3.3 V its regulator leaves about 3.2 V.
HX711 = Converter("HX711", 3.2, 0.020 / 5 * 3.2, 90e-9, 80.0, 1 / 80)
# ADS131M04: table 7-1, OSR 16384, gain 128: 0.42 uV rms; the mean of three of them. 1.2 V / 128.
ADS131M04 = Converter("ADS131M04", 2.5, 1.2 / 128, 0.42e-6 / math.sqrt(3), 4.096e6 / 16384 / 3, 0.0)


def figures(chip: Converter) -> dict[str, str]:
    """What docs/converters.md says of a converter, by its row there."""
    noise_g = chip.kg(chip.noise_v) * 1000
    tenth_g = noise_g * math.sqrt(CELLS / (chip.rate_hz / 10))
    return {
        "samples a second": f"{chip.rate_hz:.0f}",
        "samples of a row apart, up to": f"{chip.apart_s * 1000:.1f} ms",
        "error of the sum in a swing of 100 kg/s, up to": f"{chip.apart_s * SWING_KG_S:.2f} kg",
        "noise of a sample, one cell": f"{noise_g:.1f} g rms",
        "noise of a sample, sum of four": f"{noise_g * math.sqrt(CELLS):.1f} g rms",
        "noise of a mean over 0.1 s, sum of four": f"{tenth_g:.1f} g rms",
        "full scale": f"{chip.kg(chip.full_scale_v):.0f} kg",
    }


def cable_percent(length_m: float, ohm_per_m: float = 0.125, bridge_ohm: float = 350.0) -> float:
    """Span lost in the excitation wires of a four-wire cable, percent; 0.125 ohm/m is copper of 0.14 mm2."""
    wires = 2 * length_m * ohm_per_m
    return 100 * wires / (wires + bridge_ohm)


if __name__ == "__main__":
    rows = [figures(chip) for chip in (HX711, ADS131M04)]
    for name, value in rows[0].items():
        print(f"| {name} | {value} | {rows[1][name]} |")
    for length_m in (1, 3, 5, 10):
        print(f"cable of {length_m} m: span {cable_percent(length_m):.2f} % lower")
