"""The ESP32's GPIO registers of the virtual board, as far as converters are read by them: a block that
reacts."""

OPERATIONS_PER_US = 8  # a read or a write takes the bus some 0.1 us


class Registers:
    """Index it as the chip's block of 32-bit words. `stall(pulses)`, if set, answers for how many
    microseconds to be held up behind a pulse."""

    def __init__(self, board):
        self._board = board
        self._pins = tuple(pin for pin, _ in board.data_pins())
        self._chips = tuple(chip for _, chip in board.data_pins())
        self._operations = 0
        self._seen_at = self._seen = self._levels = -1
        self.pulses = 0
        self.stall = None

    def _now(self):
        self._operations += 1
        if self._operations >= OPERATIONS_PER_US:
            self._operations = 0
            self._board.clock.advance(1)
        return self._board.clock.now()

    def __setitem__(self, index, mask):
        now = self._now()
        self._seen_at = -1
        if index not in (2, 3, 5, 6):
            raise ValueError("register 2, 3, 5 or 6 expected to be written, %d came" % index)
        level = index in (2, 5)
        pin = 32 if index > 4 else 0
        while mask:
            if mask & 1:
                self._board.clock_edge(self._board.clocked(pin) or (), level, now)
            mask >>= 1
            pin += 1
        if not level:
            self.pulses += 1
            if self.stall is not None:
                self._board.clock.advance(self.stall(self.pulses))

    def __getitem__(self, index):
        now = self._now()
        if index not in (15, 16):
            raise ValueError("register 15 or 16 expected to be read, %d came" % index)
        if now == self._seen_at and index == self._seen:
            return self._levels  # nothing changes within a microsecond but by an edge
        levels = 0
        for i in range(len(self._pins)):
            pin = self._pins[i]
            if pin >> 5 == index - 15:
                pull = self._board.pulls[pin]
                levels |= self._board.data_level(self._chips[i], pull, now) << (pin & 31)
        self._seen_at = now
        self._seen = index
        self._levels = levels
        return levels
