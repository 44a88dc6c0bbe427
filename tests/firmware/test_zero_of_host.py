"""Zero by the host's interfaces against the real firmware: node, its `weight` and the host agree."""

import json
import sys
import time
import tomllib
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from ashibar.core.config import check
from ashibar.daemon import Daemon

sys.path.insert(0, str(Path(__file__).parent / "chaos"))

from chaos_stack import ChaosNode, Listener
from faults.parts import config_text
from servers import wait_until

pytestmark = pytest.mark.alone  # a board read late beside other tests has no five seconds without a fault

KG = 9.80665
OFF_KG = 0.5  # on one cell


@pytest.fixture
def daemon(mosquitto, tmp_path):
    text = config_text(["bars-1"], mosquitto.port, 0, journal=str(tmp_path / "journal.sqlite"))
    daemon = Daemon(check(tomllib.loads(text)))
    daemon.start()
    yield daemon
    daemon.stop()


@pytest.fixture
def node(micropython, mosquitto, tmp_path):
    """A node whose first cell reads half a kilogram although nothing hangs there."""
    node = ChaosNode(micropython, tmp_path, 1, mosquitto.port)
    document = json.loads(node.config.read_text())
    cell = document["node"]["calibration"]["cells"][0]
    cell["zero_count"] -= round(OFF_KG * KG / cell["span_n_per_count"])
    node.config.write_text(json.dumps(document))
    yield node.__enter__()
    node.close()


@pytest.fixture
def listener(mosquitto):
    listener = Listener(mosquitto.port)
    yield listener
    listener.stop()


def post_zero(daemon):
    """(status, answer) of the interface."""
    request = urllib.request.Request(
        f"{daemon.url}api/v1/zero", b'{"by": "Mei"}', {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=15) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def zero_when_there_is_data(daemon):
    wait_until(lambda: (daemon.figure("room-1") or {}).get("bar"), "a figure of the host", 30)

    def attempt():
        status, told = post_zero(daemon)
        assert status == 200 or "5 s of readings" in told["expected"] or "Less than 5" in told["came"], told
        return told if status == 200 else None

    return wait_until(attempt, "a zero", 60, 0.5)


def weights_kg(listener, since_s):
    said = listener.since("bars-1", "weight", since_s)
    return [each["sum_n"] / KG for each in said if each["sum_n"] is not None]


@pytest.mark.usefixtures("node")
def test_node_light_node_weight_and_host_agree_after_a_zero_by_hand(daemon, listener):
    wait_until(lambda: len(weights_kg(listener, 0)) > 3, "weights", 30)
    assert weights_kg(listener, 0)[-1] == pytest.approx(OFF_KG, abs=0.1)
    told = zero_when_there_is_data(daemon)
    assert (told["nodes"], told["note"]) == (["bars-1"], None)
    assert told["offset_n"][0] / KG == pytest.approx(OFF_KG, abs=0.1)
    session = wait_until(
        lambda: daemon.ingest.nodes["bars-1"].about.zeros.session, "the node to tell of its zero", 10
    )
    assert told["counts"] == session.counts
    zeroed_s = time.monotonic() + 0.6
    wait_until(lambda: len(weights_kg(listener, zeroed_s)) > 3, "weights by the new zero", 10)
    assert weights_kg(listener, zeroed_s) == pytest.approx(
        [0.0] * len(weights_kg(listener, zeroed_s)), abs=0.1
    )
    figure = wait_until(
        lambda: (found := daemon.figure("room-1")) and found["bar"] and found, "a figure of the host", 10
    )
    assert figure["bar"]["value_n"] / KG == pytest.approx(weights_kg(listener, zeroed_s)[-1], abs=0.1)


def test_the_nodes_reason_is_the_answer_where_it_refuses(daemon, node):
    zero_when_there_is_data(daemon)
    node.order(do="fault", fault="wire_off", cell=1, for_s=20)
    wait_until(lambda: node.shows()["light"] == "fault", "the fault", 10)
    status, told = post_zero(daemon)
    assert status == 409
    assert told["expected"] == "5 s of readings of all cells without a fault"
    assert told["do"] == "wait and try again"


def test_a_node_whose_network_is_gone_leaves_the_zero_to_the_host_which_says_what_it_lacks(daemon, node):
    zero_when_there_is_data(daemon)
    node.wire.stalled = True  # half open: the broker still takes it for connected
    status, told = post_zero(daemon)
    assert status == 409
    assert "kg" not in told["came"]
    assert told["came"].startswith("Less than 5 seconds of data"), told
