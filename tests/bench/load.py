"""What the benchmarks measure with: frames with real noise, a preloaded queue, processor time of others."""

import json
import socket
import struct
import threading
import time
import zlib

import numpy as np

SAMPLES, CELLS = 10, 4
STEP_US = 12_500
NOISE_COUNT = 60  # standard deviation, as hardware/ gives it for an HX711 at 80 SPS
STUDIO = "quiet-room"
SPAN_N_PER_COUNT = 0.0005
ZERO_COUNT = 100_000


class Frames:
    """The frames of one node, by sequence; the last quarter second of 16 s of noise and sway goes round."""

    def __init__(self, seed, boot):
        chance = np.random.default_rng(seed)
        time_s = np.arange(1280)[:, None] * 0.0125
        sway = 60_000 * np.sin(time_s * 2 * np.pi / (4 + np.arange(CELLS)))
        noise = chance.normal(0, NOISE_COUNT, (1280, CELLS))
        self.boot = boot
        self.counts = np.rint(ZERO_COUNT + sway + noise).astype("<i4")
        spacing = np.full(SAMPLES, STEP_US // 10, "<u2")
        spacing[0] = 0
        self.spacing = spacing.tobytes()

    def frame(self, seq, *, flags=0, oldest=0):
        """Return the bytes of a frame, by docs/protocol.md."""
        at = seq % 128 * SAMPLES
        index = seq * SAMPLES
        head = struct.pack(
            "<2sBBIIQIHBBI",
            b"AB",
            1,
            flags,
            self.boot,
            seq,
            index * STEP_US,
            index,
            1,
            SAMPLES,
            CELLS,
            oldest,
        )
        body = head + self.spacing + self.counts[at : at + SAMPLES].tobytes()
        return body + struct.pack("<I", zlib.crc32(body))


def about(boot):
    names = ["left-head", "left-foot", "right-head", "right-foot"]
    calibration = [{"zero_count": ZERO_COUNT, "span_n_per_count": SPAN_N_PER_COUNT}] * CELLS
    return json.dumps(
        {
            "boot": boot,
            "cells": [{"name": name, "capacity_n": 1961.33} for name in names],
            "calibration": {"id": 1, "by": "bench", "unix_s": time.time(), "cells": calibration},
            "zeros": {"factory": [0] * CELLS, "calibration": [ZERO_COUNT] * CELLS, "session": None},
        }
    ).encode()


def text(value):
    data = value.encode()
    return struct.pack("!H", len(data)) + data


def packet(kind, body):
    length, size = b"", len(body)
    while True:
        size, digit = divmod(size, 128)
        length += bytes([digit | (0x80 if size else 0)])
        if not size:
            return bytes([kind]) + length + body


class RawPublisher:
    """MQTT 3.1.1 on a plain socket: QoS 1 at the speed of the broker, acknowledgements only counted."""

    def __init__(self, port, name="bench-publisher"):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(packet(0x10, text("MQTT") + b"\x04\x02\x00\x00" + text(name)))
        self.socket.recv(4)
        self.sent = self.acknowledged = 0
        self.rest = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        held = b""
        while True:
            try:
                data = self.socket.recv(65536)
            except OSError:
                return
            if not data:
                return
            held += data
            whole = len(held) // 4
            held = held[whole * 4 :]
            with self.rest:
                self.acknowledged += whole
                self.rest.notify_all()

    def publish(self, topic, payload, *, retain=False):
        self.sent += 1
        body = text(topic) + struct.pack("!H", (self.sent - 1) % 65535 + 1) + payload
        self.socket.sendall(packet(0x33 if retain else 0x32, body))

    def wait(self, within_s=60, behind=0):
        with self.rest:
            done = self.rest.wait_for(lambda: self.acknowledged >= self.sent - behind, within_s)
        assert done, f"{self.acknowledged} of {self.sent} acknowledged"

    def close(self):
        self.socket.sendall(b"\xe0\x00")
        self.socket.close()


def topic(node, kind="samples"):
    return f"ashibar/v1/{STUDIO}/{node}/{kind}"
