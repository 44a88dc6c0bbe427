"""The virtual board's one clock: microseconds since power-on, real or moved by hand.

Between `disable_irq` and `enable_irq` a chip is not preempted, so there the clock leaves the host's
scheduling and moves one microsecond for each operation on a pin; outside it follows the real time again. It
never runs backwards.
"""

import time

if hasattr(time, "ticks_us"):
    _real_us = time.ticks_us
else:

    def _real_us():
        return time.monotonic_ns() // 1000


PIN_OPERATION_US = 1  # roughly what `Pin.value` costs on an ESP32 at 240 MHz


class BoardClock:
    """`manual=True`: the time moves only by `advance` and by operations on pins. `ticks_start` moves the wrap
    of ticks_us."""

    def __init__(self, manual=False, ticks_start=0):
        self.manual = manual
        self.ticks_start = ticks_start
        self.critical = False
        self._origin = 0 if manual else _real_us()
        self._now = 0

    def now(self):
        """Microseconds since power-on; does not wrap."""
        if not (self.manual or self.critical):
            real = _real_us() - self._origin
            if real > self._now:
                self._now = real
        return self._now

    def advance(self, us):
        """Let time pass: what a stretched pulse, or a test, does to the chip."""
        self._now = self.now() + us

    def pin_operation(self):
        """The time at which an operation on a pin takes place; moves the clock where no real time does."""
        if self.manual or self.critical:
            self._now += PIN_OPERATION_US
            return self._now
        return self.now()

    def enter_critical(self):
        self.now()
        self.critical = True

    def leave_critical(self):
        self.critical = False
