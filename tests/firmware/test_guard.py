"""The guard: what starves the watchdog, what failed starts lead to, and what the next one tells of it."""

import json
import threading

import pytest
from ashibar.node.commander import Commander, Refused
from device_tools import Device
from firmware_paths import import_firmware

import_firmware()

from barnode import guard, scratch, start  # noqa: E402 - importable only from here on


class Dog:
    def __init__(self):
        self.fed = 0

    def feed(self):
        self.fed += 1


class Watched:
    """A guard with a dog, a sampler and a link, and time in a test's hand."""

    def __init__(self, monkeypatch):
        self.now = 1000
        monkeypatch.setattr(guard, "now_ms", lambda: self.now)
        self.samples = self.steps = 0
        self.dog = Dog()
        self.healthy = []
        progress = [
            guard.Progress("sampling", lambda: self.samples, 3000),
            guard.Progress("the link", lambda: self.steps, 20000),
        ]
        self.guard = guard.Guard(self.dog, progress, lambda: self.healthy.append(self.now))

    def run(self, seconds, *, samples=0, steps=0):
        """Half seconds with so many samples and steps of the link in each; answers how often it was fed."""
        before = self.dog.fed
        for _ in range(2 * seconds):
            self.now += 500
            self.samples += samples
            self.steps += steps
            self.guard.look(self.now)
        return self.dog.fed - before


@pytest.fixture
def watched(monkeypatch):
    return Watched(monkeypatch)


def test_it_feeds_only_while_both_sampling_and_the_link_supervisor_move(watched):
    assert watched.run(30, samples=40, steps=1) == 60
    assert watched.run(30, samples=0, steps=1) == 5
    assert watched.run(30, samples=40, steps=1) == 60
    assert watched.run(30, samples=40, steps=0) == 39


def test_a_supervisor_that_tries_in_vain_is_alive(watched):
    for _ in range(10):
        assert watched.run(15, samples=40) == 30
        watched.steps += 1


def test_a_boot_has_not_failed_after_a_minute_of_progress(watched):
    watched.run(59, samples=40, steps=1)
    assert watched.healthy == []
    watched.run(5, samples=40, steps=1)
    assert len(watched.healthy) == 1


def test_boots_are_counted_until_one_went_well(monkeypatch):
    monkeypatch.setattr(scratch, "_kept", {})
    assert [start.begin() for _ in range(6)] == [False] * 4 + [True] * 2
    start.failed(ValueError("no use"))
    assert scratch.load()["error"].endswith("no use")
    scratch.went_well()
    assert scratch.load() == {}
    assert not start.begin()


def replace(device, name, old, new):
    path = device.flash / "barnode" / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_a_sampler_that_stands_still_resets_the_chip_and_the_next_start_says_why(
    micropython, mosquitto, tmp_path
):
    device = Device(micropython, tmp_path / "device", mosquitto.port)
    replace(device, "guard.py", "TIMEOUT_MS = const(8000)", "TIMEOUT_MS = const(2000)")
    replace(device, "guard.py", "SAMPLES_MS = const(3000)", "SAMPLES_MS = const(1000)")
    stuck = "await Sampler(self.adc, self).run()"
    replace(device, "node.py", stuck, "await asyncio.wait_for(Sampler(self.adc, self).run(), 2)")
    replace(
        device,
        "node.py",
        'print("%s: %s" % (name,',
        'await asyncio.sleep(99)\n                print("%s: %s" % (name,',
    )
    with device, Commander("127.0.0.1", mosquitto.port, "studio", "bars") as commander:
        device.wait_line("sampling stands still: the watchdog is not fed", 30)
        about = commander.about(lambda about: about.reset_cause == "watchdog", 30)
        assert about is not None, device.lines[-20:]
        assert about.failed_boots >= 1


def test_a_node_that_fails_at_each_start_ends_in_safe_mode_tells_its_error_and_takes_commands(
    micropython, mosquitto, tmp_path
):
    device = Device(micropython, tmp_path / "device", mosquitto.port)
    sound = (device.flash / "barnode" / "weight.py").read_text()
    replace(device, "weight.py", "class Weight:", "raise ValueError('out of order')\n\n\nclass Weight:")
    with device, Commander("127.0.0.1", mosquitto.port, "studio", "bars") as commander:
        about = commander.about(lambda _: True, 30)
        assert about is not None, device.lines[-20:]
        assert "4 in a row failed: safe mode, no weight is measured" in about.problems[0]
        assert (about.failed_boots, about.last_error.splitlines()[-1]) == (4, "ValueError: out of order")
        assert len(device.said('"cause": "failed"')) == 4
        assert commander.ask("identify")["node"] == "bars"
        with pytest.raises(
            Refused, match="command: one of identify, maintenance, reboot, set config, update"
        ):
            commander.ask("zero")
        commander.ask("maintenance", on=True)
        with pytest.raises(Refused, match="SHA-256 in hex expected"):
            commander.ask("update", step="begin", manifest="x")
        (device.flash / "barnode" / "weight.py").write_text(sound)
        commander.ask("reboot")
        again = commander.about(lambda later: later.boot != about.boot, 20)
        assert again is not None, device.lines[-20:]
        assert again.problems == []
        assert again.failed_boots == 0


def test_a_node_without_its_converter_stays_on_the_network_and_says_so(micropython, mosquitto, tmp_path):
    device = Device(micropython, tmp_path / "device", mosquitto.port)
    path = device.flash / "barnode" / "boards" / "__init__.py"
    path.write_text(
        path.read_text().replace(
            "def open_adc(board):", "def open_adc(board):\n    raise OSError(5)\n\n\ndef _unused(board):"
        )
    )
    with device, Commander("127.0.0.1", mosquitto.port, "studio", "bars") as commander:
        about = commander.about(lambda _: True, 20)
        assert "converter: cannot be opened" in about.problems[0]
        with pytest.raises(Refused, match="a converter expected, the node could not open one"):
            commander.ask("diagnose")
        assert json.loads(json.dumps(commander.ask("identify")))["node"] == "bars"


def test_health_has_every_field_of_the_protocol(micropython, mosquitto, tmp_path):
    fields = {
        "boot", "uptime_s", "reset_cause", "rssi_dbm", "heap_free", "rate_hz", "samples", "frames", "sent",
        "resent", "held", "dropped", "dropped_samples", "let_go", "decimated", "reconnects", "not_ready",
        "desync", "saturated", "overloads", "temperature_c",
    }  # fmt: skip
    device = Device(micropython, tmp_path / "device", mosquitto.port)
    replace(device, "node.py", "HEALTH_MS = const(10000)", "HEALTH_MS = const(500)")
    found = []
    with device, Commander("127.0.0.1", mosquitto.port, "studio", "bars") as commander:
        came = threading.Event()

        def take(_client, _data, message):
            found.append(json.loads(message.payload))
            came.set()

        commander._client.message_callback_add("ashibar/v1/studio/bars/health", take)
        commander._client.subscribe("ashibar/v1/studio/bars/health", 0)
        assert came.wait(15)
    assert set(found[0]) == fields
