"""Nodes by docs/protocol.md, many in one cheap process: `synthetic_node.py CONFIG.json`. MQTT 5, real time.

They sample at 80 a second whatever the network does and hold every frame until `committed` covers it. What
was taken is counted in a mapped file a boot (`NAME-BOOT.taken`, frames as u64), which outlives a SIGKILL.
SIGTERM ends the sampling; the process ends by itself once everything is committed, and prints a line of JSON.
"""

import asyncio
import contextlib
import json
import mmap
import random
import signal
import socket
import struct
import sys
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nodes import about, frame

RATE_HZ = 80
KEEPALIVE_S = 5
RECONNECT_S = 1.0
RESEND_AFTER_S = 5.0
ALIVE_WITHIN_S = 5.0
BACKLOG_AFTER_S = 1.0
IN_FLIGHT = 8
NO_SUBSCRIBERS = 0x10


def text(value):
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("!H", len(data)) + data


def packet(kind, body):
    length, size = b"", len(body)
    while True:
        size, digit = divmod(size, 128)
        length += bytes([digit | (0x80 if size else 0)])
        if not size:
            return bytes([kind]) + length + body


def packets(buffer):
    """Take whole packets out of a bytearray: kind and body of each."""
    while len(buffer) >= 2:
        size, shift, at = 0, 0, 1
        while True:
            if at >= len(buffer):
                return
            size |= (buffer[at] & 127) << shift
            shift += 7
            at += 1
            if not buffer[at - 1] & 128:
                break
        if len(buffer) < at + size:
            return
        body = bytes(buffer[at : at + size])
        kind = buffer[0]
        del buffer[: at + size]
        yield kind, body


class Taken:
    """The number of frames taken, in a mapped file."""

    def __init__(self, path):
        path.write_bytes(bytes(8))
        with path.open("r+b") as file:
            self.map = mmap.mmap(file.fileno(), 8)

    def set(self, count):
        self.map[:] = struct.pack("<Q", count)


class Node:
    """One node: its clock, its backlog and its connection."""

    def __init__(self, config, name, directory):
        self.port, self.samples = config["port"], config.get("samples_per_frame", 10)
        self.root = f"ashibar/v1/{config['studio']}/{name}"
        self.name = name
        self.boot = random.SystemRandom().getrandbits(32)
        self.taken_file = Taken(directory / f"{name}-{self.boot}.taken")
        self.begin = time.monotonic()
        self.taken = 0
        self.held = {}  # seq -> [state, when it was taken or sent]; in order
        self.unsent = []
        self.in_flight = {}  # message id -> seq
        self.upto, self.committed_at = -1, 0.0
        self.mid = 0
        self.transport = None
        self.online = False
        self.sampling = True
        self.refused = self.resent = self.reconnects = 0

    async def sample(self):
        """Take samples by the clock; a frame is taken with its last sample."""
        period = self.samples / RATE_HZ
        while self.sampling:
            due = self.begin + (self.taken + 1) * period
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self.taken_file.set(self.taken + 1)
            self.held[self.taken] = time.monotonic()
            self.unsent.append(self.taken)
            self.taken += 1
            self.pump()

    def pump(self):
        while self.online and self.unsent and len(self.in_flight) < IN_FLIGHT:
            seq = self.unsent.pop(0)
            if seq in self.held:
                self.send(seq)

    def send(self, seq, *, again=False):
        self.mid = self.mid % 65535 + 1
        while self.mid in self.in_flight:
            self.mid = self.mid % 65535 + 1
        self.in_flight[self.mid] = seq
        late = time.monotonic() - (self.begin + (seq + 1) * self.samples / RATE_HZ) > BACKLOG_AFTER_S
        oldest = next(iter(self.held), seq)
        payload = frame(self.boot, seq, samples=self.samples, flags=int(late), oldest=min(oldest, seq))
        body = text(f"{self.root}/samples") + struct.pack("!HB", self.mid, 0) + payload
        self.write(packet(0x3A if again else 0x32, body))

    def write(self, data):
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def say(self, kind, payload, *, retain=False):
        self.write(packet(0x31 if retain else 0x30, text(f"{self.root}/{kind}") + b"\x00" + payload))

    # The connection

    async def stay_connected(self):
        loop = asyncio.get_running_loop()
        while True:
            with contextlib.suppress(OSError, asyncio.TimeoutError):
                lost = loop.create_future()
                await asyncio.wait_for(
                    loop.create_connection(partial(Connection, self, lost), "127.0.0.1", self.port), 3
                )
                await lost
            self.online = False
            self.reconnects += 1
            await asyncio.sleep(RECONNECT_S)

    def connected(self):
        self.online = True
        self.say("state", json.dumps({"state": "online", "boot": self.boot}).encode(), retain=True)
        self.say("about", about(self.boot), retain=True)
        waiting, self.in_flight = sorted(set(self.in_flight.values())), {}
        for seq in waiting:
            if seq in self.held:
                self.resent += 1
                self.send(seq, again=True)
        self.pump()

    def acknowledged(self, mid, reason):
        seq = self.in_flight.pop(mid, None)
        if seq is None or seq not in self.held:
            pass
        elif reason >= 0x80 or reason == NO_SUBSCRIBERS:
            self.refused += 1
            asyncio.get_running_loop().call_later(1.0, self.queue_again, seq)
        else:
            self.held[seq] = time.monotonic()
        self.pump()

    def queue_again(self, seq):
        if seq in self.held and seq not in self.unsent and seq not in self.in_flight.values():
            self.resent += 1
            self.unsent.append(seq)
            self.unsent.sort()
            self.pump()

    def committed(self, said):
        if said["boot"] != self.boot:
            return
        self.committed_at = time.monotonic()
        self.upto = max(self.upto, said["upto"])
        for seq in [seq for seq in self.held if seq <= self.upto]:
            del self.held[seq]

    async def look_after(self):
        """Send again what the broker has taken and the host has not committed, while the host is alive."""
        ticks = 0
        while True:
            await asyncio.sleep(0.5)
            ticks += 1
            now = time.monotonic()
            if self.online and now - self.committed_at < ALIVE_WITHIN_S:
                flying, queued = set(self.in_flight.values()), set(self.unsent)
                for seq, at in list(self.held.items()):
                    if now - at > RESEND_AFTER_S and seq not in flying and seq not in queued:
                        self.held[seq] = now
                        self.queue_again(seq)
            if ticks % 20 == 0:
                self.tell_health()

    def tell_health(self):
        samples = self.taken * self.samples
        said = {"boot": self.boot, "uptime_s": int(time.monotonic() - self.begin), "samples": samples}
        self.say("health", json.dumps(said | {"frames": self.taken, "held": len(self.held)}).encode())


