"""Runs on MicroPython: the real ADS131M04 driver and sampler on a virtual board, its clock moved by hand."""

# ruff: noqa: F401, I001 - the order matters, see firmware/virtual/chip/time.py
from hx711_bench import CODES, Restless, board, play, time
from machine import SPI, Pin

from barnode.adc.ads131m04 import ADS131M04
from barnode.sampler import Sampler

CS, DRDY, RESET = 5, 21, 22
CELLS = [{"zero_count": 90000 - 60000 * i, "count_per_n_q10": 2335000} for i in range(4)]
BLOCK = 3
NOISE = 376


class Check:
    """A sink that counts codes by cell, and every count that is no true mean of the last conversions."""

    def __init__(self, chip, clock, block):
        self.chip = chip
        self.clock = clock
        self.block = block
        self.samples = 0
        self.counts = [0] * 4
        self.wrong = [0] * 4
        self.wrong_at_us = []
        self.codes = [{} for _ in range(4)]
        self.stamps = []
        self.last = None

    def error(self, cell, count):
        """How far a count is from the nearest true mean: of a block, or of one or two more."""
        truths = self.chip.truths[cell]
        least = 1 << 24
        for newest in (self.chip.conversions, self.chip.conversions - 1):
            total = 0
            for k in range(self.block + 2):
                total += truths[(newest - k) % len(truths)]
                if k >= self.block - 1:
                    least = min(least, abs(count - total // (k + 1)))
        return least

    def take(self, stamp, counts):
        self.samples += 1
        self.stamps.append(stamp)
        del self.stamps[:-400]
        self.last = list(counts)
        for cell in range(len(counts)):
            count = counts[cell]
            if count < -0x800000:
                name = CODES[count]
                self.codes[cell][name] = self.codes[cell].get(name, 0) + 1
                continue
            self.counts[cell] += 1
            if self.error(cell, count) > 6 * NOISE:
                self.wrong[cell] += 1
                self.wrong_at_us.append(self.clock.now())


def make(faults=(), force=None, ticks_start=0, block=BLOCK, *, reset=True, **chip):
    """Board, driver, sink and sampler."""
    config = {"cells": CELLS, "cs": CS, "drdy": DRDY, "reset": RESET}
    config.update(chip)
    here = board.install(
        board.build({"ads131m04": config, "faults": faults, "ticks_start": ticks_start}, 0, manual=True)
    )
    here.chips[0]._trace = force or Restless()
    bus = SPI(2, baudrate=4000000, polarity=0, phase=1, sck=Pin(18), mosi=Pin(23), miso=Pin(19))
    line = Pin(RESET, Pin.OUT, value=1) if reset else None
    adc = ADS131M04(bus, Pin(CS, Pin.OUT, value=1), Pin(DRDY, Pin.IN), line, block=block)
    sink = Check(here.chips[0], here.clock, block)
    return here, adc, sink, Sampler(adc, sink)
