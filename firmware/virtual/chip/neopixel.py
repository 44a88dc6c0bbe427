"""`neopixel` of the virtual board: a strip that remembers what was written to it, for tests to look at."""

# ruff: noqa: ARG002 - the chip's own signatures

import board


class NeoPixel:
    """`board.current.pixels[pin]` is the list of colours last written."""

    def __init__(self, pin, n, bpp=3, timing=1):
        self.pin = pin
        self.n = n
        self.bpp = bpp
        self._colours = [(0,) * bpp] * n

    def __len__(self):
        return self.n

    def __setitem__(self, index, colour):
        self._colours[index] = tuple(colour)

    def __getitem__(self, index):
        return self._colours[index]

    def fill(self, colour):
        for index in range(self.n):
            self[index] = colour

    def write(self):
        board.current.pixels[self.pin._id] = list(self._colours)
