"""The HX711 driver on real MicroPython against the chip model: no trap of the chip gives a wrong weight.

Every test runs on both ways to read a word."""

import ast

import pytest

BENCH = "from hx711_bench import *\ndef tell(*values): print(values)\n"


@pytest.fixture(params=["pins", "registers"])
def path(request):
    """How the words are read: by machine.Pin, or by the machine code's source on registers that react."""
    return request.param


@pytest.fixture
def bench(run_micropython, path):
    """Run code after the bench's imports; answers the literal it prints last."""

    def run(code):
        chosen = f"import hx711_bench\nhx711_bench.PATH = {path!r}\n"
        return ast.literal_eval(run_micropython(BENCH + chosen + code).strip().split("\n")[-1])

    return run


FAULT = """
fault = {{"at_s": 1, "for_s": 2, "cell": 1, "fault": "{fault}", "amount": {amount}}}
here, adc, sink, sampler = make(faults=[fault])
play(here, adc, sampler, 1)
before = sink.codes
sink.codes = [{{}} for _ in before]
play(here, adc, sampler, 2)
during = sink.codes
play(here, adc, sampler, 1)
counted = list(sink.counts)
play(here, adc, sampler, 1)
after = [now - then for now, then in zip(sink.counts, counted)]
print({{"wrong": sink.wrong, "during": during, "after": after, "desync": list(adc.desync),
    "wrong_at_us": sink.wrong_at_us}})
"""


def play_fault(bench, fault, amount=None):
    return bench(FAULT.format(fault=fault, amount=amount))


@pytest.mark.parametrize(
    ("fault", "codes"),
    [
        ("wire_off", {"desync", "not_ready"}),
        ("stuck_low", {"desync", "not_ready"}),
        ("stuck_high", {"not_ready"}),
        ("saturated", {"saturated_high"}),
    ],
)
def test_a_fault_of_one_cell_is_coded_and_its_neighbours_go_on(bench, fault, codes):
    seen = play_fault(bench, fault)
    assert seen["wrong"] == [0, 0, 0, 0]
    assert set(seen["during"][1]) == codes
    assert sum(seen["during"][1].values()) >= 150
    assert all(sum(seen["during"][cell].values()) == 0 for cell in (0, 2, 3))
    assert min(seen["after"]) >= 75, "after the fault every cell is read again"


def test_saturation_downwards_has_its_own_code(bench):
    seen = play_fault(bench, "saturated", -1)
    assert set(seen["during"][1]) == {"saturated_low"}


def test_a_converter_that_repeats_its_word_is_not_ready_after_six_repeats(bench):
    seen = play_fault(bench, "frozen")
    assert set(seen["during"][1]) == {"not_ready"}
    assert seen["during"][1]["not_ready"] >= 150
    assert seen["wrong"][1] <= 6
    assert all(1_000_000 <= at <= 1_100_000 for at in seen["wrong_at_us"])
    assert [seen["wrong"][cell] for cell in (0, 2, 3)] == [0, 0, 0]


def test_a_clock_stretched_into_power_down_is_a_desync_and_settling_is_not_data(bench):
    seen = play_fault(bench, "clock_stretched")
    assert seen["wrong"] == [0, 0, 0, 0]
    assert seen["desync"] == [1, 1, 1, 1]
    assert all(codes["not_ready"] >= 4 for codes in seen["during"])
    assert min(seen["after"]) >= 75


@pytest.mark.parametrize("stretch_us", [51, 59])
def test_a_clock_stretched_beyond_the_datasheet_is_a_desync_though_the_chip_stayed_up(bench, stretch_us):
    assert play_fault(bench, "clock_stretched", stretch_us)["desync"] == [1, 1, 1, 1]


def test_a_clock_stretched_within_the_datasheet_loses_nothing(bench, path):
    # by registers the whole word has the 50 us of one pulse, and takes some 25 of them
    seen = play_fault(bench, "clock_stretched", 40 if path == "pins" else 20)
    assert seen["desync"] == [0, 0, 0, 0]
    assert seen["wrong"] == [0, 0, 0, 0]


def test_a_spike_is_recorded_as_it_came(bench):
    seen = bench("""
here, adc, sink, sampler = make(faults=[{"at_s": 2, "for_s": 1, "cell": 1, "fault": "spike", "amount": 500}])
play(here, adc, sampler, 4)
print(sink.wrong)
""")
    assert seen == [0, 1, 0, 0]


def test_a_slow_chip_is_valid_and_the_group_keeps_its_pace(bench):
    seen = bench("""
here, adc, sink, sampler = make(faults=[{"at_s": 3, "for_s": 99, "fault": "slow_chip", "amount": 1.3}])
play(here, adc, sampler, 6)
first = list(sink.counts)
play(here, adc, sampler, 6)
tell(sink.wrong, [now - then for now, then in zip(sink.counts, first)])
""")
    wrong, counts = seen
    assert wrong == [0, 0, 0, 0]
    assert all(abs(count - 6 * 80.0 / 1.3) <= 3 for count in counts)


