"""Everything at once against real nodes: a short campaign of chaos, the long one is `make soak`."""

import sys
import time
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "chaos"))

import chaos_plan as plan
import chaos_run
from chaos_stack import ChaosNode, Listener
from chaos_words import MESSAGES, REQUESTS, bad_message
from servers import find_program, wait_until

SEED = 2205  # all kinds of faults but one within 22 s
MINUTES = 0.57


@pytest.fixture(scope="module")
def outcome(micropython, tmp_path_factory):
    """Half a minute of two nodes, one of them reset as well, and of a third that lets go of frames too
    early."""
    if find_program("mosquitto") is None:
        pytest.skip("not on this machine: mosquitto")
    folder = tmp_path_factory.mktemp("chaos")
    return chaos_run.campaign(micropython, folder, SEED, MINUTES, quiet_s=12.0, forgetful=True)


def test_after_chaos_every_sample_is_stored_or_in_a_counted_gap_and_the_nodes_are_well(outcome):
    assert outcome.problems == [], chaos_run.report(outcome)
    assert all(account.good and account.stored > 500 for account in outcome.accounts.values())
    assert len(outcome.faults) >= 15, outcome.faults


def test_the_same_chaos_catches_a_node_that_lets_go_of_frames_at_the_brokers_word(outcome):
    assert outcome.faults["kill both"]
    assert outcome.control.unexplained > 50


def test_a_seed_gives_the_same_plan_and_every_fault_its_turn():
    steps = plan.draw(5, [1, 2], {2}, 1800, long_run=True)
    assert steps == plan.draw(5, [1, 2], {2}, 1800, long_run=True)
    assert steps != plan.draw(6, [1, 2], {2}, 1800, long_run=True)
    count = Counter(step.fault for step in steps)
    kinds = {*plan.SERVERS, *plan.WIRE, *plan.CELLS, *plan.POWER, *plan.WORDS}
    assert set(count) == kinds
    assert min(count.values()) >= 10
    assert max(step.at_s + step.for_s for step in steps) <= 1800


def test_memory_is_compared_while_connected_alone_and_a_boot_that_grows_is_caught():
    away, connected = ["memory 277408 away"], ["memory 281632 connected"]
    assert chaos_run.memory_of(5 * connected + 3 * away + 12 * connected) == (40, 281632, 281632)
    assert chaos_run.memory_of(4 * connected + 8 * away + 4 * connected) == (32, 0, 0)
    grown = 12 * connected + 4 * ["memory 289824 connected"]
    assert chaos_run.memory_of(['{"event": "boot"}', *connected, '{"event": "boot"}', *grown]) == (
        32,
        281632,
        289824,
    )


def test_no_message_stops_a_node_and_every_request_is_answered_with_a_reason(
    micropython, mosquitto, tmp_path
):
    node = ChaosNode(micropython, tmp_path, 1, mosquitto.port)
    listener = Listener(mosquitto.port)
    try:
        node.__enter__()
        wait_until(lambda: listener.since("bars-1", "weight", 0), "the node")
        for number in range(MESSAGES):
            listener.send("bars-1", *bad_message(number, node.boot))
            time.sleep(0.1)  # at most four commands may wait
        last_s = time.monotonic()
        wait_until(lambda: len(listener.since("bars-1", "weight", last_s)) > 3, "the node to go on")
        assert chaos_run.unexpected(node.lines) == []
        replies = listener.since("bars-1", "reply", 0)
        assert len(replies) == REQUESTS
        assert all(not reply["ok"] and "expected" in reply["reason"] for reply in replies), replies
    finally:
        listener.stop()
        node.close()
