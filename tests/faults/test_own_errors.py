"""An error in our own code costs at most the one message that caused it."""

import contextlib

import pytest
from ashibar.boots import Boot
from ashibar.core.config import check
from ashibar.daemon import Daemon
from ashibar.io.journal import Reader
from ashibar.live import LiveRig
from nodes import TestNode, document
from servers import wait_until

POISON = 13


@pytest.fixture
def host(mosquitto, tmp_path):
    """A running daemon with its journal's `path`."""
    daemon = Daemon(check(document(mosquitto.port, tmp_path / "journal.sqlite")))
    daemon.start()
    assert daemon.link.wait_connected(10)
    daemon.path = tmp_path / "journal.sqlite"
    yield daemon
    daemon.stop()


@pytest.fixture
def node(mosquitto, host):
    assert host.link.connected
    node = TestNode(mosquitto.port)
    yield node
    node.stop()


def stored_sequences(host):
    with contextlib.closing(Reader(host.path)) as reader:
        return [frame.row.seq for frame in reader.frames_of(1, 7)]


def test_a_message_that_trips_the_intake_is_put_aside_and_its_neighbours_are_stored(host, node, monkeypatch):
    take = Boot.take

    def tripping(self, frames, *rest):
        stretches = take(self, frames, *rest)  # sequences count as seen before the error
        if POISON in frames.seq:
            raise RuntimeError("tripped")
        return stretches

    monkeypatch.setattr(Boot, "take", tripping)
    for seq in range(40):
        node.send(seq)
    wait_until(lambda: len(stored_sequences(host)) == 39, "the neighbours to be stored")
    assert stored_sequences(host) == [seq for seq in range(40) if seq != POISON]
    assert host.ingest.aside >= 1


def test_an_error_on_the_way_to_the_page_costs_no_sample(host, node, monkeypatch):
    def broken(_self, _samples):
        raise RuntimeError("no figure today")

    monkeypatch.setattr(LiveRig, "take", broken)
    for seq in range(40):
        node.send(seq)
    wait_until(lambda: node.upto == 39, "all frames to be committed")
    assert stored_sequences(host) == list(range(40))
