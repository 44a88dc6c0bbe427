"""The sample frame of docs/protocol.md, written into a preallocated buffer. It knows bytes, not time nor
delivery."""

from micropython import const

from barnode.crc32 import write_crc32

HEADER = const(32)
BACKLOG = const(1)
LOST_BEFORE = const(2)
OVERLOAD = const(4)
DECIMATED = const(8)
SPACING_MAX = const(65535)  # units of 10 us


def frame_length(samples, cells):
    """Bytes of a frame of `samples` samples of `cells` cells, checksum included."""
    return HEADER + samples * (2 + 4 * cells) + 4


def write_u32(buf, at, low, high):
    """Write high << 16 | low, little-endian: 32 bits without ever holding an int of 32 bits."""
    buf[at] = low & 255
    buf[at + 1] = low >> 8
    buf[at + 2] = high & 255
    buf[at + 3] = high >> 8


class FrameWriter:
    """Fills one buffer at a time, sample by sample, without allocation.

    `samples` and `cells` are the shape the buffer is laid out for; `boot` is the u32 boot id. A frame closed
    early is moved together. Flags, oldest held and the checksum are sealed in when it is sent, not here.
    """

    def __init__(self, samples, cells, boot, calibration=0):
        if not 1 <= samples <= 255 or not 1 <= cells <= 16:
            raise ValueError("1 to 255 samples of 1 to 16 cells expected, %d of %d came" % (samples, cells))
        self.samples = samples
        self.cells = cells
        self.calibration = calibration
        self.count = 0
        self._boot = bytes([boot & 255, boot >> 8 & 255, boot >> 16 & 255, boot >> 24 & 255])
        self._buf = bytearray(0)
        self._spacings = 0
        self._counts = 0

    def open(self, buf, sequence, clock, index_low, index_high):
        """Start a frame in `buf`: `sequence` below 2**32, time from `clock`, index in halves of 16 bits."""
        self._buf = buf
        self.count = 0
        self._spacings = HEADER
        self._counts = HEADER + 2 * self.samples
        buf[0] = 0x41
        buf[1] = 0x42
        buf[2] = 1
        buf[3] = 0
        boot = self._boot
        buf[4] = boot[0]
        buf[5] = boot[1]
        buf[6] = boot[2]
        buf[7] = boot[3]
        write_u32(buf, 8, sequence & 0xFFFF, sequence >> 16)
        clock.write(buf, 12)
        write_u32(buf, 20, index_low, index_high)
        buf[24] = self.calibration & 255
        buf[25] = self.calibration >> 8
        buf[27] = self.cells

    def add(self, spacing, counts):
        """Append a sample: `spacing` since the one before in units of 10 us, `counts` indexable by cell."""
        buf = self._buf
        at = self._spacings
        buf[at] = spacing & 255
        buf[at + 1] = spacing >> 8
        self._spacings = at + 2
        at = self._counts
        for cell in range(self.cells):
            count = counts[cell]
            buf[at] = count & 255
            buf[at + 1] = (count >> 8) & 255
            buf[at + 2] = (count >> 16) & 255
            buf[at + 3] = (count >> 24) & 255
            at += 4
        self._counts = at
        self.count += 1

    def full(self):
        """Whether the next sample needs another frame."""
        return self.count >= self.samples

    def close(self):
        """End the frame with the samples it has; answers their number (at least 1 must have been added)."""
        buf = self._buf
        count = self.count
        buf[26] = count
        if count < self.samples:
            source = HEADER + 2 * self.samples
            target = HEADER + 2 * count
            for i in range(4 * count * self.cells):
                buf[target + i] = buf[source + i]
        self.count = 0
        return count


def seal(buf, samples, cells, flags, oldest):
    """Set what is known only when the frame is sent (flags, oldest held) and its checksum; answers its
    length."""
    n = HEADER + samples * (2 + 4 * cells)
    buf[3] = flags
    write_u32(buf, 28, oldest & 0xFFFF, oldest >> 16)
    write_crc32(buf, n)
    return n + 4
