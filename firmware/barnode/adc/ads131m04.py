"""Four cells on one ADS131M04, all sampled at the same instant: counts, or a code where a count could be
wrong.

Sections are those of TI's data sheet SBAS890D. A conversion is taken as data only if its frame's checksum
fits and the answer in it is the one that a chip set up by us gives: it alternates between STATUS and a
register, in turn. So a chip that restarted (gain 1, other rate: 8.4.1) is found out by the first frame behind
it, before its counts are used, and is set up anew.

A sample is the mean of `block` conversions in a row (or one or two more, after a late look), stamped when the
last one was read. The filter (sinc3 over 1024 steps, then averages: 8.3.7) settles within a conversion and a
half. Global chop (8.4.3.2) stays off: it halves the drift of the offset, but each result then spans six
conversion times, and would flatten peaks.
"""

import array
from time import ticks_add, ticks_diff, ticks_us

from machine import Pin
from micropython import const

from barnode.adc.ads131m04_bus import CFG, CLOCK, GAIN1, ID, MODE, NULL, RREG, Bus, FrameError
from barnode.adc.codes import ABSENT, COUNT_MAX, COUNT_MIN, DESYNC, NOT_READY, SATURATED_HIGH, SATURATED_LOW

_OSR = (128, 256, 512, 1024, 2048, 4096, 8192, 16384)
_GAIN = (1, 2, 4, 8, 16, 32, 64, 128)
_MODE = const(
    0x1110
)  # input checksum on, CCITT, reset flag cleared, 24 bits, time-out on, DRDY a level: 8.6.3
_CFG = const(0x0600)  # its default: neither global chop nor current detection: 8.6
_HEALTHY = const(0x0100)  # STATUS but for its DRDY bits: 24 bits, nothing else to say: 8.6.2
_DRDY_BITS = const(0x000F)
_SETTLING = const(4)  # conversions; the first two come from the fast filter: 8.4.2
_BAD_FRAMES = const(6)  # in a row: nobody answers any more
_FROZEN_AFTER = const(6)  # identical words, of a converter with hundreds of counts of noise
_RETRY_US = const(1000000)
# Conversions in eighths: within less than two none is missed, for the chip holds two (8.5.1.9.1). Later, what
# it holds may be of any age.
_HELD_EIGHTHS = const(15)
_FRAMES = const(3)  # the two it holds, and one that ends while they are read


