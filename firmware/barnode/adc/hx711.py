"""One to four HX711 on a shared clock: counts, or a code where a count could be wrong. A reader clocks the
bits.

A word is taken as data only if no other explanation of it is left. The chip's traps, and what answers them:
- clock high above 60 us powers every chip down, and the rest reads as ones: each pulse, or all of them, are
  timed (desync, then settling);
- each chip updates by its own oscillator, and tears a word that is being clocked out: their phases are
  learnt, reads are moved out of the way of updates, and a read that may have met one is coded (desync);
- more than 27 pulses in one conversion may change a chip's gain: all are waited for, a chip that was clocked
  while it had no data, or fell silent, is trusted again only after clean reads in a row (not ready);
- DOUT must be high after the gain pulse: with the pins' pull-down a broken wire, too, fails that (desync,
  then not ready).

A line that goes high for good in the fraction of a millisecond of a word is the one thing no reader can tell
from data; the host's rule for spikes drops that sample.
"""

import array
from time import ticks_add, ticks_diff, ticks_us

from machine import Pin, disable_irq, enable_irq
from micropython import const

from barnode.adc.codes import ABSENT, COUNT_MAX, COUNT_MIN, DESYNC, NOT_READY, SATURATED_HIGH, SATURATED_LOW
from barnode.adc.hx711_pins import PinReader
from barnode.adc.phase import Phase

_HIGH_MAX_US = const(50)  # datasheet: 50 us at most, power-down from 60 us
_TRUST_AFTER = const(6)  # clean reads: one sets the gain, four settle, one to spare
_JOIN_AFTER = const(3)  # reads in a row that found a silent chip ready again, before the others wait for it
_DEAD_AFTER = const(3)  # reads in a row with DOUT low after the gain pulse: nothing drives the line
_FROZEN_AFTER = const(6)  # repeats of a word: with 60 counts rms of noise less than once in 10,000 years
_BOOT_PERIODS = const(8)  # settling takes four, and the slowest chips run at 1.6 times the nominal period
_SILENT_PERIODS = const(2)  # the slowest boards run at 1.6 times their nominal period
PULSES = {128: 25, 64: 27, 32: 26}  # 24 bits and what chooses the next gain


