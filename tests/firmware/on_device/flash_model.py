"""On MicroPython: a flash chip that logs every byte it stores, so that power can be cut after any of them."""

ERASED = 0xFF
BLOCK = 4096


class Flash:
    """Block device with the extended interface. `log` gets (offset, bytes or None for an erased block)."""

    def __init__(self, blocks, image=None, log=None):
        self.image = image if image is not None else bytearray(b"\xff" * (blocks * BLOCK))
        self._log = log

    def readblocks(self, block, buf, offset=0):
        start = block * BLOCK + offset
        buf[:] = memoryview(self.image)[start : start + len(buf)]

    def writeblocks(self, block, buf, offset=0):
        start = block * BLOCK + offset
        if self._log is not None:
            self._log.append((start, bytes(buf)))
        self.image[start : start + len(buf)] = buf

    def ioctl(self, op, argument):
        if op == 4:
            return len(self.image) // BLOCK
        if op == 5:
            return BLOCK
        if op == 6:
            start = argument * BLOCK
            if self._log is not None:
                self._log.append((start, None))
            self.image[start : start + BLOCK] = b"\xff" * BLOCK
        return 0


class Replay:
    """The flash as it was after the first n bytes of a log; `to` moves on, never back.

    An erase counts as BLOCK bytes and goes through the block from its start: half of it may be done.
    """

    def __init__(self, image, log):
        self.image = bytearray(image)
        self._log = log
        self._at = 0
        self._done = 0
        self.bytes = 0

    def to(self, n):
        while self.bytes < n:
            start, data = self._log[self._at]
            size = BLOCK if data is None else len(data)
            step = min(size - self._done, n - self.bytes)
            first = start + self._done
            piece = b"\xff" * step if data is None else data[self._done : self._done + step]
            self.image[first : first + step] = piece
            self._done += step
            self.bytes += step
            if self._done == size:
                self._at += 1
                self._done = 0


def length(log):
    return sum(BLOCK if data is None else len(data) for _, data in log)
