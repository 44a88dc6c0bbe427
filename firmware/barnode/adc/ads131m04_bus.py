"""Frames and registers of an ADS131M04 on SPI, both checksums included. Knows no cell and no time.

Sections are those of TI's data sheet SBAS890D. A frame is six words of 24 bits each way (8.5.1.7): command,
its checksum, zeros; answer to the frame before, four channels, checksum (8.3.12).
"""

import time

from micropython import const

from barnode.adc.crc16 import crc16

NULL = const(0x0000)
RESET = const(0x0011)
RREG = const(0xA000)
_WREG = const(0x6000)
ID, STATUS, MODE, CLOCK, GAIN1, CFG = 0, 1, 2, 3, 4, 6  # 8.6
_FRAME = const(18)
_REGACQ_US = const(1000)  # 5 us by 6.7; generously


class FrameError(Exception):
    """The answer's checksum does not fit it."""


class Bus:
    """`spi`: machine.SPI in mode 1 (8.5.1); `cs`, `reset`: machine.Pin, `reset` may be None."""

    def __init__(self, spi, cs, reset, clkin_hz):
        self._spi = spi
        self._cs = cs
        self._reset = reset
        # longer than 2048 clocks is a reset, up to that only a synchronisation: 6.6
        self._reset_us = 2048 * 1000 // (clkin_hz // 1000) * 2
        self._sent = bytearray(_FRAME)
        self.received = bytearray(_FRAME)
        cs(1)
        if reset is not None:
            reset(1)

    def exchange(self, command, value=None):
        """One frame; whether the answer's checksum fits. The answer stays in `received`. No allocation."""
        sent = self._sent
        for i in range(9):
            sent[i] = 0
        sent[0] = command >> 8
        sent[1] = command & 255
        covered = 3
        if value is not None:
            sent[3] = value >> 8
            sent[4] = value & 255
            covered = 6
        crc = crc16(sent, covered)
        sent[covered] = crc >> 8
        sent[covered + 1] = crc & 255
        self._cs(0)
        self._spi.write_readinto(sent, self.received)
        self._cs(1)
        received = self.received
        return crc16(received, _FRAME - 3) == received[15] << 8 | received[16]

    def answer(self):
        """The first word: the answer to the command of the frame before."""
        return self.received[0] << 8 | self.received[1]

    def count(self, channel):
        """The signed 24-bit word of a channel."""
        at = 3 + 3 * channel
        received = self.received
        word = received[at] << 16 | received[at + 1] << 8 | received[at + 2]
        return (word ^ 0x800000) - 0x800000

    def ask(self, command, value=None):
        """The answer to a command, got with the frame behind it. Raises FrameError."""
        if not self.exchange(command, value) or not self.exchange(NULL):
            raise FrameError
        return self.answer()

    def read(self, register):
        """The 16 bits of a register (8.5.1.10.7)."""
        return self.ask(RREG | register << 7)

    def write(self, register, value):
        """Write a register (8.5.1.10.8): also a write with a wrong checksum takes effect, so read it back."""
        self.ask(_WREG | register << 7, value)

    def reset(self):
        """Bring all registers to their defaults: by the pin, else by a whole frame (8.4.1)."""
        if self._reset is None:
            self.exchange(RESET)
        else:
            self._reset(0)
            time.sleep_us(self._reset_us)
            self._reset(1)
        time.sleep_us(_REGACQ_US)
