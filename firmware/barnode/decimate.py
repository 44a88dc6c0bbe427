"""Makes room in a full backlog: two old frames become one that keeps each cell's least and greatest reading.

It chooses which frames and merges them a bounded step at a time; what is sent or let go is the backlog's.
"""

from array import array

from micropython import const

from barnode.frame import DECIMATED, HEADER, LOST_BEFORE, OVERLOAD

LEVELS = const(5)  # a frame of level n stands for 2**n: at 80 Hz level 4 is the last whose spacings fit
_LEVEL_SHIFT = const(4)  # of the level in the flags
_SPACING_MOST = const(65534)  # 65535 would say "or more"
MORE = const(0)
DONE = const(1)
FAILED = const(-1)


def level_of(flags):
    """How often a frame was merged: it stands for 2**level sequences."""
    return flags >> _LEVEL_SHIFT if flags & DECIMATED else 0


class Merger:
    """Merges two frames into the buffer `out`, a pair of samples a step. No allocation.

    Neither frame is changed, so a merge can be abandoned at any step.
    """

    def __init__(self, frame_bytes, cells):
        self._cells = cells
        self._pairs_most = (frame_bytes - HEADER - 4) // (2 + 4 * cells) // 2
        self.out = bytearray(frame_bytes)
        self.samples = 0
        self._a = self._b = self.out
        self._na = self._total = self._group = self._next = self._joint = self._counts = 0

    def begin(self, a, na, b, nb, level):
        """Start on frames of `na` and `nb` samples, both of `level`; False when they cannot be one."""
        if not self._pairs_most or a[24] != b[24] or a[25] != b[25]:
            return False
        joint = self._joint_10us(a, na, b)
        if not 0 <= joint <= _SPACING_MOST:
            return False
        unit = 2 if level else 1  # what must not be torn apart
        units = (na + nb) // unit
        group = (units + self._pairs_most - 1) // self._pairs_most
        self._a = a  # one by one: a tuple would be allocated
        self._b = b
        self._na = na
        self._total = na + nb
        self._joint = joint
        self._group = group * unit
        self._next = 0
        self.samples = 2 * ((units + group - 1) // group)
        self._counts = HEADER + 2 * self.samples
        out = self.out
        for i in range(HEADER):
            out[i] = a[i]
        out[26] = self.samples
        return True

    def step(self):
        """One pair of the merged frame: MORE, DONE, or FAILED when its interval does not fit a spacing."""
        first = self._next
        last = min(first + self._group, self._total)
        span = 0
        for i in range(first + 1, last):
            span += self._spacing(i)
        if span > _SPACING_MOST:
            return FAILED
        at = HEADER + 2 * ((self._counts - HEADER - 2 * self.samples) // (4 * self._cells))
        _write_u16(self.out, at, self._spacing(first) if first else 0)
        _write_u16(self.out, at + 2, span)
        for cell in range(self._cells):
            self._extremes(first, last, cell, self._counts + 4 * cell)
        self._counts += 8 * self._cells
        self._next = last
        return DONE if last >= self._total else MORE

    def _extremes(self, first, last, cell, at):
        """Codes are below every reading: one in the interval takes the place of the least of them."""
        least = 0x1000000
        greatest = -0x1000000
        for i in range(first, last):
            buf = self._a
            n = self._na
            if i >= n:
                buf = self._b
                i -= n
                n = self._total - n
            k = HEADER + 2 * n + 4 * (i * self._cells + cell)
            count = buf[k] | buf[k + 1] << 8 | buf[k + 2] << 16
            if buf[k + 3] & 128:
                count -= 0x1000000
            least = min(least, count)
            greatest = max(greatest, count)
        _write_count(self.out, at, least)
        _write_count(self.out, at + 4 * self._cells, greatest)

    def _spacing(self, i):
        n = self._na
        if i < n:
            return self._a[HEADER + 2 * i] | self._a[HEADER + 2 * i + 1] << 8
        if i == n:
            return self._joint
        i -= n
        return self._b[HEADER + 2 * i] | self._b[HEADER + 2 * i + 1] << 8

    def _joint_10us(self, a, na, b):
        """From the last sample of `a` to the first of `b`, -1 when far: 48 bits without a 48-bit int."""
        middle = _u24(b, 15) - _u24(a, 15)
        if not 0 <= middle <= 1 or a[18] != b[18] or a[19] != b[19]:
            return -1
        us = (middle << 24) + _u24(b, 12) - _u24(a, 12)
        for i in range(1, na):
            us -= 10 * (a[HEADER + 2 * i] | a[HEADER + 2 * i + 1] << 8)
        return (us + 5) // 10


class Decimation:
    """Which frames of `backlog` are merged next: the oldest two of the lowest level, not the newest quarter.

    So the whole outage is kept a little coarser before any of it is kept much coarser, and its end stays at
    the full rate. A cursor for each level marks where merging goes on; what cannot be merged is passed by for
    good.
    """

    def __init__(self, backlog, cells):
        self._backlog = backlog
        self._merger = Merger(len(backlog.slots[0]), cells)
        self._cursor = array("h", [-1] * LEVELS)
        self._full_rate = max(1, len(backlog.slots) // 4)
        self._a = self._b = -1
        self._sequence = 0
        self.decimated = 0

    def pushed(self, slot):
        """A frame came."""
        if self._cursor[0] < 0:
            self._cursor[0] = slot

    def released(self, slot, following):
        """A frame goes; `following` is the one behind it."""
        for level in range(LEVELS):
            if self._cursor[level] == slot:
                self._cursor[level] = following

    def work(self):
        """One bounded step; False when nothing is left that could be merged."""
        if self._a >= 0:
            self._go_on()
            return True
        for level in range(LEVELS - 1):  # noqa: SIM110 - any() with a generator would allocate
            if self._advance(level):
                return True
        return False

    def _advance(self, level):
        """Begin a merge at this level or move its cursor by one; False when it must wait for more frames."""
        backlog = self._backlog
        a = self._cursor[level]
        if a < 0 or self._beyond(level, a):
            return False
        b = backlog.following(a)
        if b < 0 or self._beyond(level, b):
            return False
        if self._fit(a, b, level) and self._merger.begin(
            backlog.slots[a], backlog.samples[a], backlog.slots[b], backlog.samples[b], level
        ):
            self._a = a
            self._b = b
            self._sequence = backlog.sequence[a]
        else:
            self._cursor[level] = b
        return True

    def _beyond(self, level, slot):
        """Whether `slot` is not this level's yet: it is too new, or the level below still works there."""
        sequence = self._backlog.sequence[slot]
        if self._backlog.newest - sequence < self._full_rate:
            return True
        if level == 0:
            return False
        below = self._cursor[level - 1]
        return below >= 0 and sequence >= self._backlog.sequence[below]

    def _fit(self, a, b, level):
        backlog = self._backlog
        if level_of(backlog.own_flags(a)) != level or level_of(backlog.own_flags(b)) != level:
            return False
        if backlog.own_flags(b) & LOST_BEFORE or backlog.sequence[b] != backlog.sequence[a] + (1 << level):
            return False
        return backlog.is_undelivered(a) and backlog.is_undelivered(b)

    def _go_on(self):
        """A step of the merge under way; abandoned when one of the two was sent, stored or dropped since."""
        backlog = self._backlog
        a = self._a
        b = self._b
        level = level_of(backlog.own_flags(a))
        if backlog.sequence[a] != self._sequence or not self._fit(a, b, level):
            self._a = -1
            return
        done = self._merger.step()
        if done == MORE:
            return
        self._a = -1
        if done == FAILED:
            self._cursor[level] = b
            return
        if level == 0:
            self.decimated += 2
        if self._cursor[level + 1] < 0:
            self._cursor[level + 1] = a
        self._cursor[level] = backlog.following(b)
        flags = backlog.own_flags(a) & LOST_BEFORE | (backlog.own_flags(a) | backlog.own_flags(b)) & OVERLOAD
        self._merger.out = backlog.replace(
            a, b, self._merger.out, self._merger.samples, flags | DECIMATED | level + 1 << _LEVEL_SHIFT
        )


def _u24(buf, at):
    return buf[at] | buf[at + 1] << 8 | buf[at + 2] << 16


def _write_u16(buf, at, value):
    buf[at] = value & 255
    buf[at + 1] = value >> 8


def _write_count(buf, at, count):
    buf[at] = count & 255
    buf[at + 1] = (count >> 8) & 255
    buf[at + 2] = (count >> 16) & 255
    buf[at + 3] = (count >> 24) & 255
