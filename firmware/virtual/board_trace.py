"""The force on each cell over time, read from a file by seek so that it takes no heap; computes averages,
knows no chip.

The file holds, for evenly spaced instants, the integral of each cell's force since the start in millinewton
microseconds, as int64, instant-major: an average over any span is then two reads. The host prepares it
(ashibar.node.virtual_rig).
"""

import array


class BoardTrace:
    """`first_mn`, `last_mn`: force per cell held before the start and after the end. `start_us`: board time
    of the start."""

    def __init__(self, file, cells, spacing_us, rows, first_mn, last_mn, start_us=0, loop=False):
        self._stream = open(file, "rb")  # noqa: SIM115 - open as long as the board lives
        self._cells = cells
        self._spacing = spacing_us
        self._length = (rows - 1) * spacing_us
        self._first = array.array("i", first_mn)
        self._last = array.array("i", last_mn)
        self._loop = loop
        self._span = array.array("q", [0] * (cells + 1))  # one cell's integral now and one row on
        self.start_us = start_us

    def impulse(self, cell, from_us, to_us):
        """Integral of the force on one cell from one board time to another, mN us."""
        return self._integral(cell, to_us - self.start_us) - self._integral(cell, from_us - self.start_us)

    def _integral(self, cell, at_us):
        if at_us < 0:
            return self._first[cell] * at_us
        if at_us >= self._length:
            if not self._loop:
                return self._at_row(cell, self._length) + self._last[cell] * (at_us - self._length)
            rounds = at_us // self._length
            return rounds * self._at_row(cell, self._length) + self._within(
                cell, at_us - rounds * self._length
            )
        return self._within(cell, at_us)

    def _within(self, cell, at_us):
        row = at_us // self._spacing
        over = at_us - row * self._spacing
        self._read(cell, row)
        low = self._span[0]
        return low if not over else low + (self._span[self._cells] - low) * over // self._spacing

    def _at_row(self, cell, at_us):
        self._read(cell, at_us // self._spacing)
        return self._span[0]

    def _read(self, cell, row):
        self._stream.seek((row * self._cells + cell) * 8)
        self._stream.readinto(self._span)


class ConstantForce:
    """The trace of a board without a file: the same force on each cell for ever. `forces_mn` may be changed
    at any time."""

    def __init__(self, forces_mn):
        self.forces_mn = array.array("i", forces_mn)
        self.start_us = 0

    def impulse(self, cell, from_us, to_us):
        return self.forces_mn[cell] * (to_us - from_us)
