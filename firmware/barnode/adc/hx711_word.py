"""One word out of every HX711 at once, through the ESP32's GPIO registers. Machine code; knows no time.

Registers of the first 32 pins, as words of the block at DR_REG_GPIO_BASE: OUT_W1TS 2, OUT_W1TC 3, IN 15; of
the pins from 32: 5, 6, 16 (ESP-IDF, soc/gpio_reg.h; the same on ESP32 and ESP32-S3). `gpio` is that block:
its address, or anything that can be indexed, so that this runs where there is no chip.
"""

import micropython


@micropython.viper
def clock_word(gpio: ptr32, wiring: ptr32, words: ptr32, at_start: ptr8, after: ptr8, pulses: int):  # noqa: F821 - types of viper
    """Fill words (the 24 bits), at_start (level before the first pulse) and after (all levels after bit 24).

    `wiring`: mask of the clock pin; register to set it, to clear it, to read; number of chips, mask of each.
    """
    clock = int(wiring[0])
    high = int(wiring[1])
    low = int(wiring[2])
    read = int(wiring[3])
    chips = int(wiring[4])
    levels = int(gpio[read])
    i = 0
    while i < chips:
        at_start[i] = 1 if levels & int(wiring[5 + i]) else 0
        after[i] = 1
        words[i] = 0
        i += 1
    bit = 0
    while bit < pulses:
        gpio[high] = clock
        # a read takes the bus some 0.1 us and nothing overtakes it: the 0.2 us of T3, then of T4, are kept
        levels = int(gpio[read])
        levels = int(gpio[read])
        levels = int(gpio[read])
        gpio[low] = clock
        levels = int(gpio[read])
        levels = int(gpio[read])
        levels = int(gpio[read])
        i = 0
        while i < chips:
            level = 1 if levels & int(wiring[5 + i]) else 0
            if bit < 24:
                words[i] = int(words[i]) << 1 | level
            elif level == 0:
                after[i] = 0
            i += 1
        bit += 1
