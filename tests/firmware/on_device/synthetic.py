"""A converter whose readings tell their own sample and cell, so that a test can prove where each one went."""

import time
from array import array


class SyntheticAdc:
    """Sample k of cell i reads (k * channels + i) modulo 2**23; one sample each period, none skipped."""

    def __init__(self, channels=4, rate_hz=80):
        self.channels = channels
        self.rate_hz = rate_hz
        self.not_ready = array("I", [0] * channels)
        self.desync = array("I", [0] * channels)
        self.saturated = array("I", [0] * channels)
        self._period_us = 1000000 // rate_hz
        self._next = time.ticks_us()
        self._count = 0

    def ready(self):
        return time.ticks_diff(time.ticks_us(), self._next) >= 0

    def due_ms(self):
        return max(1, time.ticks_diff(self._next, time.ticks_us()) // 1000)

    def read(self, buf, offset):
        self._next = time.ticks_add(self._next, self._period_us)
        for i in range(self.channels):
            buf[offset + i] = self._count
            self._count = (self._count + 1) & 0x7FFFFF
        return True

    def silent(self, buf, offset):
        self.read(buf, offset)
