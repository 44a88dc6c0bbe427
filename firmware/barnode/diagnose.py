"""The command `diagnose`: looks at ten seconds of samples and says in words what each cell and the rate are
like.

Sums and counts only, no sample is kept. Loaded when asked for, and let go of after.
"""

import asyncio
from array import array

from micropython import const

from barnode.adc.codes import ABSENT, DESYNC, NOT_READY, SATURATED_HIGH, SATURATED_LOW
from barnode.clock import TICKS_MASK

CAPTURE_S = 10
_READING_MIN = const(-0x800000)
_BINS = const(2048)  # one bit for each value modulo this: exact while the range is smaller
_SPIKE_COUNTS = const(20000)  # for a node without calibration: some 9 kg of a 200 kg cell
_SPIKE_N = 49.0
_NOISY = const(300)  # counts: five times what the converter's datasheet lets expect
_FEW_VALUES = const(4)


class Cell:
    """What the samples of one cell came to."""

    def __init__(self, spike_counts):
        self.readings = self.spikes = self.saturated = self.desync = self.not_ready = self.absent = 0
        self.least = 0x7FFFFF
        self.greatest = -0x800000
        self.steps = self.step_sum = 0
        self._first = self._high = self._low = 0  # sum of what readings differ from the first, in limbs
        self._spike = spike_counts
        self._before = self._last = 0
        self._run = 0  # readings in a row, up to 2
        self._bins = bytearray(_BINS // 8)

    def take(self, count):
        """One sample of the cell. No allocation."""
        if count < _READING_MIN:
            self._take_code(count)
            self._run = 0
            return
        if self.readings == 0:
            self._first = count
        self.readings += 1
        self._high += (count - self._first) >> 12
        self._low += (count - self._first) & 0xFFF
        if count < self.least:
            self.least = count
        if count > self.greatest:
            self.greatest = count
        self._bins[(count & (_BINS - 1)) >> 3] |= 1 << (count & 7)
        if self._run:
            step = count - self._last
            if self._run > 1 and self._is_spike(count):
                self.spikes += 1
            if self.step_sum < 0x3F000000 - 0xFFFFFF:  # stays a small int on the chip
                self.steps += 1
                self.step_sum += step if step > 0 else -step
        self._before = self._last
        self._last = count
        self._run = 2 if self._run else 1

    def _is_spike(self, after):
        """Whether the reading before this one stood out from both its neighbours, on the same side."""
        left = self._last - self._before
        right = self._last - after
        if left < 0:
            left, right = -left, -right
        apart = after - self._before
        return left > self._spike and right > self._spike and -self._spike < apart * 5 < self._spike

    def _take_code(self, code):
        if code == NOT_READY:
            self.not_ready += 1
        elif code == DESYNC:
            self.desync += 1
        elif code == ABSENT:
            self.absent += 1
        elif code in (SATURATED_HIGH, SATURATED_LOW):
            self.saturated += 1

    def noise(self):
        """Standard deviation in counts, from the steps between neighbours: a slow change is no noise."""
        return round(0.886 * self.step_sum / self.steps) if self.steps else None

    def mean(self):
        """Mean of the readings in whole counts, None without any."""
        if not self.readings:
            return None
        return self._first + (self._high * 4096 + self._low + self.readings // 2) // self.readings

    def unique(self):
        """Different values; at least so many where the range is wide."""
        n = 0
        for byte in self._bins:
            while byte:
                n += byte & 1
                byte >>= 1
        return n

    def verdict(self, samples):
        """In words: what is wrong with it, and what to do; `sound` if nothing is."""
        if self.absent >= samples - 2:
            return "no converter has answered since the start: check its supply and its data and clock wires"
        if self.readings == 0 and self.saturated:
            return (
                "every reading is out of range: check that the cell's four wires are connected, not swapped"
            )
        if self.readings == 0:
            return "no reading: the converter is silent or disturbed; check its supply and its wires"
        if self.unique() < _FEW_VALUES:
            return (
                "it repeats the same values: the converter is stuck; switch it off and on, else exchange it"
            )
        if self.saturated:
            return "some readings are out of range: check the cell's wires and what hangs on it"
        if self.desync * 100 > samples:
            return "many reads are disturbed: shorten or shield the clock and data wires"
        if self.not_ready * 100 > samples * 2:
            return "readings are missing: check the converter's supply"
        if self.spikes:
            return "single readings jump: look for a loose contact and for strong radio nearby"
        noise = self.noise()
        if noise is not None and noise > _NOISY:
            return "it is noisy, or the bars moved: try again with nobody near, then check shield and supply"
        return "sound"

    def report(self, name, samples):
        """What the reply says of it."""
        read = self.readings > 0
        return {
            "name": name,
            "readings": self.readings,
            "unique": self.unique(),
            "mean": self.mean(),
            "noise": self.noise(),
            "least": self.least if read else None,
            "greatest": self.greatest if read else None,
            "saturated": self.saturated,
            "spikes": self.spikes,
            "desync": self.desync,
            "not_ready": self.not_ready + self.absent,
            "verdict": self.verdict(samples),
        }


class Capture:
    """Takes the samples of a node while `node.tap` is set to it."""

    def __init__(self, channels, calibration):
        spans = [cell["span_n_per_count"] for cell in calibration["cells"]] if calibration else None
        self.cells = [
            Cell(min(int(_SPIKE_N / abs(spans[i])), 0x7FFFFF) if spans else _SPIKE_COUNTS)
            for i in range(channels)
        ]
        self.samples = 0
        self._span_ms = 0
        self._rest_us = 0
        self._last = 0
        self._longest = array("i", [0])

    def take(self, ticks, counts):
        """One sample of all cells."""
        if self.samples:
            gap = (ticks - self._last) & TICKS_MASK
            if gap > self._longest[0]:
                self._longest[0] = gap
            gap += self._rest_us
            self._span_ms += gap // 1000
            self._rest_us = gap % 1000
        self._last = ticks
        self.samples += 1
        for i in range(len(self.cells)):
            self.cells[i].take(counts[i])

    def report(self, names, nominal_hz):
        """The reply's fields."""
        rate_hz = (self.samples - 1) * 1000 / self._span_ms if self._span_ms else None
        return {
            "samples": self.samples,
            "rate_hz": rate_hz,
            "longest_gap_us": self._longest[0],
            "verdict": _rate_verdict(rate_hz, nominal_hz),
            "cells": [cell.report(name, self.samples) for cell, name in zip(self.cells, names)],  # noqa: B905 - nor does the chip's zip,
        }


def _rate_verdict(rate_hz, nominal_hz):
    if rate_hz is None:
        return "no samples: the node is busy elsewhere or does not sample"
    if rate_hz < 0.3 * nominal_hz:
        return "far below the %d Hz expected: check that the converter's RATE pin is high" % nominal_hz
    if rate_hz < 0.6 * nominal_hz:
        return "below the %d Hz expected: check the converter's supply and the load of the node" % nominal_hz
    return "sound"


async def run(node, seconds=CAPTURE_S):
    """Capture on a node; ValueError when it has no converter."""
    if node.adc is None:
        raise ValueError("a converter expected, the node could not open one: see about, problems")
    if node.tap is not None:
        raise ValueError("one capture at a time expected, another one runs: wait for it")
    node.tap = capture = Capture(node.channels, node.weight.calibration)
    try:
        await asyncio.sleep_ms(seconds * 1000)
    finally:
        node.tap = None
    return capture.report([cell["name"] for cell in node.config.cells], node.config.rate_hz)