class HX711Group:
    """`sck`, `douts`: machine.Pin objects. DOUT gets its pull-down here; pins without one need 47 kOhm to
    ground.

    `gain` 128 or 64 reads input A, 32 input B. All chips answer in the order of `douts`. `reader` None reads
    by pins; another one is a RegisterReader of the same wiring and PULSES[gain].
    """

    count_min, count_max = COUNT_MIN, COUNT_MAX

    def __init__(self, sck, douts, gain=128, rate_hz=80, reader=None):
        if not 1 <= len(douts) <= 4:
            raise ValueError("1 to 4 data pins expected, %d came" % len(douts))
        if gain not in PULSES:
            raise ValueError("gain 128, 64 or 32 expected, %r came" % gain)
        n = len(douts)
        self.channels = n
        self.rate_hz = rate_hz
        self.not_ready = array.array("I", [0] * n)
        self.desync = array.array("I", [0] * n)
        self.saturated = array.array("I", [0] * n)
        self._douts = tuple(douts)
        self._reader = reader or PinReader(sck, self._douts, PULSES[gain])
        self._period_us = 1000000 // rate_hz
        self.phases = tuple(Phase(self._period_us) for _ in range(n))
        self._words = array.array("i", [0] * n)
        self._last = array.array("i", [0] * n)
        self._same = bytearray(n)  # reads that repeated the word
        self._clean = bytearray(n)  # reads in a row that passed every check
        self._dead = bytearray(n)
        self._answered = bytearray(n)  # has ever passed a read
        self._waited = bytearray(n)  # the group waits for this chip
        self._at_start = bytearray(n)  # level of DOUT before the first pulse
        self._after = bytearray(n)  # level of DOUT after the gain pulses
        self._window_us = 500  # that long before an update no read may begin
        self._word_us = 0
        self._complete = False
        self._complete_at = 0
        for dout in douts:
            dout.init(Pin.IN, Pin.PULL_DOWN)
        sck(0)
        self._wait_for_all(_BOOT_PERIODS * self._period_us)

    def _wait_for_all(self, patience_us):
        for i in range(self.channels):
            self._waited[i] = 1
        self._since = ticks_us()
        self._patience_us = patience_us

    def ready(self):
        """Whether every chip that is waited for has data, and none is about to update."""
        now = ticks_us()
        low = missing = 0
        for i in range(self.channels):
            if self._douts[i]():
                self.phases[i].seen_high(now)
                missing += self._waited[i]
            else:
                self.phases[i].seen_low(ticks_us())
                low += 1
        if missing:
            self._complete = False
            if ticks_diff(now, self._since) < self._patience_us:
                return False
            self._give_up()
        if not low:
            return False
        if not any(self._waited):
            self._wait_for_all(_SILENT_PERIODS * self._period_us)
            return False
        now = ticks_us()
        if not self._complete:
            self._complete = True
            self._complete_at = now
        return self._clear_of_updates(now)

    def _give_up(self):
        for i in range(self.channels):
            if self._waited[i] and not self.phases[i].is_low:
                self._waited[i] = 0
                self._clean[i] = 0

    def _clear_of_updates(self, now):
        """Whether a read from `now` meets no update; after a period of waiting in vain it is read anyway."""
        end = ticks_add(now, self._window_us)
        for i in range(self.channels):
            if self._clean[i] and self.phases[i].may_update(now, end):
                return ticks_diff(now, self._complete_at) > self._period_us
        return True

    def due_ms(self):
        """Milliseconds before the first chip that is waited for can have data; 0 if that is not known."""
        if self._complete:
            return 0
        now = ticks_us()
        due = -1
        for i in range(self.channels):
            phase = self.phases[i]
            if self._waited[i] and not phase.is_low:
                wait = phase.next_us(now)
                if due < 0 or wait < due:
                    due = wait
        return due // 1000 - 1 if due >= 2000 else 0

    def read(self, buf, offset):
        """Clock one word out of every chip; False, and nothing done, if it came too late after `ready`."""
        asked = ticks_us()
        if not self._clear_of_updates(asked):
            return False
        irq = disable_irq()
        start = ticks_us()
        needed = ticks_diff(start, asked) + self._word_us
        if needed > self._window_us:
            enable_irq(irq)
            self._window_us = min(needed + (needed >> 2), self._period_us >> 1)
            return False
        stretch = self._reader.shift(self._words, self._at_start, self._after)
        end = ticks_us()
        enable_irq(irq)
        self._word_us = ticks_diff(end, start)
        window = ticks_diff(end, asked)
        self._window_us = window + (window >> 2)
        self._complete = False
        for i in range(self.channels):
            buf[offset + i] = self._judge(i, start, end, stretch > _HIGH_MAX_US)
            if self._after[i]:
                self.phases[i].seen_high(self._reader.high_at)
        self._since = end
        self._patience_us = _SILENT_PERIODS * self._period_us
        if stretch > _HIGH_MAX_US:
            self._wait_for_all(_BOOT_PERIODS * self._period_us)
        return True

    def _judge(self, i, start, end, stretched):
        """The count of chip `i`, or the code of the first thing that speaks against it."""
        if self._at_start[i]:
            return self._refuse(i, NOT_READY)
        if not self._after[i]:
            self.phases[i].reset()
            if self._dead[i] < _DEAD_AFTER:
                self._dead[i] += 1
                return self._refuse(i, DESYNC)
            self._waited[i] = 0
            return self._refuse(i, NOT_READY)
        self._dead[i] = 0
        if stretched:
            self.phases[i].reset()
            return self._refuse(i, DESYNC)
        if self._clean[i] and self.phases[i].locked and self.phases[i].may_update(start, end):
            return self._refuse(i, DESYNC)
        self._answered[i] = 1
        return self._accept(i, (self._words[i] ^ 0x800000) - 0x800000)

    def _accept(self, i, count):
        if self._clean[i] < _TRUST_AFTER:
            self._clean[i] += 1
            if self._clean[i] >= _JOIN_AFTER:
                self._waited[i] = 1
            return self._count_not_ready(i)
        if not self.phases[i].locked:
            return self._count_not_ready(i)
        if not COUNT_MIN < count < COUNT_MAX:
            self.saturated[i] += 1
            return SATURATED_HIGH if count > 0 else SATURATED_LOW
        if count != self._last[i]:
            self._last[i] = count
            self._same[i] = 0
            return count
        if self._same[i] < _FROZEN_AFTER:
            self._same[i] += 1
            return count
        return self._count_not_ready(i)

    def _refuse(self, i, code):
        self._clean[i] = 0
        if not self._answered[i]:
            self.not_ready[i] += 1
            return ABSENT
        if code == DESYNC:
            self.desync[i] += 1
            return DESYNC
        return self._count_not_ready(i)

    def _count_not_ready(self, i):
        self.not_ready[i] += 1
        return NOT_READY

    def silent(self, buf, offset):
        """The sample that did not come: no chip is clocked."""
        for i in range(self.channels):
            self.not_ready[i] += 1
            buf[offset + i] = NOT_READY if self._answered[i] else ABSENT
