"""A node of the test's own: frames by the contract, sent until `committed` covers them."""

from __future__ import annotations

import json
import struct
import threading
import time
import zlib

import numpy as np
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

SPAN_N_PER_COUNT = 0.001
ZERO_COUNT = 1000


def frame(
    boot,
    seq,
    *,
    samples=10,
    cells=4,
    flags=0,
    oldest=0,
    index=None,
    device_us=None,
    counts=None,
    calibration=1,
):
    """Return the bytes of a frame, written from docs/protocol.md, not with the host's encoder."""
    index = seq * samples if index is None else index
    device_us = index * 12_500 if device_us is None else device_us
    if counts is None:
        counts = (np.arange(samples * cells, dtype="<i4") + seq % 1000) % 1000 + ZERO_COUNT
    head = struct.pack(
        "<2sBBIIQIHBBI", b"AB", 1, flags, boot, seq, device_us, index, calibration, samples, cells, oldest
    )
    spacing = np.full(samples, 1250, "<u2")
    spacing[0] = 0
    body = head + spacing.tobytes() + np.asarray(counts, "<i4").tobytes()
    return body + struct.pack("<I", zlib.crc32(body))


def about(boot, *, cells=4, unix_s=None):
    """Return the JSON of an `about` with a calibration made just now."""
    names = ["left-head", "left-foot", "right-head", "right-foot"]
    calibration = [{"zero_count": ZERO_COUNT, "span_n_per_count": SPAN_N_PER_COUNT}] * cells
    unix_s = time.time() if unix_s is None else unix_s
    return json.dumps(
        {
            "boot": boot,
            "cells": [{"name": name, "capacity_n": 1961.33} for name in names[:cells]],
            "calibration": {"id": 1, "by": "test", "unix_s": unix_s, "cells": calibration},
            "zeros": {"factory": [0] * cells, "calibration": [ZERO_COUNT] * cells, "session": None},
        }
    ).encode()


def document(port, path, **more):
    """Return a configuration of one rig of four cells on node bars-1, as the TOML file would read."""
    cells = [
        {"hanger": hanger, "node": "bars-1", "channel": channel, "capacity_kg": 200, "class": "C3"}
        for channel, hanger in enumerate(("left-head", "left-foot", "right-head", "right-foot"))
    ]
    return {
        "studio": {"name": "quiet-room"},
        "mqtt": {"port": port},
        "journal": {"path": str(path)},
        "web": {"port": 0},
        "rig": [{"name": "room-1", "cell": cells}],
        "session": {"body_weight_kg": 60, "source": "scale"},
    } | more


class TestNode:
    """Publishes frames with QoS 1, keeps each until `committed` covers it, sends again what is not."""

    __test__ = False
    RESEND_S = 1.0

    def __init__(self, port, *, studio="quiet-room", name="bars-1", boot=7):
        self.root = f"ashibar/v1/{studio}/{name}"
        self.boot, self.upto, self.held = boot, -1, {}
        self.committed_seen = threading.Event()
        self.introduced = threading.Event()  # its own `state` and `about` are on their way
        self.sent_at = {}
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"node-{name}")
        self.client.reconnect_delay_set(0.1, 0.2)
        self.client.max_inflight_messages_set(200)
        self.client.on_connect = self._on_connect
        self.client.on_message = self._on_message
        self.client.connect("127.0.0.1", port, keepalive=5)
        self.client.loop_start()

    def _on_connect(self, client, *_):
        client.subscribe(f"{self.root}/committed", 1)
        client.publish(
            f"{self.root}/state", json.dumps({"state": "online", "boot": self.boot}), 1, retain=True
        )
        client.publish(f"{self.root}/about", about(self.boot), 1, retain=True)
        self.introduced.set()

    def _on_message(self, _client, _data, message):
        said = json.loads(message.payload)
        if said["boot"] == self.boot:
            self.upto = max(self.upto, said["upto"])
            for seq in [seq for seq in self.held if seq <= self.upto]:
                self.held.pop(seq, None)
            self.committed_seen.set()

    def send(self, seq, payload=None, **fields):
        payload = (
            frame(self.boot, seq, oldest=min([*self.held, seq]), **fields) if payload is None else payload
        )
        self.held[seq] = payload
        self.sent_at[seq] = time.monotonic()
        self.client.publish(f"{self.root}/samples", payload, 1)

    def play(self, count, *, first=0, samples=2, **fields):
        """Send frames as they would be sampled at 80 samples a second, in real time."""
        begin = time.monotonic() - first * samples * 0.0125
        for seq in range(first, first + count):
            time.sleep(max(0.0, begin + (seq + 1) * samples * 0.0125 - time.monotonic()))
            self.send(seq, samples=samples, **fields)

    def resend(self):
        """Send again what is held for longer than RESEND_S."""
        now = time.monotonic()
        for seq in sorted(self.held):
            if now - self.sent_at[seq] > self.RESEND_S and seq in self.held:
                self.sent_at[seq] = now
                self.client.publish(f"{self.root}/samples", self.held[seq], 1)

    def stop(self):
        self.client.disconnect()
        self.client.loop_stop()
