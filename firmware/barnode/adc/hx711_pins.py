"""Reads the words of an HX711 group by machine.Pin: the reference, and the way where there are no
registers."""

from time import ticks_diff, ticks_us


class PinReader:
    """`sck`, `douts`: machine.Pin objects; `pulses`: 24 and those that choose the gain."""

    def __init__(self, sck, douts, pulses):
        self._sck = sck
        self._douts = douts
        self._pulses = pulses
        self.high_at = 0  # DOUT after the gain pulses was seen after this

    def shift(self, words, at_start, after):
        """Fill words and levels; answers the longest time the clock was high, in microseconds."""
        sck = self._sck
        douts = self._douts
        channels = len(douts)
        longest = 0
        for i in range(channels):
            at_start[i] = douts[i]()
            words[i] = 0
            after[i] = 1
        for bit in range(self._pulses):
            rise = ticks_us()
            sck(1)
            sck(0)
            high = ticks_diff(ticks_us(), rise)
            if high > longest:
                longest = high
            for i in range(channels):
                if bit < 24:
                    words[i] = words[i] << 1 | douts[i]()
                else:
                    after[i] &= douts[i]()
        self.high_at = rise
        return longest
