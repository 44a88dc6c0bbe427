"""Two living boards of one name: both say so, the host says so, and the record keeps them apart."""

import json

import numpy as np
import paho.mqtt.client as mqtt
import pytest
from ashibar.core.config import check
from ashibar.core.trace import Trace
from ashibar.daemon import Daemon
from ashibar.node import VirtualNode
from firmware_paths import import_firmware
from nodes import document
from servers import wait_until

import_firmware()

from barnode import twins  # noqa: E402 - importable only from here on

STEADY = Trace(np.array([0.0, 1.0]), np.zeros((2, 4)), ("0", "1", "2", "3"))
WORDS = "one board named bars-1 expected, two are connected"


@pytest.fixture
def host(mosquitto, tmp_path):
    daemon = Daemon(check(document(mosquitto.port, tmp_path / "journal.sqlite")))
    daemon.start()
    yield daemon
    daemon.stop()


@pytest.fixture
def abouts(mosquitto):
    """Every `about` of the node, by boot."""
    found = {}
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.on_connect = lambda client, *_: client.subscribe("ashibar/v1/+/+/about", 1)

    def take(_client, _data, message):
        said = json.loads(message.payload)
        found.setdefault(said["boot"], []).append(said)

    client.on_message = take
    client.connect("127.0.0.1", mosquitto.port)
    client.loop_start()
    yield found
    client.disconnect()
    client.loop_stop()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_two_boards_of_one_name_say_so_and_nothing_is_mixed_up(mosquitto, tmp_path, host, abouts, protocol):
    boards = []
    for seed in (1, 2):
        folder = tmp_path / f"board-{seed}"
        board = VirtualNode(
            "127.0.0.1", mosquitto.port, "quiet-room", "bars-1", STEADY, work_dir=folder, seed=seed
        )
        board._node["broker"]["protocol"] = protocol
        boards.append(board)
    try:
        for board in boards:
            board.start()
        boots = [board.wait_boot().boot for board in boards]

        def both_say_so():
            said = [about.get("problems", [""])[-1] for boot in boots for about in abouts.get(boot, [])[-1:]]
            return len(said) == 2 and all(WORDS in words for words in said)

        wait_until(both_say_so, "both boards to say so", within_s=25)
        wait_until(lambda: _host_says_so(host), "the host to say so", within_s=25)
        reports = [board.stop() for board in boards]
    finally:
        for board in boards:
            board.kill()
    for board, boot in zip(boards, boots, strict=True):
        assert [line for line in board.log if line.startswith("twin: " + WORDS)]
        assert {about["hardware"] for about in abouts[boot]} == {
            (f"v{1 + boots.index(boot):05d}").encode().hex()
        }
    _assert_apart(host, boots, reports)


def _host_says_so(host):
    ready, reasons = host.ready()
    (node,) = host.nodes()
    return not ready and all(
        any("two are connected in turn" in each for each in words) for words in (reasons, node["problems"])
    )


def _assert_apart(host, boots, reports):
    """Each boot's samples are stored once, or counted as missing; none is in the other's account."""
    wait_until(lambda: {each["boot"] for each in host.accounting()["boots"]} == set(boots), "both boots")

    def stored():
        return {each["boot"]: each["stored"] for each in host.accounting()["boots"]}

    def most_is_stored():
        return all(stored()[b] >= 0.8 * r.samples for b, r in zip(boots, reports, strict=True))

    wait_until(most_is_stored, "the account, which follows the disk")
    accounts = {each["boot"]: each for each in host.accounting()["boots"]}
    for boot, report in zip(boots, reports, strict=True):
        account = accounts[boot]
        assert account["taken"] <= report.samples
        assert (
            account["stored"] + account["pending"] + account["lost"] + account["not_sent"] == account["taken"]
        )
        assert account["stored"] >= report.samples - 10 * report.held - report.dropped_samples - 10


class Clock:
    def __init__(self, monkeypatch):
        self.now = 5
        monkeypatch.setattr(twins, "now_ms", lambda: self.now)


@pytest.fixture
def told(monkeypatch):
    clock = Clock(monkeypatch)
    told = []
    one = twins.Twins("bars", 7, "aa", lambda: told.append(one.problem()))
    one.clock, one.told = clock, told
    return one


def test_a_take_over_is_certain_and_forgotten_after_a_minute(told):
    told.taken_over()
    assert len(told.told) == 1
    told.clock.now += 59_000
    told.forget()
    assert told.problem() is not None
    told.clock.now += 1_000
    told.forget()
    assert told.told[1:] == [None]


def test_what_the_broker_kept_from_before_is_no_twin(told):
    told.state({"state": "lost", "boot": 6, "hardware": "aa"}, True, 1)  # at the first connection
    told.state({"state": "lost", "boot": 6, "hardware": "aa"}, True, 2)  # a broker that lost what it knew
    told.state({"state": "lost", "boot": 6, "hardware": "aa"}, True, 3)
    told.state({"state": "online", "boot": 7}, True, 3)  # our own
    told.state({"state": "lost", "boot": 5}, False, 3)  # the late will of a connection that is over
    told.state({"state": "lost", "boot": 5}, True, 3)  # once
    assert told.problem() is None
    told.state({"state": "online", "boot": 9, "hardware": "bb"}, True, 4)
    assert "the other bb" in told.problem()
