"""The virtual board: an HX711 true to its datasheet, averages of a trace, ticks as on the chip."""

import ast

import numpy as np
import pytest
from ashibar.core.trace import Trace
from ashibar.node.virtual_rig import write_trace
from firmware_paths import FIRMWARE

CHIP = """
import sys
sys.path.insert(0, {virtual!r})
from board_faults import Faults
from board_trace import ConstantForce
from hx711_model import HX711Model
force = ConstantForce([100000])
def chip(**kw):
    return HX711Model(0, force, Faults(), count_per_n_q10=2048000, noise_count=0, **kw)
def pulses(c, now, n, high_us=1):
    bits = 0
    for _ in range(n):
        c.rise(now)
        c.fall(now + high_us)
        bits = bits << 1 | c.dout(now + high_us)
        now += high_us + 1
    return bits
"""


@pytest.fixture
def chip(run_micropython):
    """Run code with a converter at 12.5 ms that sees 100 N, 2000 counts a newton; answers what it prints."""

    def run(code):
        return ast.literal_eval(
            run_micropython(CHIP.format(virtual=str(FIRMWARE / "virtual")) + code).strip()
        )

    return run


def test_the_first_word_comes_four_conversions_after_power_up(chip):
    assert chip("c = chip()\nprint([c.dout(t) for t in (0, 12500, 49999, 50000, 60000)])") == [1, 1, 1, 0, 0]


def test_a_word_is_24_bits_and_then_the_line_is_high_until_the_next(chip):
    code = "c = chip()\nprint((pulses(c, 50100, 24), pulses(c, 50200, 1), c.dout(62499), c.dout(62500)))"
    assert chip(code) == (200_000, 1, 1, 0)


def test_an_unread_word_is_announced_by_a_short_high(chip):
    assert chip("c = chip()\nprint([c.dout(t) for t in (50000, 62480, 62495, 62500)])") == [0, 0, 1, 0]


def test_more_than_60_us_of_clock_high_powers_down_and_settles_anew(chip):
    code = """
c = chip()
c.dout(50000)
c.rise(50100)
levels = [c.dout(50150), c.dout(50161), c.dout(90000)]
c.fall(100000)
print(levels + [c.dout(149999), c.dout(150000)])
"""
    assert chip(code) == [0, 1, 1, 1, 0]


def test_60_us_of_clock_high_does_not_power_down(chip):
    assert chip("c = chip()\nc.dout(50000)\nprint((pulses(c, 50100, 24, 60), c.down))") == (200_000, False)


def test_27_pulses_select_half_the_gain_after_settling(chip):
    code = """
c = chip()
pulses(c, 50100, 27)
print(([c.dout(t) for t in (62500, 75000, 99999, 100000)], pulses(c, 100100, 24)))
"""
    assert chip(code) == ([1, 1, 1, 0], 100_000)


@pytest.mark.parametrize("tear", ["continue", "restart"])
def test_a_conversion_that_ends_in_mid_read_tears_the_word(chip, tear):
    code = f"""
c = chip(tear={tear!r})
c.true_count = lambda start, end: 0x2AAAAA if end == 50000 else 0x155555
high = pulses(c, 50100, 12)
low = pulses(c, 62501, 12)
print((high, low, c.torn))
"""
    high, low, torn = chip(code)
    assert torn == 1
    assert high == 0x2AA
    assert low == (0x555 if tear == "continue" else 0x155)


def test_full_scale_is_the_saturation_word(chip):
    code = """
c = chip(zero_count=8300000)
d = chip(zero_count=-8300000)
force.forces_mn[0] = 200000
first = pulses(c, 50100, 24)
force.forces_mn[0] = -200000
print((first, pulses(d, 50100, 24)))
"""
    assert chip(code) == (0x7FFFFF, 0x800000)


def test_noise_is_as_wide_as_asked_and_the_same_again(chip):
    code = """
def words(seed):
    c = HX711Model(0, force, Faults(), count_per_n_q10=2048000, noise_count=60, seed=seed)
    return [pulses(c, 50100 + 12500 * k, 25) >> 1 for k in range(2000)]
first = words(7)
print((first == words(7), first == words(8), first))
"""
    same, other, words = chip(code)
    assert same
    assert not other
    assert np.std(words) == pytest.approx(60, rel=0.1)
    assert np.mean(words) == pytest.approx(200_000, abs=5)


