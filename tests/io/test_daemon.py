"""The daemon in this process, against a real mosquitto: from a frame on the wire to the record and the page."""

import json
import urllib.request

import pytest
from ashibar.core.config import check
from ashibar.daemon import Daemon
from ashibar.io.journal import Reader
from nodes import TestNode
from servers import wait_until


def document(port, path, **more):
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


@pytest.fixture
def host(mosquitto, tmp_path):
    """A running daemon and its journal's reader."""
    daemon = Daemon(check(document(mosquitto.port, tmp_path / "journal.sqlite")))
    daemon.start()
    assert daemon.link.wait_connected(10)
    daemon.reader = Reader(tmp_path / "journal.sqlite")
    yield daemon
    daemon.reader.close()
    daemon.stop()


@pytest.fixture
def node(mosquitto, host):
    node = TestNode(mosquitto.port)
    yield node
    node.stop()


def test_frames_are_stored_then_committed_and_shown(host, node):
    for seq in range(40):
        node.send(seq)
    wait_until(lambda: node.upto == 39, "all frames to be committed")
    assert host.reader.totals() == (40, 400)
    account = wait_until(lambda: host.accounting()["stored"] == 400 and host.accounting(), "the account")
    assert (account["missing"], account["duplicate"], account["taken"]) == (0, 0, 400)
    with urllib.request.urlopen(host.url + "api/v1/accounting") as answer:
        assert json.load(answer)["stored"] == 400
