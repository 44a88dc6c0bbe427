"""Watches each sample for overload, without network or host: one cell above its limit, or all together.

Integers only, no allocation per sample. Two samples in a row or two cells at once count: a single sample of a
single cell may be the electronics.
"""

from array import array

from micropython import const

from barnode.adc.codes import SATURATED_HIGH, SATURATED_LOW
from barnode.clock import now_ms, since_ms

_READING_MIN = const(-0x800000)
HOLD_MS = const(
    3000
)  # the sign stays so long after the last sample above a limit, or no glance would meet it


class Overload:
    """`weight` gives the sum of each sample; without a calibration nothing can be judged.

    `cell_n`: limit of each cell in newtons or None, `sum_n`: limit of the sum or None.
    """

    def __init__(self, weight, cell_n, sum_n):
        self._weight = weight
        self._cell_n = cell_n
        self._sum_n = sum_n
        n = len(cell_n)
        self._least = array("i", [0] * n)
        self._most = array("i", [0] * n)
        self._halfway = bytearray(n)  # whether the last reading was above half of the limit
        self._in_row = bytearray(n)
        self._sum_in_row = 0
        self._sum_limit = 0
        self._active = False
        self._ended_ms = -1
        self.now = False
        self.count = 0  # times it began
        self.use_calibration()

    def use_calibration(self):
        """Take the calibration in force: limits become counts."""
        record = self._weight.calibration
        for i, limit_n in enumerate(self._cell_n):
            self._least[i], self._most[i] = -0x800000, 0x7FFFFF
            if record is None or limit_n is None:
                continue
            cell = record["cells"][i]
            reach = min(int(limit_n / abs(cell["span_n_per_count"])), 0x800000)
            self._least[i] = max(-0x800000, cell["zero_count"] - reach)
            self._most[i] = min(0x7FFFFF, cell["zero_count"] + reach)
        self._sum_limit = 0
        if record is not None and self._sum_n:
            self._sum_limit = min(int(self._sum_n / self._weight.unit_n), 0x3FFFFFFF)

    def take(self, counts):
        """Judge one sample after `weight` has taken it; answers whether it is an overload. No allocation."""
        cells = 0
        twice = False
        for i in range(len(self._in_row)):
            if self._is_over(i, counts[i]):
                cells += 1
                if self._in_row[i]:
                    twice = True
                self._in_row[i] = 1
            else:
                self._in_row[i] = 0
        total = self._weight.total
        if self._sum_limit and not -self._sum_limit <= total <= self._sum_limit:
            if self._sum_in_row:
                twice = True
            self._sum_in_row = 1
        else:
            self._sum_in_row = 0
        self.now = twice or cells > 1
        if self.now:
            self._begin()
        return self.now

    def _is_over(self, i, count):
        least, most = self._least[i], self._most[i]
        if count >= _READING_MIN:
            limited = most - least < 0xFFFFFF
            self._halfway[i] = limited and abs(count - ((least + most) >> 1)) > (most - least) >> 2
            return not least <= count <= most
        # beyond the converter's range: a load if the cell was on its way there, else a broken wire
        return self._halfway[i] and count in (SATURATED_HIGH, SATURATED_LOW)

    def _begin(self):
        if not self.active():
            self.count += 1
        self._active = True
        self._ended_ms = now_ms()

    def active(self):
        """Whether there is an overload, or was one within HOLD_MS."""
        if self._active and since_ms(now_ms(), self._ended_ms) > HOLD_MS:
            self._active = False
        return self._active
