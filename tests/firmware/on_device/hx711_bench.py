"""Runs on MicroPython: the real driver and sampler on a virtual board whose clock is moved by hand."""

import sys

# ruff: noqa: E402, F401, I001, PLC0415, PTH123 - the order matters, see firmware/virtual/chip/time.py
import asyncio  # before the chip's `time` can be found

ROOT = __file__[: __file__.rfind("/tests/")]
sys.path.insert(0, ROOT + "/firmware/virtual")
import board
import fast_time

sys.path.insert(0, ROOT + "/firmware/virtual/chip")
import time

from machine import Pin

from barnode.adc.hx711 import PULSES, HX711Group
from barnode.sampler import Sampler

SCK = 23
DOUT = (18, 19, 21, 22)
NOISE = 60
CODES = {
    -0x800001: "not_ready",
    -0x800002: "desync",
    -0x800003: "saturated_high",
    -0x800004: "saturated_low",
    -0x800005: "absent",
}


def source_of_clock_word():
    """The very source of the machine code, run by the interpreter: then its registers can react."""
    with open(ROOT + "/firmware/barnode/adc/hx711_word.py") as file:
        text = file.read()
    marked = "@micropython.viper\n"
    if text.count(marked) != 1:
        raise ValueError("one viper function expected")
    names = {"__name__": "hx711_word"}
    exec(text.replace(marked, ""), names)
    return names["clock_word"]


def register_reader(here, gain=128):
    """A RegisterReader whose registers are the virtual board's."""
    from barnode.adc import hx711_registers
    from board_registers import Registers

    hx711_registers.clock_word = source_of_clock_word()
    douts = DOUT[: len(here.chips)]
    return hx711_registers.RegisterReader(Registers(here), SCK, douts, PULSES[gain])


class Restless:
    """A force that jumps every 5 ms, differently on each cell: no word of two conversions passes."""

    start_us = 0

    def impulse(self, cell, from_us, to_us):
        total = 0
        at = from_us
        while at < to_us:
            end = min(to_us, (at // 5000 + 1) * 5000)
            total += (at // 5000 * 7919 + cell * 1237) % 900 * 1000 * (end - at)
            at = end
        return total


class Check:
    """A sink that counts codes by cell and every count that is none of the chip's last two true readings."""

    def __init__(self, chips, clock):
        self.chips = chips
        self.clock = clock
        self.samples = 0
        self.counts = [0] * len(chips)
        self.wrong = [0] * len(chips)
        self.wrong_at_us = []
        self.codes = [{} for _ in chips]
        self.stamps = []

    def take(self, stamp, counts):
        self.samples += 1
        self.stamps.append(stamp)
        del self.stamps[:-400]
        for cell, chip in enumerate(self.chips):
            count = counts[cell]
            if count < -0x800000:
                name = CODES[count]
                self.codes[cell][name] = self.codes[cell].get(name, 0) + 1
                continue
            self.counts[cell] += 1
            if min(abs(count - chip.truth), abs(count - chip.truth_before)) > 8 * NOISE:
                self.wrong[cell] += 1
                self.wrong_at_us.append(self.clock.now())


PATH = "pins"  # or "registers"


def make(rates=(80.0, 80.4, 79.1, 83.0), faults=(), force=None, ticks_start=0, **chip):
    """Board, driver, sink and sampler for a chip at each of the rates, read by PATH."""
    chips = [
        {
            "sck": SCK,
            "dout": DOUT[i],
            "rate_hz": rates[i],
            "phase_us": i * 2100,
            "zero_count": 84213 - 50000 * i,
            "count_per_n_q10": 2242300,
            "noise_count": NOISE,
        }
        for i in range(len(rates))
    ]
    for one in chips:
        one.update(chip)
    here = board.install(
        board.build({"chips": chips, "faults": faults, "ticks_start": ticks_start}, 0, manual=True)
    )
    trace = force or Restless()
    for one in here.chips:
        one._trace = trace
    reader = register_reader(here) if PATH == "registers" else None
    adc = HX711Group(Pin(SCK, Pin.OUT), [Pin(DOUT[i], Pin.IN) for i in range(len(rates))], reader=reader)
    sink = Check(here.chips, here.clock)
    return here, adc, sink, Sampler(adc, sink)


def play(here, adc, sampler, seconds, late_us=lambda: 0):
    """Poll as the sampler's task does, each time `late_us()` too late."""
    end = here.clock.now() + int(seconds * 1000000)
    sampler._expect(time.ticks_us())
    while here.clock.now() < end:
        sampler.poll()
        here.clock.advance((adc.due_ms() or 1) * 1000 + late_us())


def randoms(seed):
    """A function of pseudo-random integers below its argument."""
    state = [seed]

    def draw(below):
        state[0] = (state[0] * 69069 + 12345) & 0x7FFFFFFF
        return (state[0] >> 8) % below

    return draw
