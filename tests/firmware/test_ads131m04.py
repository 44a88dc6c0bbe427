"""The ADS131M04 driver on real MicroPython against the chip model: no fault gives a wrong weight."""

import ast

import pytest

BENCH = "from ads131m04_bench import *\ndef tell(*values): print(values)\n"


@pytest.fixture
def bench(run_micropython):
    """Run code after the bench's imports; answers the literal it prints last."""

    def run(code):
        return ast.literal_eval(run_micropython(BENCH + code).strip().split("\n")[-1])

    return run


FAULT = """
faults = [{{"at_s": 1, "for_s": 1.5, "cell": 1, "fault": "{fault}", "amount": {amount}}}]
here, adc, sink, sampler = make(faults=faults)
play(here, adc, sampler, 1)
before = sink.codes
sink.codes = [{{}} for _ in before]
play(here, adc, sampler, 1.5)
during = [dict(codes) for codes in sink.codes]
play(here, adc, sampler, 1.2)
counted = list(sink.counts)
play(here, adc, sampler, 0.5)
after = [now - then for now, then in zip(sink.counts, counted)]
print({{"wrong": sink.wrong, "before": before, "during": during, "after": after, "resets": adc.resets,
    "desync": list(adc.desync)}})
"""


def play_fault(bench, fault, amount=None):
    seen = bench(FAULT.format(fault=fault, amount=amount))
    assert seen["before"] == [{}, {}, {}, {}]
    return seen


def test_all_four_cells_are_read_at_the_rate_of_the_board_file(bench):
    wrong, counts, codes, rate = bench("""
here, adc, sink, sampler = make()
play(here, adc, sampler, 3)
tell(sink.wrong, sink.counts, sink.codes, adc.rate_hz)
""")
    assert rate == 83
    assert wrong == [0, 0, 0, 0]
    assert codes == [{}, {}, {}, {}]
    assert all(245 <= count <= 251 for count in counts)


def test_the_four_cells_of_a_sample_are_of_the_same_instant(bench):
    """One force on all cells, moving by 100 kg a second: what the cells differ by is noise."""
    spread = bench("""
from board_trace import ConstantForce
class Ramp:
    start_us = 0
    def impulse(self, cell, from_us, to_us):
        return (to_us - from_us) * (from_us + to_us) // 2 * 981 // 1000000
here, adc, sink, sampler = make(force=Ramp(), cells=[{"zero_count": 0, "count_per_n_q10": 2335000}] * 4)
worst = 0
take = sink.take
def compare(stamp, counts):
    global worst
    take(stamp, counts)
    worst = max(worst, max(counts) - min(counts))
sampler._sink.take = compare
play(here, adc, sampler, 1)
print(worst)
""")
    kg = spread / 2280 / 9.80665
    assert kg < 0.1, "noise of 17 g rms; half a period apart it would be half a kilogram"


@pytest.mark.parametrize(("amount", "code"), [(1, "saturated_high"), (-1, "saturated_low")])
@pytest.mark.parametrize("fault", ["saturated", "cell_wire_off"])
def test_a_saturated_cell_is_coded_and_its_neighbours_go_on(bench, fault, amount, code):
    seen = play_fault(bench, fault, amount)
    assert seen["wrong"] == [0, 0, 0, 0]
    assert set(seen["during"][1]) == {code}
    assert sum(seen["during"][1].values()) >= 120
    assert [seen["during"][cell] for cell in (0, 2, 3)] == [{}, {}, {}]
    assert min(seen["after"]) >= 40


def test_a_cell_that_repeats_its_word_is_not_ready(bench):
    seen = play_fault(bench, "frozen")
    assert set(seen["during"][1]) == {"not_ready"}
    assert seen["wrong"][1] <= 3
    assert [seen["wrong"][cell] for cell in (0, 2, 3)] == [0, 0, 0]


def test_a_restart_of_the_chip_is_found_before_its_first_count_is_used(bench):
    """After it the gain is 1: every count would be a hundredth of the weight."""
    seen = play_fault(bench, "reset")
    assert seen["wrong"] == [0, 0, 0, 0]
    assert seen["resets"] == 1
    assert seen["desync"] == [1, 1, 1, 1]
    assert sum(seen["during"][0].values()) <= 4, "it is set up anew at once"
    assert min(seen["after"]) >= 40


def test_restarts_at_any_moment_give_no_wrong_count(bench):
    wrong, counts, resets = bench("""
from hx711_bench import randoms
draw = randoms(3)
faults = [{"at_s": 0.3 + 0.1 * k + draw(99000) / 1e6, "for_s": 0.004, "fault": "reset"} for k in range(50)]
here, adc, sink, sampler = make(faults=faults)
play(here, adc, sampler, 6)
tell(sum(sink.wrong), min(sink.counts), adc.resets)
""")
    assert wrong == 0
    assert resets >= 45
    assert counts > 250


@pytest.mark.parametrize("fault", ["reset", "miso_flip"])
def test_a_driver_that_trusts_every_frame_does_get_wrong_counts(bench, fault):
    """What the tests of restarts and of flipped bits rest on."""
    wrong = bench(f"""
here, adc, sink, sampler = make(faults=[{{"at_s": 1, "for_s": 1, "fault": {fault!r}}}])
play(here, adc, sampler, 0.5)
exchange = adc._bus.exchange
def trusting(*args):
    exchange(*args)
    return True
adc._bus.exchange = trusting
adc._lose = lambda retry_us: None
play(here, adc, sampler, 1.5)
print(sum(sink.wrong))
""")
    assert wrong > 20


