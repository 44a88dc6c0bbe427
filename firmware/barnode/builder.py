"""From samples to held frames: stamps them on the device's time, numbers them, closes frames. No I/O."""

from micropython import const

from barnode.clock import TICKS_MASK, now_ms
from barnode.frame import FrameWriter

_GAP_US = const(
    655350
)  # a longer spacing does not fit a frame, so it starts one: no time is ever rounded off


class FrameBuilder:
    """`take` one sample at a time; the finished frames are in `backlog`. No allocation per sample."""

    def __init__(self, backlog, clock, boot, samples, cells, calibration=0):
        self._backlog = backlog
        self._clock = clock
        self._writer = FrameWriter(samples, cells, boot, calibration)
        self._slot = backlog.take_slot()
        self._last = 0
        self._rest_us = 0
        self._flags = 0
        self._index_low = 0
        self._index_high = 0
        self.frames = 0

    def take(self, ticks, counts, flags=0):
        """Add one sample read at `ticks` (time.ticks_us), with `flags` for its frame; answers whether that
        completed one."""
        writer = self._writer
        gap = (ticks - self._last) & TICKS_MASK
        self._last = ticks & TICKS_MASK
        self._clock.advance(ticks)
        if writer.count and gap + self._rest_us >= _GAP_US:
            self.flush()
        if writer.count == 0:
            buf = self._backlog.slots[self._slot]
            writer.open(buf, self.frames, self._clock, self._index_low, self._index_high)
            spacing = 0
            self._rest_us = 0
        else:
            gap += self._rest_us
            spacing = gap // 10
            self._rest_us = gap - spacing * 10
        writer.add(spacing, counts)
        self._flags |= flags
        self._backlog.work()
        self._index_low += 1
        if self._index_low > 0xFFFF:
            self._index_low = 0
            self._index_high = (self._index_high + 1) & 0xFFFF
        if not writer.full():
            return False
        self.flush()
        return True

    def flush(self):
        """Close the frame with what it has, if it has anything."""
        if self._writer.count == 0:
            return
        samples = self._writer.close()
        self._backlog.push(self._slot, self.frames, samples, now_ms(), self._flags)
        self._flags = 0
        self.frames += 1
        self._slot = self._backlog.take_slot()

    def use_calibration(self, number):
        """Frames from now on carry this calibration id."""
        self.flush()
        self._writer.calibration = number

    def taken_high(self):
        """The high half of `taken`: a small int, whatever the boot's age."""
        return self._index_high

    def taken(self):
        """Samples taken since boot; for reports only."""
        return self._index_high << 16 | self._index_low
