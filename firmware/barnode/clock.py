"""Device time: the chip's wrapping microsecond counter extended to 64 bits. It knows nothing of the time of
day."""

import time

from micropython import const

TICKS_MASK = const(0x3FFFFFFF)  # the chip's counters wrap at 2**30, the unix port's later: the low bits agree
_BACKWARDS = const(0x20000000)  # half a period: more than this "since the last" is a stamp from before it
_LIMB = const(0xFFFFFF)


def now_ms():
    """Milliseconds of the chip's counter, 0 to 2**30 - 1; compare with `since_ms`."""
    return time.ticks_ms() & TICKS_MASK  # type: ignore[operator]


def since_ms(now, then):
    """Milliseconds from `then` to `now`, both from `now_ms`; true up to 12.4 days."""
    return (now - then) & TICKS_MASK


class Clock:
    """Microseconds since boot in limbs of 24, 24 and 16 bits: no number in it outgrows a 31-bit small int.

    It must be advanced at least every 8.9 minutes (half the counter's period); the node's health report does.
    """

    def __init__(self, ticks=None):
        self._last = (time.ticks_us() if ticks is None else ticks) & TICKS_MASK  # type: ignore[operator]
        self.low = 0
        self.middle = 0
        self.high = 0

    def advance(self, ticks):
        """Move to the instant of `ticks` (of time.ticks_us); an earlier instant leaves the time where it
        is."""
        elapsed = (ticks - self._last) & TICKS_MASK
        if elapsed >= _BACKWARDS:
            return
        self._last = ticks & TICKS_MASK
        low = self.low + (elapsed & _LIMB)
        middle = self.middle + (elapsed >> 24) + (low >> 24)
        self.low = low & _LIMB
        self.middle = middle & _LIMB
        self.high = (self.high + (middle >> 24)) & 0xFFFF

    def write(self, buf, at):
        """Write the time into `buf` at `at` as u64 microseconds, little-endian, without allocation."""
        limb = self.low
        buf[at] = limb & 255
        buf[at + 1] = (limb >> 8) & 255
        buf[at + 2] = limb >> 16
        limb = self.middle
        buf[at + 3] = limb & 255
        buf[at + 4] = (limb >> 8) & 255
        buf[at + 5] = limb >> 16
        buf[at + 6] = self.high & 255
        buf[at + 7] = self.high >> 8

    def us(self):
        """The time as one integer; allocates on the chip, so for reports only."""
        return self.low | self.middle << 24 | self.high << 48

    def s(self):
        """Whole seconds since boot; for reports only."""
        return self.us() // 1000000