@pytest.mark.parametrize(("fault", "amount"), [("miso_flip", 1), ("miso_flip", 8), ("mosi_flip", None)])
def test_flipped_bits_are_a_desync_or_silence_never_a_count(bench, fault, amount):
    seen = play_fault(bench, fault, amount)
    assert seen["wrong"] == [0, 0, 0, 0]
    assert seen["desync"][0] > 0
    assert set(seen["during"][0]) <= {"desync", "not_ready"}
    assert min(seen["after"]) >= 40


@pytest.mark.parametrize(
    ("fault", "amount"),
    [
        ("missing", None),
        ("no_clock", None),
        ("drdy_low", None),
        ("drdy_wire_off", None),
        ("miso_wire_off", 1),
        ("miso_wire_off", 0),
    ],
)
def test_a_chip_or_wire_that_fails_is_coded_on_every_cell_until_it_is_back(bench, fault, amount):
    seen = play_fault(bench, fault, amount)
    assert seen["wrong"] == [0, 0, 0, 0]
    for codes in seen["during"]:
        assert set(codes) <= {"desync", "not_ready"}
        assert 100 <= sum(codes.values()) <= 135, "codes come at the pace of samples"
    assert min(seen["after"]) >= 40


def test_a_chip_that_never_answered_is_absent(bench):
    codes, counts = bench("""
here, adc, sink, sampler = make(faults=[{"at_s": 0, "for_s": 9, "fault": "missing"}])
play(here, adc, sampler, 2)
tell(sink.codes[0], sink.counts)
""")
    assert set(codes) == {"absent"}
    assert counts == [0, 0, 0, 0]


def test_another_chip_in_its_place_is_absent(bench):
    codes = bench("""
import ads131m04_model
ads131m04_model.DEFAULTS = ((0, 0x2200),) + ads131m04_model.DEFAULTS[1:]
here, adc, sink, sampler = make()
play(here, adc, sampler, 1)
print(sink.codes[0])
""")
    assert set(codes) == {"absent"}


def test_without_a_reset_pin_the_reset_is_a_command(bench):
    wrong, counts = bench("""
here, adc, sink, sampler = make(reset=False)
play(here, adc, sampler, 1)
tell(sink.wrong, sink.counts)
""")
    assert wrong == [0, 0, 0, 0]
    assert min(counts) >= 78


def test_a_spike_and_no_excitation_are_recorded_as_they_came(bench):
    """A bridge without excitation reads the converter's own zero: no converter can tell."""
    seen = play_fault(bench, "no_excitation")
    assert seen["during"] == [{}, {}, {}, {}]
    assert seen["wrong"][1] >= 115
    assert [seen["wrong"][cell] for cell in (0, 2, 3)] == [0, 0, 0]


LATE = """
from hx711_bench import randoms
draw = randoms({seed} + 1)
here, adc, sink, sampler = make()
{change}
play(here, adc, sampler, 5, late_us=lambda: draw(60000) if draw(30) == 0 else draw(3000))
tell(sum(sink.wrong), sink.counts, sink.codes)
"""


@pytest.mark.parametrize("seed", range(2))
def test_a_late_reader_gets_no_count_across_a_gap(bench, seed):
    wrong, counts, codes = bench(LATE.format(seed=seed, change=""))
    assert wrong == 0
    assert min(counts) > 150
    assert all("desync" not in code for code in codes)


def test_a_late_reader_that_does_not_look_for_gaps_does_get_wrong_counts(bench):
    """What the test above rests on."""
    wrong, _, _ = bench(LATE.format(seed=0, change="adc._waited = lambda: False"))
    assert wrong > 5


def test_a_slow_oscillator_shows_in_the_measured_rate_only(bench):
    wrong, counts, codes = bench("""
here, adc, sink, sampler = make(clkin_hz=7000000)
play(here, adc, sampler, 3)
tell(sink.wrong, sink.counts, sink.codes)
""")
    assert wrong == [0, 0, 0, 0]
    assert all(sum(code.values()) <= 1 for code in codes)
    assert all(3 * 71.2 - 4 <= count <= 3 * 71.2 for count in counts)


def test_nothing_happens_at_the_wrap_of_the_chips_counter(bench):
    wrong, counts, codes, wrapped = bench("""
here, adc, sink, sampler = make(ticks_start=(1 << 30) - 1500000)
play(here, adc, sampler, 3)
tell(sink.wrong, sink.counts, sink.codes, min(sink.stamps) < 1500000 < (1 << 30) - 1500000)
""")
    assert wrapped
    assert wrong == [0, 0, 0, 0]
    assert codes == [{}, {}, {}, {}]
    assert min(counts) >= 245


def test_reading_allocates_nothing(bench):
    seen = bench("""
import gc, micropython
from board_trace import ConstantForce
here, adc, sink, sampler = make(force=ConstantForce([100000, 0, 5000, -7000]))
class Sink:
    samples = 0
    def take(self, stamp, counts):
        self.samples += 1
sampler._sink = sink = Sink()
def loop(polls):
    for _ in range(polls):
        sampler.poll()
        here.clock.advance((adc.due_ms() or 1) * 1000)
loop(500)
first = sink.samples
gc.collect()
gc.disable()
micropython.heap_lock()
loop(3000)
micropython.heap_unlock()
print(sink.samples - first)
""")
    assert seen > 300


def test_settings_the_chip_does_not_have_are_refused(bench):
    refused = bench("""
refused = []
for wrong in ({"channels": 5}, {"gain": 100}, {"osr": 100}, {"block": 0}, {"clkin_hz": 9000000}):
    try:
        ADS131M04(None, None, None, **wrong)
    except ValueError as error:
        refused.append(str(error))
print(refused)
""")
    assert len(refused) == 5
    assert all("expected" in reason for reason in refused)
