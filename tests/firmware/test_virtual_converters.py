"""docs/converters.md says what the data sheets give in kilograms, and what the models of both chips do."""

import ast
import importlib.util
import json
import re

import pytest
from firmware_paths import ROOT

PAGE = (ROOT / "docs/converters.md").read_text()
SWING = """
from hx711_bench import make, play
from ads131m04_bench import make as make_ads131m04
class Swing:
    "100 kg/s from cell 0 to cell 1 and back, each for a second: the sum of both does not move."
    start_us = 0
    def impulse(self, cell, from_us, to_us):
        total = 0
        at = from_us
        while at < to_us:
            second = at // 1000000
            end = min(to_us, (second + 1) * 1000000)
            middle = (at + end) // 2 - second * 1000000
            rise = middle if (second + cell) % 2 == 0 else 1000000 - middle
            total += (rise * 981 // 1000 if cell < 2 else 0) * (end - at)
            at = end
        return total
class Sum:
    low, high, samples = 1 << 30, -(1 << 30), 0
    def take(self, stamp, counts):
        if min(counts[0], counts[1]) >= -0x800000:
            self.samples += 1
            self.low = min(self.low, counts[0] + counts[1])
            self.high = max(self.high, counts[0] + counts[1])
def error_kg(made, seconds, count_per_n_q10):
    here, adc, _, sampler = made
    sampler._sink = seen = Sum()
    play(here, adc, sampler, seconds)
    assert seen.samples > 200
    return (seen.high - seen.low) / 2 * 1024 / count_per_n_q10 / 9.80665
print([error_kg(make((80.0, 80.4), force=Swing(), noise_count=0), 6, 2242300),
    error_kg(make_ads131m04(force=Swing(), noise_count=0), 3, 2335000)])
"""


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("converters", ROOT / "hardware/converters.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_is_what_the_script_works_out_of_the_data_sheets(script):
    one, other = script.figures(script.HX711), script.figures(script.ADS131M04)
    for row, value in one.items():
        assert f"| {row} | {value} | {other[row]} |" in PAGE


def test_the_loss_in_the_cable_is_what_the_script_works_out(script):
    row = next(line for line in PAGE.splitlines() if line.startswith("| span lower by"))
    percents = [f"{script.cable_percent(length):.2f}" for length in (1, 3, 5, 10)]
    assert re.findall(r"([\d.]+) %", row) == percents


def test_in_a_swing_the_models_err_as_the_page_says(run_micropython):
    hx711, ads131m04 = ast.literal_eval(run_micropython(SWING))
    said = re.findall(r"\*\*(\d\.\d) kg\*\*", PAGE)
    assert [f"{hx711:.1f}", f"{ads131m04:.1f}"] == said
    assert hx711 <= 1.25


def test_the_wiring_on_paper_is_that_of_the_board_file():
    board = json.loads((ROOT / "firmware/barnode/boards/esp32-ads131m04-4.json").read_text())
    page = (ROOT / "hardware/wiring-ads131m04.md").read_text()
    written = dict(re.findall(r"^\| `(\w+)` \| GPIO(\d+) \|", page, flags=re.MULTILINE))
    assert {name: int(pin) for name, pin in written.items()} == {
        name: pin for name, pin in board.items() if name.endswith("_pin")
    }