@pytest.mark.parametrize("rates", [(80.0, 80.4, 79.1, 83.0), (80.0, 80.01, 80.02, 79.99), (60, 80, 95, 70)])
@pytest.mark.parametrize("chip", [{"tear": "continue"}, {"tear": "restart", "settling_visible": True}])
def test_no_torn_word_passes_whatever_the_chips_rates(bench, rates, chip):
    seen = bench(f"""
here, adc, sink, sampler = make({rates!r}, **{chip!r})
play(here, adc, sampler, 8)
tell(sink.wrong, sink.counts, list(adc.desync))
""")
    wrong, counts, desync = seen
    assert sum(wrong) == 0
    assert min(counts) > 8 * min(rates) - 25, "the group keeps the pace of its slowest chip"
    assert sum(desync) == 0, "updates are avoided, not met"


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("tear", ["continue", "restart"])
def test_no_torn_word_passes_when_the_reader_is_late_at_random(bench, seed, tear):
    seen = bench(f"""
draw = randoms({seed} + 1)
here, adc, sink, sampler = make(tear={tear!r})
read, shift = adc.read, adc._reader.shift
def held_up(work, *args):
    if draw(10) == 0:
        here.clock.advance(draw(13000))
    return work(*args)
adc.read = lambda buf, offset: held_up(read, buf, offset)
adc._reader.shift = lambda *args: held_up(shift, *args)
if hx711_bench.PATH == "registers":
    adc._reader._gpio.stall = lambda pulses: draw(13000) if draw(500) == 0 else 0
play(here, adc, sampler, 15, late_us=lambda: draw(25000) if draw(8) == 0 else draw(2000))
tell(sum(sink.wrong), min(sink.counts), sum(adc.desync), [chip.torn for chip in here.chips])
""")
    wrong, counts, desync, torn = seen
    assert sum(torn) > 0, "the case must have come up"
    assert wrong == 0
    assert desync > 0
    assert counts > 200


def test_a_reader_without_the_checks_does_get_wrong_words(bench):
    """What the tests above rest on: the model tears, and tearing shows."""
    wrong = bench("""
here, adc, sink, sampler = make()
play(here, adc, sampler, 1)
adc._judge = lambda i, start, end, stretched: (adc._words[i] ^ 0x800000) - 0x800000
buf = [0] * 4
sink.wrong = [0] * 4
for _ in range(600):
    here.clock.advance(12500)
    adc.read(buf, 0)
    sink.take(0, buf)
print(sum(sink.wrong))
""")
    assert wrong > 2


def test_a_chip_that_never_answered_is_absent_and_the_others_are_read(bench):
    seen = bench("""
here, adc, sink, sampler = make(faults=[{"at_s": 0, "for_s": 9, "cell": 2, "fault": "stuck_high"},
    {"at_s": 0, "for_s": 9, "cell": 3, "fault": "wire_off"}])
play(here, adc, sampler, 2)
tell(sink.codes[2], sink.codes[3], sink.counts, sink.wrong)
""")
    high, off, counts, wrong = seen
    assert set(high) == set(off) == {"absent"}
    assert min(counts[:2]) > 130
    assert counts[2:] == [0, 0]
    assert wrong == [0, 0, 0, 0]


def test_nothing_happens_at_the_wrap_of_the_chips_counter(bench):
    seen = bench("""
here, adc, sink, sampler = make(ticks_start=(1 << 30) - 2000000)
play(here, adc, sampler, 4)
tell(sink.wrong, sink.counts, sink.codes, min(sink.stamps) < 2000000 < (1 << 30) - 2000000)
""")
    wrong, counts, codes, wrapped = seen
    assert wrapped
    assert wrong == [0, 0, 0, 0]
    assert min(counts) > 295
    assert all(code["not_ready"] <= 12 and "desync" not in code for code in codes)


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
loop(1000)
first = sink.samples
gc.collect()
gc.disable()
micropython.heap_lock()
loop(5000)
micropython.heap_unlock()
print(sink.samples - first)
""")
    assert seen > 500


def test_interrupts_are_off_for_the_time_of_one_word(bench, path):
    longest, sections, samples = bench("""
here, adc, sink, sampler = make()
entered, lengths = [0], []
enter, leave = here.clock.enter_critical, here.clock.leave_critical
def note_enter():
    enter()
    entered[0] = here.clock.now()
def note_leave():
    lengths.append(here.clock.now() - entered[0])
    leave()
here.clock.enter_critical, here.clock.leave_critical = note_enter, note_leave
play(here, adc, sampler, 2)
tell(max(lengths), len(lengths), sink.samples)
""")
    assert longest <= (30 if path == "registers" else 300)
    assert abs(sections - samples) <= 5, "one section a word"
