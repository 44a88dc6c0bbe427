"""On any MicroPython: everything of the node without sockets, as a transcript to compare.

`portable.py FOLDER`: prints JSON; `allocated` is what the path of a sample took of the heap, the rest must
be equal everywhere. Ints wider than a small int would be allocated, so on a 31-bit build `allocated` proves
that there are none.
"""

# ruff: noqa: PTH102, SIM105, UP031 - MicroPython has neither pathlib nor contextlib

import asyncio
import binascii
import gc
import hashlib
import json
import os
import sys
from array import array

import barnode.builder
import loader
from barnode.backlog import Backlog
from barnode.clock import Clock, since_ms
from barnode.config import Config
from barnode.crc32 import write_crc32
from barnode.frame import frame_length, seal
from barnode.update import Updater
from barnode.weight import Weight

NOT_READY = -0x800001


class Fake:
    """Milliseconds moved by hand, and pseudo-random numbers that are the same everywhere."""

    def __init__(self):
        self.ms = 0
        self.state = 12345

    def now_ms(self):
        return self.ms

    def below(self, n):
        self.state = (self.state * 69069 + 12345) & 0x7FFFFFFF
        return (self.state >> 3) % n


async def _at_once(_ms):
    pass


def hexadecimal(digest):
    return binascii.hexlify(digest.digest()).decode()


def clock(fake):
    digest = hashlib.sha256()
    device = Clock(0x3FFFFF00)
    ticks = 0x3FFFFF00
    buf = bytearray(8)
    for _ in range(3000):
        ticks = (ticks + fake.below(0x1FFFFFFF)) & 0x3FFFFFFF
        device.advance(ticks)
        device.write(buf, 0)
        digest.update(buf)
    return [hexadecimal(digest), device.us(), since_ms(5, 0x3FFFFFFB)]


def crc(fake):
    buf = bytearray(504)
    for i in range(500):
        buf[i] = fake.below(256)
    write_crc32(buf, 500)
    return binascii.hexlify(buf[500:]).decode()


class Line:
    """Builder and backlog over a clock moved by hand."""

    def __init__(self, fake, slots=24, cells=4):
        self.fake = fake
        barnode.builder.now_ms = fake.now_ms
        self.backlog = Backlog([bytearray(frame_length(10, cells)) for _ in range(slots)], cells)
        self.builder = barnode.builder.FrameBuilder(self.backlog, Clock(0), 0xFEDCBA98, 10, cells, 7)
        self.counts = array("i", [0] * cells)
        self.ticks = 0

    def take(self):
        self.ticks = (self.ticks + 12500) & 0x3FFFFFFF
        self.fake.ms = (self.fake.ms + 12) & 0x3FFFFFFF
        self.builder.take(self.ticks, self.counts)

    def random_counts(self):
        for i in range(len(self.counts)):
            code = self.fake.below(97) == 0
            self.counts[i] = NOT_READY - self.fake.below(5) if code else self.fake.below(0xFFFFFE) - 0x7FFFFF


def backlog(fake):
    """Outages and returns: what goes out and what is held at the end, byte by byte."""
    line = Line(fake)
    held = line.backlog
    digest = hashlib.sha256()
    flight = []
    for k in range(9000):
        line.random_counts()
        line.take()
        connected = k // 1500 % 2 == 1
        if connected and k % 3 == 0:
            slot = held.pick(fake.ms)
            if slot >= 0:
                n = seal(held.slots[slot], held.samples[slot], 4, held.flags(slot, fake.ms), held.oldest())
                held.note_sent(slot)
                digest.update(memoryview(held.slots[slot])[:n])
                flight.append((slot, held.sequence[slot]))
        if connected and k % 7 == 0 and flight:
            slot, sequence = flight.pop(0)
            held.acknowledge(slot, sequence, fake.ms, fake.below(5) == 0)
        if connected and k % 200 == 0:
            held.commit(max(-1, held.oldest() + fake.below(4) - 1), fake.ms)
            held.requeue_due(fake.ms)
    return [hexadecimal(digest), held.decimated(), held.dropped, held.dropped_samples, held.sent, held.resent]


def weight(fake):
    calibration = {
        "id": 3,
        "cells": [
            {"zero_count": 84213 - 50000 * i, "span_n_per_count": 0.000456 + i * 1e-6} for i in range(4)
        ],
    }
    figures = Weight(4, 0xFEDCBA98, calibration)
    counts = array("i", [0] * 4)
    told = []
    for k in range(400):
        for i in range(4):
            counts[i] = fake.below(0xFFFFFE) - 0x7FFFFF if k % 40 else NOT_READY
        figures.take(counts)
        if k % 21 == 20:
            told.append(json.loads(figures.report(k)))
    return told


def allocated(fake):
    """Bytes the path of a sample takes while the memory is full and frames are merged."""
    if not hasattr(gc, "mem_alloc"):
        return 0
    line = Line(fake)
    line.random_counts()
    figures = Weight(4, 1, None)
    for _ in range(2000):
        line.take()
        figures.take(line.counts)
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    merged = line.backlog.decimated()
    k = 0
    while k < 3000:
        line.take()
        figures.take(line.counts)
        k += 1
    after = gc.mem_alloc()
    gc.enable()
    return [after - before, line.backlog.decimated() > merged]


def finish(coroutine):
    """Run a coroutine that waits for nothing."""
    try:
        while True:
            coroutine.send(None)
    except StopIteration as stop:
        return stop.value


def refused(coroutine):
    try:
        finish(coroutine)
    except ValueError as error:
        return str(error)
    raise AssertionError("a refusal was expected")


def update(folder):
    asyncio.sleep_ms = _at_once
    files = {"barnode/node.py": b"print(1)\n" * 200, "barnode/__init__.py": b'VERSION = "2"\n'}
    files["barnode/start.py"] = b"print(2)\n"
    lines = ["ashibar-manifest 1 2"]
    for path in sorted(files):
        digest = hexadecimal(hashlib.sha256(files[path]))
        lines.append("%s %d %s" % (digest, len(files[path]), path))
    files["manifest.txt"] = ("\n".join(lines) + "\n").encode()
    told = []
    loader.choose(folder)
    updater = Updater(loader, lambda: None)
    manifest = hexadecimal(hashlib.sha256(files["manifest.txt"]))
    told.append(finish(updater.command({"step": "begin", "manifest": manifest})))
    for path in ("manifest.txt", "barnode/__init__.py", "barnode/node.py", "barnode/start.py"):
        for at in range(0, len(files[path]), 768):
            data = binascii.b2a_base64(files[path][at : at + 768]).decode()
            put = {"step": "put", "path": path, "at": at, "data": data}
            told.append(finish(updater.command(put)))
            told.append(refused(updater.command(put)))
    told.append(finish(updater.command({"step": "finish"})))
    path = list(sys.path)
    for _ in range(3):
        loader.choose(folder)
        told.append([loader.slot, loader.trial, loader.failed])
    sys.path[:] = path
    return told


def main(folder):
    fake = Fake()
    try:
        os.mkdir(folder)
    except OSError:
        pass
    print(
        json.dumps(
            {
                "clock": clock(fake),
                "crc": crc(fake),
                "backlog": backlog(fake),
                "weight": weight(fake),
                "problems": len(Config({"studio": "A", "broker": {"host": 5, "port": 1 << 40}}).problems),
                "update": update(folder),
                "allocated": allocated(fake),
            }
        )
    )


main(sys.argv[1])