class ADS131M04:
    """`spi`: machine.SPI in mode 1; `cs`, `drdy`, `reset`: machine.Pin, `reset` may be None.

    `clkin_hz`: clock at CLKIN, up to 8.2 MHz; a conversion takes 2 * osr of it. The first `channels` of the
    four inputs are answered.
    """

    count_min, count_max = COUNT_MIN, COUNT_MAX

    def __init__(self, spi, cs, drdy, reset=None, channels=4, gain=128, osr=16384, block=3, clkin_hz=8192000):
        if not 1 <= channels <= 4:
            raise ValueError("1 to 4 channels expected, %d came" % channels)
        if gain not in _GAIN or osr not in _OSR:
            raise ValueError("gain of %r and osr of %r expected, %r and %r came" % (_GAIN, _OSR, gain, osr))
        if not 1 <= block <= 64 or not 300000 <= clkin_hz <= 8200000:
            raise ValueError(
                "block of 1 to 64, clkin_hz to 8200000 expected, %r and %r came" % (block, clkin_hz)
            )
        self.channels = channels
        self.rate_hz = round(clkin_hz / (2 * osr * block))
        self.not_ready = array.array("I", [0] * channels)
        self.desync = array.array("I", [0] * channels)
        self.saturated = array.array("I", [0] * channels)
        self.resets = 0  # times the chip had to be set up anew
        self._bus = Bus(spi, cs, reset, clkin_hz)
        self._drdy = drdy
        self._block = block
        self._conversion_us = 2000 * osr // (clkin_hz // 1000)
        power = 2 if clkin_hz > 4150000 else 1 if clkin_hz > 2080000 else 0  # 6.3
        step = _GAIN.index(gain)
        self._registers = (MODE, CLOCK, GAIN1, CFG)
        clock = 0x0F00 | _OSR.index(osr) << 2 | power
        self._values = (_MODE, clock, step * 0x1111, _CFG)
        self._sums = array.array("i", [0] * channels)
        self._last = array.array("i", [0] * channels)
        self._same = bytearray(channels)
        self._high = bytearray(channels)
        self._low = bytearray(channels)
        self._answered = False
        self._running = False
        self._spoilt = self._seen_high = self._settling = False
        self._taken = self._taken_us = self._settled_at = self._bad_frames = self._turn = 0
        self._asked = -1
        drdy.init(Pin.IN, Pin.PULL_UP)  # a broken wire reads as no data
        self._retry_at = ticks_us()

    def ready(self):
        """Whether a conversion waits to be read. Sets the chip up where that is still to be done."""
        if not self._running:
            if ticks_diff(ticks_us(), self._retry_at) < 0:
                return False
            self._set_up()
            return False
        if self._drdy():
            self._seen_high = True
            return False
        if not self._seen_high and self._waited():
            self._lose(_RETRY_US)  # low although all was read: shorted, or no such chip
        return self._seen_high

    def _waited(self):
        return ticks_diff(ticks_us(), self._taken_us) > self._conversion_us * _HELD_EIGHTHS >> 3

    def due_ms(self):
        """Milliseconds before the next conversion can be there; 0 if that is not known."""
        if not self._running:
            return 0
        left = self._conversion_us - ticks_diff(ticks_us(), self._taken_us)
        return left // 1000 - 1 if 2000 <= left <= self._conversion_us else 0

    # Setting up

    def _set_up(self):
        """Reset the chip, write its registers and read them back; if one is wrong, again later."""
        try:
            self._running = self._write_registers()
        except FrameError:
            self._running = False
        now = ticks_us()
        self._retry_at = ticks_add(now, _RETRY_US)
        if not self._running:
            return
        self.resets += self._answered
        self._answered = True
        self._taken_us = now
        self._settled_at = ticks_add(now, _SETTLING * self._conversion_us)
        self._settling = True
        self._asked = -1
        self._turn = 0
        self._bad_frames = 0
        self._seen_high = True
        self._start_block()

    def _lose(self, retry_us):
        """Trust nothing of the chip before it has been set up anew."""
        self._running = False
        self._retry_at = ticks_add(ticks_us(), retry_us)

    def _write_registers(self):
        bus = self._bus
        bus.reset()
        bus.exchange(NULL)  # the acknowledgement of the reset, or what was left of the frame before
        if bus.read(ID) >> 8 != 0x24:
            return False
        for i in range(len(self._registers)):
            bus.write(self._registers[i], self._values[i])
        for i in range(len(self._registers)):
            if bus.read(self._registers[i]) != self._values[i]:
                return False
        bus.ask(NULL)  # flags that the setting up raised are cleared by being read
        return bus.ask(NULL) & ~_DRDY_BITS == _HEALTHY

    # Reading

    def read(self, buf, offset):
        """Read the conversion that waits; True if it completes a sample, which is then in `buf`."""
        late = self._waited()
        frames = 0
        while frames < _FRAMES and self._running:
            self._take_frame()
            frames += 1
            if self._drdy():
                break
        self._seen_high = self._drdy() == 1
        self._taken_us = ticks_us()
        if self._running:
            if late:
                self._start_block()
                return False
            if frames == _FRAMES and not self._seen_high:
                self._spoilt = True
            if self._taken < self._block:
                return False
        for i in range(self.channels):
            buf[offset + i] = self._judge(i)
        self._start_block()
        return True

    def _take_frame(self):
        """Exchange a frame and, if it can be trusted, add its conversion to the block."""
        expected, mask = _HEALTHY, 0xFFFF ^ _DRDY_BITS
        asked = -1
        if self._asked >= 0:
            expected, mask = self._values[self._asked], 0xFFFF
        else:
            asked = self._turn
            self._turn = (asked + 1) % len(self._registers)
        intact = self._bus.exchange(RREG | self._registers[asked] << 7 if asked >= 0 else NULL)
        self._asked = asked
        if intact and self._bus.answer() & mask != expected:
            self._lose(0)
            return
        self._bad_frames = 0 if intact else self._bad_frames + 1
        if self._bad_frames >= _BAD_FRAMES:
            self._lose(_RETRY_US)
        if self._settling:
            self._settling = ticks_diff(ticks_us(), self._settled_at) < 0
            return
        self._taken += 1
        if intact:
            self._add()
        else:
            self._spoilt = True

    def _add(self):
        for i in range(self.channels):
            count = self._bus.count(i)
            self._sums[i] += count
            if count == COUNT_MAX:
                self._high[i] = 1
            elif count == COUNT_MIN:
                self._low[i] = 1
            if count != self._last[i]:
                self._last[i] = count
                self._same[i] = 0
            elif self._same[i] < _FROZEN_AFTER:
                self._same[i] += 1

    def _start_block(self):
        self._taken = 0
        self._spoilt = False
        for i in range(self.channels):
            self._sums[i] = 0
            self._high[i] = self._low[i] = 0

    def _judge(self, i):
        """The mean of the block for one channel, or the code of what speaks against it."""
        if self._spoilt or not self._running:
            self.desync[i] += 1
            return DESYNC
        if self._high[i] or self._low[i]:
            self.saturated[i] += 1
            return SATURATED_HIGH if self._high[i] else SATURATED_LOW
        if self._same[i] >= _FROZEN_AFTER:
            self.not_ready[i] += 1
            return NOT_READY
        return (self._sums[i] + (self._taken >> 1)) // self._taken

    def silent(self, buf, offset):
        """The sample that did not come."""
        for i in range(self.channels):
            self.not_ready[i] += 1
            buf[offset + i] = NOT_READY if self._answered else ABSENT
