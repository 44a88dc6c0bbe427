"""The memory of the backlog: as many frame buffers as the heap gives after the rest has had its part."""

import gc
import sys

BACKLOG_S = 60
_WIDE = sys.maxsize > 0x7FFFFFFF  # the unix port: a word is 8 bytes, and so is every reference
RESERVE = 64000 if _WIDE else 30000  # what running takes at its peak, with room for fragments
_BLOCK = 32 if _WIDE else 16
_PER_SLOT = 78 if _WIDE else 46  # buffer object, list entry and the backlog's arrays


def frames_that_fit(frame_bytes, free, wanted):
    """How many of `wanted` frames fit `free` bytes of heap; at least 4, however short it is."""
    cost = (frame_bytes + _BLOCK - 1) // _BLOCK * _BLOCK + _PER_SLOT
    return max(4, min(wanted, (free - RESERVE) // cost))


def allocate(frame_bytes, wanted):
    """A list of buffers, each of `frame_bytes`: `wanted` or as many as fit. One by one, so that a split heap
    serves too."""
    gc.collect()
    free = gc.mem_free() if hasattr(gc, "mem_free") else 1 << 28
    slots = []
    try:
        for _ in range(frames_that_fit(frame_bytes, free, wanted)):
            slots.append(bytearray(frame_bytes))
    except MemoryError:
        del slots[len(slots) * 3 // 4 :]
    return slots
