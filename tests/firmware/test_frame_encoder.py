"""The firmware's frame encoder, on real MicroPython, against the golden frames and zlib."""

import json
import random
import struct
import zlib
from pathlib import Path

from firmware_paths import GOLDEN

ENCODE = Path(__file__).parent / "on_device" / "encode_golden.py"


def test_every_golden_frame_is_encoded_byte_for_byte(run_micropython):
    frames = sorted(path for path in GOLDEN.glob("*.json") if "counts" in json.loads(path.read_text()))
    assert len(frames) >= 20
    assert run_micropython(ENCODE, args=frames).split()[-1] == str(len(frames))


def test_both_checksums_agree_with_zlib(run_micropython):
    random.seed(1)
    blobs = [random.randbytes(n) for n in (0, 1, 2, 31, 212, 1000)] + [bytes(64), b"\xff" * 64]
    code = [
        "from barnode import crc32, crc32_plain, crc32_viper",
        "assert crc32.write_crc32 is crc32_viper.write_crc32",
        "for blob in (" + ",".join(map(repr, blobs)) + "):",
        "    for module in (crc32_plain, crc32_viper):",
        "        buf = bytearray(blob) + bytearray(4)",
        "        module.write_crc32(buf, len(blob))",
        "        print(bytes(buf[-4:]).hex())",
    ]
    printed = run_micropython("\n".join(code)).split()
    expected = [struct.pack("<I", zlib.crc32(blob)).hex() for blob in blobs for _ in range(2)]
    assert printed == expected


def test_samples_frames_and_checksums_take_no_memory_once_running(run_micropython):
    code = """
import gc
from array import array
from barnode.backlog import Backlog
from barnode.builder import FrameBuilder
from barnode.clock import Clock
from barnode.frame import frame_length, seal
from barnode.weight import Weight

backlog = Backlog([bytearray(frame_length(10, 4)) for _ in range(20)])
builder = FrameBuilder(backlog, Clock(0), 0xFFFFFFFF, 10, 4)
weight = Weight(4, 1, {"id": 1, "cells": [{"zero_count": 84213, "span_n_per_count": 0.000234}] * 4})
counts = array("i", [-0x800005, 0x7FFFFF, -0x800000, 84213])

def feed(samples, ticks):
    for i in range(samples):
        if builder.take(ticks, counts):
            slot = backlog.pick(ticks & 1023)
            seal(backlog.slots[slot], backlog.samples[slot], 4, backlog.flags(slot, 0), backlog.oldest())
            backlog.note_sent(slot)
            backlog.acknowledge(slot, backlog.sequence[slot], 0)
            if i & 1:
                backlog.commit(backlog.sequence[slot], 0)
        weight.take(counts)
        ticks = (ticks + 12500) & 0x3FFFFFFF
    return ticks

ticks = feed(100, 0x3FFFFFFF - 2000000)  # the chip's counter wraps on the way
gc.collect()
gc.disable()
before = gc.mem_alloc()
feed(1000, ticks)
after = gc.mem_alloc()
print(after - before, builder.frames, backlog.dropped + backlog.let_go > 0 or backlog.held < 20)
"""
    assert run_micropython(code).split() == ["0", "110", "True"]
