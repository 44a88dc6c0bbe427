"""A node on real MicroPython as a child process, and a host of a few lines that stores frames and says
`committed`."""

import json
import re
import struct
import subprocess
import threading
import zlib

import paho.mqtt.client as mqtt
from firmware_paths import ON_DEVICE, device_command

ROOT_TOPIC = "ashibar/v1/studio/bars/"


def node_config(port, **changes):
    """The least configuration of a node for the broker on `port`."""
    broker = {"host": "127.0.0.1", "port": port, "protocol": changes.pop("protocol", "auto")}
    return {"studio": "studio", "node": "bars", "broker": broker, **changes}


class Node:
    """`run_node.py` with its output collected; `stop` ends its input and answers the counters."""

    def __init__(self, micropython, config, heapsize="224k"):
        command, env = device_command(micropython, ON_DEVICE / "run_node.py", heapsize, [json.dumps(config)])
        self.lines = []
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            with self._news:
                self.lines.append(line.strip())
                self._news.notify_all()

    def wait_for_line(self, part, within_s):
        with self._news:
            found = self._news.wait_for(lambda: [line for line in self.lines if part in line], within_s)
        assert found, f"a line with {part!r} expected within {within_s} s, these came: {self.lines}"
        return found[0]

    def wait_for_pattern(self, pattern, within_s):
        """The first line that holds the regular expression."""
        with self._news:
            self._news.wait_for(lambda: any(re.search(pattern, line) for line in self.lines), within_s)
            found = [line for line in self.lines if re.search(pattern, line)]
        assert found, f"a line with {pattern!r} expected within {within_s} s, these came: {self.lines}"
        return found[0]

    def stop(self):
        self._process.stdin.close()
        self._end()
        return json.loads(self.lines[-1])

    def kill(self):
        self._process.kill()
        self._end()

    def _end(self):
        self._process.wait(10)
        self._reader.join(10)
        self._process.stdin.close()
        self._process.stdout.close()


class StubHost:
    """Stores frames by sequence; says `committed` twice a second while connected."""

    def __init__(self, port):
        self._port = port
        self.frames = {}
        self.flags = []
        self.states = []
        self.replies = []
        self._news = threading.Condition()
        self._stop = threading.Event()
        self._client = None
        self._committer = threading.Thread(target=self._commit)
        self._committer.start()

    def connect(self):
        """A fresh connection and subscription."""
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "host", protocol=mqtt.MQTTv311)
        self._client.on_message = self._on_message
        subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.connect("127.0.0.1", self._port)
        self._client.subscribe("ashibar/#", 1)
        self._client.loop_start()
        assert subscribed.wait(5)

    def disconnect(self):
        client, self._client = self._client, None
        client.disconnect()
        client.loop_stop()

    def close(self):
        self._stop.set()
        self._committer.join()
        if self._client is not None:
            self.disconnect()

    def command(self, request):
        self._client.publish(ROOT_TOPIC + "command", json.dumps(request), 1)

    def _on_message(self, _client, _userdata, message):
        name = message.topic.rsplit("/", 1)[-1]
        with self._news:
            if name == "samples":
                frame = message.payload
                assert struct.unpack("<I", frame[-4:])[0] == zlib.crc32(frame[:-4])
                self.boot, sequence = struct.unpack_from("<II", frame, 4)
                self.frames.setdefault(sequence, frame)
                self.flags.append((sequence, frame[3]))
            elif name == "state":
                self.states.append(json.loads(message.payload)["state"])
            elif name == "reply":
                self.replies.append(json.loads(message.payload))
            self._news.notify_all()

    def _commit(self):
        while not self._stop.wait(0.5):
            client = self._client
            if client is not None and self.frames:
                upto = -1
                while upto + 1 in self.frames:
                    flags = self.frames[upto + 1][3]
                    upto += 1 << (flags >> 4) if flags & 8 else 1
                client.publish(
                    ROOT_TOPIC + "committed", json.dumps({"boot": self.boot, "upto": upto}), 1, retain=True
                )

    def wait_until(self, condition, within_s):
        with self._news:
            assert self._news.wait_for(condition, within_s), f"{len(self.frames)} frames, {self.states}"

    def samples(self):
        """Every count received, by sample index: {index: (count of each cell)}."""
        found = {}
        for frame in self.frames.values():
            index = struct.unpack_from("<I", frame, 20)[0]
            n, cells = frame[26], frame[27]
            counts = struct.unpack_from(f"<{n * cells}i", frame, 32 + 2 * n)
            for k in range(n):
                assert index + k not in found
                found[index + k] = counts[k * cells : (k + 1) * cells]
        return found
