"""The last five seconds of interval means, from which a zero is taken. It judges nothing: see zero."""

from array import array

from micropython import const

from barnode.clock import now_ms, since_ms

GAP_MS = const(750)  # a longer silence inside the window hides what happened in it
INTERVALS = const(20)  # of 250 ms


class ZeroWindow:
    """`weight` gives the means of each interval, counts of `cells` cells."""

    def __init__(self, weight, cells):
        self._weight = weight
        self._cells = cells
        self._ring = array("i", [0] * (cells * INTERVALS))
        self._at = 0
        self._filled = 0
        self._since_ms = self._last_ms = 0

    def note(self):
        """An interval has ended."""
        now = now_ms()
        weight = self._weight
        if not weight.whole or (self._filled and since_ms(now, self._last_ms) > GAP_MS):
            self._filled = 0
        if not weight.whole:
            return
        if self._filled == 0:
            self._since_ms = now
        for cell in range(self._cells):
            self._ring[self._at * self._cells + cell] = weight.means[cell]
        self._at = (self._at + 1) % INTERVALS
        self._filled = min(self._filled + 1, INTERVALS)
        self._last_ms = now

    def held_ms(self):
        """How long there have been readings of all cells without a fault, 0 if there are none now."""
        if not self._filled or not self._weight.readable() or since_ms(now_ms(), self._last_ms) > GAP_MS:
            return 0
        return since_ms(self._last_ms, self._since_ms)

    def full(self):
        """Whether the window is filled."""
        return self._filled == INTERVALS and self.held_ms() > 0

    def column(self, cell):
        """The means of one cell, in counts."""
        return [self._ring[row * self._cells + cell] for row in range(INTERVALS)]