class Connection(asyncio.Protocol):
    """One MQTT 5 connection of a node."""

    def __init__(self, node, lost):
        self.node, self.lost, self.buffer = node, lost, bytearray()
        self.heard = time.monotonic()

    def connection_made(self, transport):
        node = self.node
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        node.transport = self.transport = transport
        will = json.dumps({"state": "lost", "boot": node.boot}).encode()
        body = text("MQTT") + b"\x05" + bytes([0x02 | 0x04 | 0x08 | 0x20]) + struct.pack("!H", KEEPALIVE_S)
        body += b"\x00" + text(f"node-{node.name}") + b"\x00" + text(f"{node.root}/state") + text(will)
        transport.write(packet(0x10, body))
        self.ping = asyncio.get_running_loop().create_task(self.keep_alive())

    async def keep_alive(self):
        while not self.transport.is_closing():
            await asyncio.sleep(KEEPALIVE_S / 3)
            if time.monotonic() - self.heard > 1.5 * KEEPALIVE_S:
                self.transport.abort()
            self.node.write(b"\xc0\x00")

    def data_received(self, data):
        self.heard = time.monotonic()
        self.buffer += data
        for kind, body in packets(self.buffer):
            self.take(kind & 0xF0, kind, body)

    def take(self, kind, first, body):
        node = self.node
        if kind == 0x20:
            if body[1]:
                self.transport.abort()
                return
            body = struct.pack("!HB", 1, 0) + text(f"{node.root}/committed") + b"\x01"
            node.write(packet(0x82, body))
        elif kind == 0x90:
            node.connected()
        elif kind == 0x40:
            node.acknowledged(struct.unpack_from("!H", body)[0], body[2] if len(body) > 2 else 0)
        elif kind == 0x30:
            at = 2 + struct.unpack_from("!H", body)[0]
            if first & 6:
                node.write(packet(0x40, body[at : at + 2]))
                at += 2
            node.committed(json.loads(body[at + 1 + body[at] :]))

    def connection_lost(self, _error):
        self.ping.cancel()
        if self.node.transport is self.transport:
            self.node.online = False
        if not self.lost.done():
            self.lost.set_result(None)


async def main(config):
    directory = Path(config["directory"])
    nodes = [Node(config, name, directory) for name in config["nodes"]]
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    tasks = [loop.create_task(work()) for node in nodes
             for work in (node.sample, node.stay_connected, node.look_after)]  # fmt: skip
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(ended.wait(), config.get("seconds"))
    for node in nodes:
        node.sampling = False
    await asyncio.sleep(0.3)
    while any(node.held for node in nodes):  # noqa: ASYNC110 (it is looked at, not told)
        await asyncio.sleep(0.1)
    for node in nodes:
        node.tell_health()
        node.say("state", json.dumps({"state": "offline", "boot": node.boot}).encode(), retain=True)
    await asyncio.sleep(0.2)
    for task in tasks:
        task.cancel()
    for node in nodes:
        print(json.dumps({"node": node.name, "boot": node.boot, "frames": node.taken, "resent": node.resent,
                          "refused": node.refused, "reconnects": node.reconnects}), flush=True)  # fmt: skip


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
