"""The whole node on real MicroPython against a real mosquitto: what it takes arrives, whatever the broker
does."""

import itertools
import json
import signal
import time

import pytest
from firmware_paths import ON_DEVICE
from node_tools import ROOT_TOPIC, Node, StubHost, node_config


@pytest.fixture
def host(mosquitto):
    host = StubHost(mosquitto.port)
    host.connect()
    yield host
    host.close()


@pytest.fixture
def start_node(micropython):
    started = []

    def start(config, **options):
        started.append(Node(micropython, config, **options))
        return started[-1]

    yield start
    for node in started:
        node.kill()


def assert_all_arrived(host, counters):
    assert counters["dropped"] == 0
    assert counters["held"] == 0
    samples = host.samples()
    assert sorted(samples) == list(range(counters["samples"]))
    assert all(counts == tuple(4 * k + i for i in range(4)) for k, counts in samples.items())


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_every_sample_survives_a_broker_killed_before_it_ever_saved_a_session(
    mosquitto, host, start_node, protocol
):
    node = start_node(node_config(mosquitto.port, protocol=protocol))
    host.wait_until(lambda: len(host.frames) >= 10, 10)
    host.disconnect()
    mosquitto.kill()
    mosquitto.start()  # comes back without the host's subscription: what it acknowledges now goes nowhere
    node_is_back = StubHost(mosquitto.port)
    node_is_back.connect()
    try:
        node_is_back.wait_until(lambda: "online" in node_is_back.states, 10)
    finally:
        node_is_back.close()
    void_from = max(host.frames)
    host.connect()
    host.wait_until(lambda: all(i in host.frames for i in range(void_from + 20)), 30)
    assert_all_arrived(host, node.stop())


def test_what_is_sampled_while_the_broker_is_away_arrives_afterwards_and_live_data_does_not_wait(
    mosquitto, host, start_node
):
    node = start_node(node_config(mosquitto.port))
    host.wait_until(lambda: len(host.frames) >= 5, 10)
    host.disconnect()
    mosquitto.kill()
    node.wait_for_line("link:", 10)
    time.sleep(3)  # the outage itself
    mosquitto.start()
    host.connect()
    held = max(host.frames)
    host.wait_until(lambda: len(host.frames) > held + 30, 20)
    counters = node.stop()
    assert_all_arrived(host, counters)
    assert counters["reconnects"] >= 1
    order = [sequence for sequence, _ in host.flags]
    late = [sequence for sequence, flags in host.flags if flags & 1]
    assert late  # the backlog is told apart from live frames
    assert any(a > b for a, b in itertools.pairwise(order))  # a live frame overtook the backlog


def test_an_interrupt_is_a_clean_stop_that_leaves_no_will(mosquitto, host, start_node):
    node = start_node(node_config(mosquitto.port))
    host.wait_until(lambda: len(host.frames) >= 3, 10)
    counters = node.stop()
    host.wait_until(lambda: host.states[-1:] == ["offline"], 5)
    assert "lost" not in host.states
    assert_all_arrived(host, counters)


def test_a_node_that_dies_leaves_its_will(mosquitto, host, start_node):
    node = start_node(node_config(mosquitto.port))
    host.wait_until(lambda: len(host.frames) >= 3, 10)
    node.kill()
    host.wait_until(lambda: host.states == ["online", "lost"], 5)


def test_a_half_open_connection_is_noticed_within_10_s(mosquitto, host, start_node):
    node = start_node(node_config(mosquitto.port))
    host.wait_until(lambda: len(host.frames) >= 3, 10)
    host.disconnect()
    mosquitto.signal(signal.SIGSTOP)
    try:
        node.wait_for_line("silence", 10)
    finally:
        mosquitto.signal(signal.SIGCONT)


def test_commands_are_answered_or_refused_with_a_reason(mosquitto, host, start_node):
    start_node(node_config(mosquitto.port))
    host.wait_until(lambda: len(host.frames) >= 1, 10)
    host.command({"id": "1", "command": "identify"})
    host.command({"id": "2", "command": "fly"})
    host.command(["not a command"])
    host.command({"id": "", "command": "identify"})
    host.command({"id": "3", "command": "identify"})
    host.wait_until(lambda: len(host.replies) >= 3, 5)
    assert [(reply["id"], reply["ok"]) for reply in host.replies] == [("1", True), ("2", False), ("3", True)]
    assert "fly" in host.replies[1]["reason"]


def test_a_reboot_is_answered_before_the_node_stops_cleanly(mosquitto, host, start_node):
    node = start_node(node_config(mosquitto.port))
    host.wait_until(lambda: len(host.frames) >= 3, 10)
    host.command({"id": "again", "command": "reboot"})
    host.wait_until(lambda: host.states[-1:] == ["offline"], 5)
    assert host.replies == [{"id": "again", "command": "reboot", "ok": True}]
    node.wait_for_line('"samples"', 5)
    assert "lost" not in host.states


def test_a_reboot_kept_by_the_broker_is_not_obeyed(mosquitto, host, start_node):
    host._client.publish(
        ROOT_TOPIC + "command", json.dumps({"id": "old", "command": "reboot"}), 1, retain=True
    )
    start_node(node_config(mosquitto.port))
    host.wait_until(lambda: len(host.frames) >= 12, 10)
    assert host.states == ["online"]


@pytest.mark.usefixtures("host")
def test_the_whole_node_holds_its_memory_in_the_heap_of_a_chip(mosquitto, run_micropython):
    config = node_config(mosquitto.port, calibration=None)
    printed = run_micropython(ON_DEVICE / "watch_memory.py", heapsize="224k", args=[json.dumps(config), 12])
    result = json.loads(printed.splitlines()[-1])
    assert result["slots"] >= 160  # 20 s at 80 samples a second
    steady = result["used"][4:]
    assert max(steady) - min(steady) < 3000
    assert sum(steady[4:]) / 4 - sum(steady[:4]) / 4 < 500
