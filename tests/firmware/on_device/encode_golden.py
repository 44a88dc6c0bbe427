"""On MicroPython: encodes each golden frame named in the arguments and compares it with its bytes."""

import json
import sys

from barnode.clock import Clock
from barnode.frame import FrameWriter, frame_length, seal


def encode(golden, room):
    clock = Clock(0)
    us = golden["device_us"]
    clock.low, clock.middle, clock.high = us & 0xFFFFFF, us >> 24 & 0xFFFFFF, us >> 48
    index = golden["sample_index"]
    writer = FrameWriter(room, golden["cells"], golden["boot"], golden["calibration_id"])
    buf = bytearray(frame_length(room, golden["cells"]))
    writer.open(buf, golden["seq"], clock, index & 0xFFFF, index >> 16)
    for spacing, counts in zip(golden["spacing_10us"], golden["counts"]):  # noqa: B905 - MicroPython has no strict
        writer.add(spacing, counts)
    samples = writer.close()
    n = seal(buf, samples, golden["cells"], golden["flags"], golden["oldest_seq"])
    return bytes(buf[:n])


same = 0
for path in sys.argv[1:]:
    with open(path) as file:  # noqa: PTH123 - no pathlib on the chip
        golden = json.load(file)
    with open(path[:-5] + ".bin", "rb") as file:  # noqa: PTH123
        wanted = file.read()
    for room in (golden["samples"], min(255, golden["samples"] + 3)):  # full, and closed early
        assert encode(golden, room) == wanted, path
    same += 1
print(same)
