"""Virtual nodes: the real firmware as a child process against a real broker, and nothing left behind."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import paho.mqtt.client as mqtt
import pytest
from ashibar.core.frame import decode
from ashibar.core.trace import Trace
from ashibar.node import NodeError, VirtualNode, find_runtime

STEADY = Trace(np.array([0.0, 1.0]), np.array([[100.0, 0.0, -50.0], [100.0, 0.0, -50.0]]), ("0", "1", "2"))


class Frames:
    """Subscribes to all samples; `wait` until enough of them are there."""

    def __init__(self, port):
        self.frames = []
        self._news = threading.Condition()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self._client.on_message = self._take
        subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.connect("127.0.0.1", port)
        self._client.subscribe("ashibar/v1/+/+/samples", 1)
        self._client.loop_start()
        assert subscribed.wait(5)

    def _take(self, _client, _userdata, message):
        with self._news:
            self.frames.append(decode(message.payload))
            self._news.notify_all()

    def wait(self, condition, within_s=20):
        with self._news:
            assert self._news.wait_for(lambda: condition(self.frames), within_s), len(self.frames)

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def frames(mosquitto):
    listener = Frames(mosquitto.port)
    yield listener
    listener.close()


@pytest.fixture
def make_node(mosquitto, tmp_path):
    """Virtual nodes that are gone when the test is over."""
    nodes = []

    def make(**options):
        node = VirtualNode(
            "127.0.0.1",
            mosquitto.port,
            "demo",
            "bars",
            options.pop("trace", STEADY),
            work_dir=tmp_path,
            **options,
        )
        nodes.append(node)
        node.start()
        return node

    yield make
    for node in nodes:
        node.kill()


@pytest.mark.parametrize("choice", ["micropython", "cpython"])
def test_what_is_published_is_the_trace(make_node, frames, choice):
    node = make_node(runtime=find_runtime(choice), seed=4)
    boot = node.wait_boot()
    frames.wait(lambda got: len(got) >= 20)
    report = node.stop()
    assert boot.runtime.startswith(choice)
    assert boot.boot == frames.frames[0].boot == report.boot
    assert report.samples >= 120
    counts = np.concatenate([frame.counts for frame in frames.frames[8:]]).astype(float)
    counts[counts < -0x800000] = np.nan
    record = node.calibration["cells"]
    zero = [cell["zero_count"] for cell in record]
    span = [cell["span_n_per_count"] for cell in record]
    assert np.nanmean((counts - zero) * span, axis=0) == pytest.approx([100, 0, -50], abs=0.1)


def test_device_time_zero_is_the_wall_clock_the_boot_says(make_node, frames):
    began = time.time()
    node = make_node()
    boot = node.wait_boot()
    frames.wait(lambda got: len(got) >= 3)
    newest = (frames.frames[2].device_us + boot.epoch_unix_us) / 1e6
    assert began < boot.epoch_unix_us / 1e6 < newest < time.time()


def test_a_fault_injected_is_coded_in_the_record(make_node, frames):
    node = make_node(samples_per_frame=5)
    frames.wait(lambda got: len(got) > 1 and (got[-1].counts >= -0x800000).all())
    node.inject("saturated", cell=2, for_s=60)
    frames.wait(lambda got: (got[-1].counts[:, 2] == -0x800003).all())
    assert (frames.frames[-1].counts[:, :2] >= -0x800000).all()


def test_it_runs_in_a_small_heap(make_node, frames):
    four = Trace(np.array([0.0, 1.0]), np.zeros((2, 4)), ("0", "1", "2", "3"))
    node = make_node(trace=four, heap="320k")  # the board itself and reading sources take 100 KB of it
    frames.wait(lambda got: len(got) >= 20)
    assert node.stop().dropped == 0
    assert not [line for line in node.log if "MemoryError" in line]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_a_clean_stop(make_node, frames, number):
    node = make_node()
    node.wait_boot()
    frames.wait(lambda got: len(got) >= 1)
    node._process.send_signal(number)
    assert node.stop().samples > 0
    assert node._process.returncode == 0


def test_a_node_ends_when_the_one_who_started_it_dies(mosquitto, tmp_path):
    code = f"""
import numpy as np, os, signal, pathlib
from ashibar.core.trace import Trace
from ashibar.node import VirtualNode
work = pathlib.Path({str(tmp_path)!r})
trace = Trace(np.array([0.0]), np.zeros((1, 1)), ("0",))
node = VirtualNode("127.0.0.1", {mosquitto.port}, "demo", "bars", trace, work_dir=work)
node.start()
node.wait_boot()
print(node.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    pid = int(done.stdout)
    end = time.monotonic() + 5
    while _runs(pid):
        assert time.monotonic() < end, "the node outlived its parent"
        time.sleep(0.05)


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_node_that_cannot_start_says_why(mosquitto, tmp_path, monkeypatch):
    monkeypatch.setenv("ASHIBAR_FIRMWARE", str(tmp_path))
    node = VirtualNode("127.0.0.1", mosquitto.port, "demo", "bars", STEADY, work_dir=tmp_path)
    with pytest.raises(NodeError, match="ASHIBAR_FIRMWARE"):
        node.start()
    with pytest.raises(NodeError, match="was not started"):
        node.inject("spike")


def test_a_node_that_dies_is_reported_with_its_last_words(make_node):
    node = make_node(heap="40k")
    with pytest.raises(NodeError, match="MemoryError"):
        node.wait_boot()


def test_a_micropython_that_does_not_run_is_named(monkeypatch):
    monkeypatch.setenv("ASHIBAR_MICROPYTHON", "/nowhere/micropython")
    with pytest.raises(NodeError, match="/nowhere/micropython"):
        find_runtime()
    assert not find_runtime("cpython").is_micropython