def test_a_reading_is_the_average_of_the_trace_over_its_conversion(run_micropython, tmp_path):
    random = np.random.default_rng(5)
    times = np.cumsum(random.uniform(0.003, 0.05, 60))
    trace = Trace(times, random.uniform(-500, 1500, (60, 2)), ("0", "1"))
    entry = write_trace(trace, tmp_path / "t.bin")
    spans = [
        (int(1e6 * a), int(1e6 * a) + 12_500) for a in np.linspace(-0.1, trace.duration_s + 0.1, 40).round(3)
    ]
    code = f"""
import sys
sys.path.insert(0, {str(FIRMWARE / "virtual")!r})
from board_trace import BoardTrace
t = BoardTrace(**{entry!r})
print([[t.impulse(cell, a, b) / (b - a) / 1000 for cell in (0, 1)] for a, b in {spans!r}])
"""
    played = np.array(ast.literal_eval(run_micropython(code)))
    start = np.array(spans) / 1e6 + times[0]
    expected = trace.mean_over(start[:, 0], start[:, 1])
    assert np.abs(played - expected).max() < 0.5
    exact = [k for k, (a, b) in enumerate(spans) if b < 0 or a > trace.duration_s * 1e6 + 1000]
    assert exact
    assert played[exact] == pytest.approx(expected[exact], abs=0.001)


def test_a_looped_trace_goes_on_where_it_ended(run_micropython, tmp_path):
    trace = Trace(np.array([0.0, 1.0]), np.array([[0.0], [10.0]]), ("0",))
    entry = write_trace(trace, tmp_path / "t.bin")
    code = f"""
import sys
sys.path.insert(0, {str(FIRMWARE / "virtual")!r})
from board_trace import BoardTrace
traces = [BoardTrace(loop=loop, **{entry!r}) for loop in (False, True)]
print([trace.impulse(0, 2500000, 2510000) / 10000 / 1000 for trace in traces])
"""
    held, looped = ast.literal_eval(run_micropython(code))
    assert held == pytest.approx(10.0, abs=0.001)
    assert looped == pytest.approx(5.05, abs=0.05)


def test_ticks_wrap_at_the_chips_period_and_asyncio_keeps_the_ports_own(run_micropython):
    code = """
from hx711_bench import *
here = make(ticks_start=(1 << 30) - 100)[0]
before = time.ticks_us()
here.clock.advance(200)
after = time.ticks_us()
import asyncio.core
print((before > after, time.ticks_diff(after, before), asyncio.core.ticks_diff is time.ticks_diff))
"""
    wrapped, step, same = ast.literal_eval(run_micropython(code))
    assert wrapped
    assert 200 <= step < 300
    assert not same


def test_settings_outlive_a_reset_in_their_file(run_micropython, tmp_path):
    code = f"""
from hx711_bench import *
here = make()[0]
here.nvs_file = {str(tmp_path / "nvs.json")!r}
import esp32
one = esp32.NVS("ashibar")
one.set_blob("calibration", b"record")
one.set_i32("boots", 3)
one.commit()
two = esp32.NVS("ashibar")
buf = bytearray(10)
n = two.get_blob("calibration", buf)
try:
    two.get_i32("other")
    missing = False
except OSError:
    missing = True
print((bytes(buf[:n]), two.get_i32("boots"), missing))
"""
    assert ast.literal_eval(run_micropython(code)) == (b"record", 3, True)


def test_pins_without_an_output_or_a_pull_are_as_on_the_chip(run_micropython):
    code = """
from hx711_bench import *
here = make()[0]
refused = []
for pin, mode in ((34, Pin.OUT), (24, Pin.IN), (6, Pin.IN)):
    try:
        Pin(pin, mode)
    except ValueError:
        refused.append(pin)
presses = []
button = Pin(4, Pin.IN)
button.irq(lambda pin: presses.append(pin.value()), Pin.IRQ_FALLING)
for level in (1, 0, 1, 0):
    here.drive(4, level)
print((refused, presses))
"""
    assert ast.literal_eval(run_micropython(code)) == ([34, 24, 6], [0, 0])


def test_a_starved_watchdog_resets_past_every_except(run_micropython):
    code = """
from hx711_bench import *
import machine
here = make()[0]
dog = machine.WDT(timeout=1000)
here.clock.advance(900000)
dog.feed()
here.clock.advance(1100000)
try:
    try:
        dog.feed()
    except Exception:
        print("swallowed")
except SystemExit as reset:
    print(reset.cause == machine.WDT_RESET)
"""
    assert run_micropython(code).split() == ["True"]
