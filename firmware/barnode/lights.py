"""The node's light: a strip that can be told to show itself. Where there is none, nothing happens."""

import asyncio


class Light:
    """`pin` None is a board without lights; colours are dim on purpose: the room is."""

    def __init__(self, pin=None, count=0):
        self._strip = None
        if pin is None:
            return
        try:
            import machine
            import neopixel
        except ImportError:
            return
        self._strip = neopixel.NeoPixel(machine.Pin(pin), count)

    def show(self, colour):
        """All of the strip in one (red, green, blue) of 0 to 255."""
        if self._strip is None:
            return
        self._strip.fill(colour)
        self._strip.write()

    async def identify(self, seconds=5):
        """Glow and fade once a second."""
        for _ in range(seconds):
            self.show((24, 16, 8))
            await asyncio.sleep_ms(500)
            self.show((0, 0, 0))
            await asyncio.sleep_ms(500)
