"""Reads the words of an HX711 group by the chip's GPIO registers: some 20 us, a small part of what pins
take."""

import array
from time import ticks_diff, ticks_us

from barnode.adc.hx711_word import clock_word

# DR_REG_GPIO_BASE of ESP-IDF's soc.h
GPIO_BASE = {"esp32": 0x3FF44000, "esp32s3": 0x60004000}


class RegisterReader:
    """`gpio`: see hx711_word; `sck`, `douts`: numbers of pins. ValueError: not with these pins."""

    def __init__(self, gpio, sck, douts, pulses):
        bank = douts[0] >> 5
        for pin in douts:
            if pin >> 5 != bank:
                raise ValueError(
                    "data pins all below 32 or all from 32 expected, for one register shows them, %r came:"
                    ' move one, or set "read": "pins"' % (douts,)
                )
        outputs = (5, 6) if sck >> 5 else (2, 3)
        wiring = [1 << (sck & 31), outputs[0], outputs[1], 16 if bank else 15, len(douts)]
        self._wiring = array.array("I", wiring + [1 << (pin & 31) for pin in douts])
        self._gpio = gpio
        self._pulses = pulses
        self.high_at = 0  # DOUT after the gain pulses was seen after this

    def shift(self, words, at_start, after):
        """Fill words and levels; answers an upper bound of the time the clock was high, in microseconds.

        The whole word's time stands for that of its longest pulse: a word within the limit has none beyond.
        """
        begin = ticks_us()
        clock_word(self._gpio, self._wiring, words, at_start, after, self._pulses)  # type: ignore[arg-type]
        self.high_at = begin
        return ticks_diff(ticks_us(), begin)
