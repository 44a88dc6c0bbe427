"""The node against brokers that misbehave: it names what is wrong, ends the connection, and comes back."""

import socket
import threading

import pytest
from node_tools import Node, node_config

CONNACK = {5: bytes([0x20, 3, 0, 0, 0]), 4: bytes([0x20, 2, 0, 0])}


class Script:
    """A server that answers each connection's CONNECT by `answer(number, level)` and keeps what it was
    sent."""

    def __init__(self, answer):
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.levels = []
        self.arrived = threading.Condition()
        self._open = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
                data = connection.recv(4096)
            except OSError:
                return
            if not data:
                connection.close()
                continue
            level = data[data.index(b"MQTT") + 4]
            with self.arrived:
                self.levels.append(level)
                self.arrived.notify_all()
            answer = self._answer(len(self.levels), level)
            if answer is not None:
                connection.sendall(answer)
            self._open.append(connection)

    def wait_for_levels(self, levels, within_s):
        with self.arrived:
            assert self.arrived.wait_for(lambda: self.levels[: len(levels)] == levels, within_s), self.levels

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        for connection in self._open:
            connection.close()


@pytest.fixture
def meet(micropython):
    """Let a node meet a scripted broker: (server, node)."""
    used = []

    def start(answer):
        server = Script(answer)
        node = Node(micropython, node_config(server.port))
        used.extend([node.kill, server.close])
        return server, node

    yield start
    for end in used:
        end()


@pytest.mark.parametrize(
    ("behind_connack", "named"),
    [
        (b"\x30\xff\xff\xff\xff\xff", "a length of 1 to 4 bytes expected"),
        (b"\x30\xff\xff\xff\x7f", "a packet of at most 4096 bytes expected, 268435455 came"),
        (b"\x10\x00", "a packet for a client expected, type 1 came"),
        (b"\x30\x02\xff\xff", "a topic of 65535 bytes expected"),
        (b"\x34\x04\x00\x01a\x00", "QoS 0 or 1 expected, 2 came"),
        (b"\x40\x00", "two more bytes expected"),
        (b"\xe0\x01\x8e", "the broker ended the connection, reason 0x8e"),
        (b"\x90\x04\x00\xc8\x00\x87", "subscriptions refused"),
        (b"\x30\x05\x00\x01\xffabc", "a topic in UTF-8 expected"),
    ],
)
def test_a_packet_that_cannot_be_ends_the_connection_by_name_and_the_node_comes_back(
    meet, behind_connack, named
):
    server, node = meet(lambda _, level: CONNACK[level] + behind_connack)
    node.wait_for_line(named, 5)
    server.wait_for_levels([5, 5], 5)


@pytest.mark.parametrize("refusal", [bytes([0x20, 2, 0, 1]), bytes([0x20, 3, 0, 0x84, 0]), None])
def test_a_broker_that_knows_only_3_1_1_is_spoken_to_in_3_1_1(meet, refusal):
    server, _ = meet(lambda _, level: refusal if level == 5 else CONNACK[4])
    server.wait_for_levels([5, 4], 8)


def test_a_refused_password_is_named(meet):
    _, node = meet(lambda *_: bytes([0x20, 3, 0, 0x86, 0]))
    node.wait_for_line("refused with reason 0x86", 5)
    assert node.stop()["held"] > 0


def test_an_answer_that_is_no_connack_is_named(meet):
    _, node = meet(lambda *_: b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10)
    node.wait_for_line("CONNACK expected", 5)
