"""The strip of lights: what it shows for a bar of load and for each sign, so that position tells as much as
colour.

Dim and calm, for a massage room: nothing changes faster than once in half a second. It decides nothing: see
alone.
"""

import asyncio

from micropython import const

BAR, WAITING, NO_DATA, FAULT, OVERLOAD, TWINS, SAFE = range(7)
HALF_MS = const(500)  # the signs that move do so once a second: far below 3 Hz

_DARK = (0, 0, 0)
_BANDS = {"below": (10, 8, 2), "in": (0, 12, 6), "above": (16, 7, 0), "over": (24, 3, 0)}
_PLAIN = (8, 8, 6)
_EDGE = (24, 24, 20)
_BLUE = (0, 0, 16)
_AMBER = (18, 8, 0)
_RED = (32, 0, 0)
_VIOLET = (12, 0, 12)
_WHITE = (6, 6, 6)


def paint(strip, n, sign, fraction, band, half):
    """Set `n` pixels of `strip` for a sign; `half` is 0 or 1, by turns of HALF_MS.

    bar: filled from the first pixel to the client's load as a fraction of body weight, the last lit one
    bright. waiting: one pixel in the middle. no data: the two ends. fault: every third pixel. overload: one
    half, then the other. twins: two pairs that swap. safe mode: the first and the third pixel.
    """
    for i in range(n):
        strip[i] = _DARK
    if sign == BAR:
        _paint_bar(strip, n, fraction, _BANDS.get(band, _PLAIN))
    elif sign == WAITING:
        strip[n // 2] = _WHITE
    elif sign == NO_DATA:
        strip[0] = strip[n - 1] = _BLUE
    elif sign == FAULT:
        for i in range(0, n, 3):
            strip[i] = _AMBER
    elif sign == OVERLOAD:
        middle = (n + 1) // 2
        for i in range(n):
            if (i < middle) == (half == 0):
                strip[i] = _RED
    elif sign == TWINS:
        for i in range(n):
            if i % 4 // 2 == half:
                strip[i] = _VIOLET
    elif sign == SAFE:
        strip[0] = strip[min(2, n - 1)] = _WHITE


def _paint_bar(strip, n, fraction, colour):
    lit = min(n, max(1, int(fraction * n + 0.5)))
    for i in range(lit):
        strip[i] = colour
    strip[lit - 1] = _EDGE
    if fraction > 1 and n > 1:  # more than the body weight: somebody pushes the bars up
        strip[0] = _EDGE


class Light:
    """`pin` None is a board without lights."""

    def __init__(self, pin=None, count=0):
        self._strip = None
        self._count = count
        self._shown: tuple = ()
        self.identifying = False
        if pin is None or not count:
            return
        try:
            import machine
            import neopixel
        except ImportError:
            return
        self._strip = neopixel.NeoPixel(machine.Pin(pin), count)

    def show(self, sign, half=0, fraction=0.0, band=None):
        """Show a sign; the strip is written only when that changes it."""
        moving = half if sign in (OVERLOAD, TWINS) else 0
        lit = int(fraction * self._count + 0.5) if sign == BAR else 0
        wanted = (sign, moving, lit, band, fraction > 1)
        if self._strip is None or wanted == self._shown or (self.identifying and sign != OVERLOAD):
            return
        self._shown = wanted
        paint(self._strip, self._count, sign, fraction, band, moving)
        self._strip.write()

    async def identify(self, seconds=5):
        """Glow and fade once a second; only an overload is shown before."""
        self.identifying = True
        for _ in range(seconds):
            for colour in ((24, 16, 8), _DARK):
                if self._strip is not None and self._shown[:1] != (OVERLOAD,):
                    self._strip.fill(colour)
                    self._strip.write()
                await asyncio.sleep_ms(HALF_MS)
        self.identifying = False
        self._shown = ()
