"""When a free-running converter updates: its phase and period, learnt from levels seen on its data line. No
pins here.

Each fall of the line that was looked for lies between the last look that saw it high and the first that saw
it low. Rolled on by whole periods, such spans overlap in an ever narrower one. All integer, no allocation.
"""

from time import ticks_add, ticks_diff

from micropython import const

_MARGIN_US = const(30)  # jitter of the oscillator and of our own clock
_SLIP_US = const(200)  # a fall that far outside its span: the oscillator is not the one we learnt
_ANCHOR_PERIODS = const(
    256
)  # baseline of the period; then it is learnt anew, for oscillators drift with temperature
_FORGET_PERIODS = const(40)  # without a fall for so long nothing is known of the phase


class Phase:
    """Spans are [low, high] in ticks of time.ticks_us; periods are in sixteenths of a microsecond."""

    def __init__(self, nominal_us):
        self.nominal_us = nominal_us
        self.is_low = False
        self.reset()

    def reset(self):
        """Forget phase and period: HX711 boards run at 0.65 to 1.6 times their nominal period."""
        self.tracking = False
        self.locked = False
        self._seen = False  # whether the line was seen high since
        self._short = self.nominal_us * 10
        self._long = self.nominal_us * 26
        self._low = self._high = 0
        self._last_high = 0

    def period_us(self):
        """The best estimate of the period."""
        if not self.locked:
            return self.nominal_us
        return (self._short + self._long) >> 5

    def seen_high(self, at):
        """The line was high at `at` or later."""
        self.is_low = False
        self._seen = True
        self._last_high = at
        if self.tracking and ticks_diff(at, self._high) > _FORGET_PERIODS * self.nominal_us:
            self.reset()

    def seen_low(self, at):
        """The line was low at `at` or earlier."""
        if self.is_low:
            if self.tracking and ticks_diff(at, self._high) > _FORGET_PERIODS * self.nominal_us:
                self.reset()
            return
        self.is_low = True
        if self._seen:
            self._seen = False
            self._fell(self._last_high, at)

    def _fell(self, after, before):
        width = ticks_diff(before, after)
        if width > self.nominal_us >> 1:
            return  # we looked too late to learn anything
        if not self.tracking:
            self._start(after, before)
            return
        period = self.period_us()
        elapsed = ticks_diff(after, self._low) + ticks_diff(before, self._high)
        periods = ((elapsed >> 1) + (period >> 1)) // period
        if periods < 1:
            self._start(after, before)
            return
        low = ticks_add(self._low, periods * self._short >> 4)
        high = ticks_add(self._high, (periods * self._long >> 4) + 1)
        if ticks_diff(after, low) > 0:
            low = after
        if ticks_diff(before, high) < 0:
            high = before
        slip = ticks_diff(low, high)
        if slip > 0:
            if slip > _SLIP_US:
                self.reset()
            self._start(after, before)
            return
        self._low = low
        self._high = high
        self._learn(periods)

    def _start(self, after, before):
        self.tracking = True
        self._low = self._anchor_low = after
        self._high = self._anchor_high = before
        self._periods = 0
        self._widen()

    def _widen(self):
        if self.locked:
            self._short -= self._short >> 11
            self._long += self._long >> 11

    def _learn(self, periods):
        self._periods += periods
        short = ticks_diff(self._low, self._anchor_high) * 16 // self._periods
        long = ticks_diff(self._high, self._anchor_low) * 16 // self._periods + 1
        if short > self._short:
            self._short = short
        if long < self._long:
            self._long = long
        if self._short > self._long:
            self.reset()
            return
        self.locked = self._long - self._short < self._long >> 5
        if self._periods >= _ANCHOR_PERIODS:
            self._anchor_low = self._low
            self._anchor_high = self._high
            self._periods = 0
            self._widen()

    def may_update(self, start, end):
        """Whether an update after the last one seen may fall between two instants."""
        if not self.tracking:
            return True
        since = ticks_diff(start, self._high) - _MARGIN_US
        periods = (since * 16 + self._long - 1) // self._long
        if periods < 1:
            periods = 1
        first = ticks_add(self._low, periods * self._short >> 4)
        return ticks_diff(end, first) >= -_MARGIN_US

    def next_us(self, now):
        """Microseconds from `now` to the earliest update that is not surely over; 0 if nothing is known."""
        if not self.locked:
            return 0
        since = ticks_diff(now, self._high) - _MARGIN_US
        periods = (since * 16 + self._long - 1) // self._long
        if periods < 1:
            periods = 1
        wait = ticks_diff(self._low, now) + (periods * self._short >> 4)
        return max(wait, 0)
