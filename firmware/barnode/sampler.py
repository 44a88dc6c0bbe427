"""Keeps the beat: waits for the converter, stamps each sample as it is read, hands it on. Knows no frame."""

import array
import asyncio
import time

SILENT_AFTER_PERIODS_X2 = 5  # 2.5 periods: HX711 boards are up to 1.6 times slower than they say


class Sampler:
    """`adc`: see barnode.adc. `sink.take(stamp, counts)`: ticks of time.ticks_us, array('i') used again.

    A converter that falls silent still gives a sample each nominal period, of codes, so that the record shows
    it. No allocation per sample.
    """

    def __init__(self, adc, sink, clock=None):  # noqa: ARG002 - ticks are all it needs
        self._adc = adc
        self._sink = sink
        self._counts = array.array("i", [0] * adc.channels)
        self._period_us = 1000000 // adc.rate_hz
        self._silent_at = 0

    async def run(self):
        """Sample for ever; end it by cancelling its task."""
        self._expect(time.ticks_us())
        while True:
            self.poll()
            due = self._adc.due_ms()
            await asyncio.sleep_ms(due or 1)  # 1 ms is as fine as asyncio sleeps; less is a busy loop

    def poll(self):
        """Take a sample if there is one, or the codes of one that should have come."""
        now = time.ticks_us()
        if self._adc.ready():
            stamp = time.ticks_us()
            if self._adc.read(self._counts, 0):
                self._expect(now)
                self._sink.take(stamp, self._counts)
                return
        if time.ticks_diff(now, self._silent_at) >= 0:
            self._silent_at = time.ticks_add(now, self._period_us)
            self._adc.silent(self._counts, 0)
            self._sink.take(now, self._counts)

    def _expect(self, now):
        self._silent_at = time.ticks_add(now, self._period_us * SILENT_AFTER_PERIODS_X2 // 2)
