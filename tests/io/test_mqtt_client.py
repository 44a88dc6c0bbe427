"""Bursts of packets through paho's client as the daemon uses it, on a plain socket."""

import socket
import struct
from itertools import pairwise
from types import SimpleNamespace

import paho.mqtt.client as paho
import pytest
from ashibar.io import mqtt_client
from ashibar.io.mqtt_client import REST_S, SHORT_REST_S, BurstClient
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

CONNACK = b"\x20\x03\x00\x00\x00"


@pytest.fixture(params=[False, True], ids=["paho's way", "the short way"])
def connected(request):
    """A client that has its CONNACK, the broker's end of its connection, and what it was given."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = BurstClient(CallbackAPIVersion.VERSION2, "x", protocol=paho.MQTTv5, manual_ack=True)
        came = []
        client.on_message = lambda _client, _data, message: came.append((message.mid, message.payload))
        if request.param:
            client.on_came = lambda _topic, payload, mid, _qos, _retain: came.append((mid, payload))
        client.connect("127.0.0.1", listener.getsockname()[1], keepalive=60)
        broker = listener.accept()[0]
        broker.recv(1000)
        broker.sendall(CONNACK)
        client.loop(1.0)
        yield client, broker, came
        client.disconnect()
        broker.close()


def publish(mid, payload):
    body = struct.pack("!H1sH", 1, b"t", mid) + b"\x00" + payload
    return bytes([0x32, len(body)]) + body


def test_a_burst_is_handled_in_one_turn(connected):
    client, broker, came = connected
    broker.sendall(b"".join(publish(mid, b"x" * 50) for mid in range(1, 301)))
    client.loop(1.0)
    assert came == [(mid, b"x" * 50) for mid in range(1, 301)]


def test_a_packet_that_comes_in_pieces_is_whole(connected):
    client, broker, came = connected
    data = b"".join(publish(mid, bytes([mid]) * 40) for mid in range(1, 21))
    for start in range(0, len(data), 7):
        broker.sendall(data[start : start + 7])
        client.loop(1.0)
    assert came == [(mid, bytes([mid]) * 40) for mid in range(1, 21)]


def test_many_acknowledgements_are_one_write_in_order(connected):
    client, broker, _ = connected
    client.ack_many(range(1, 501))
    client.loop(1.0)
    assert broker.recv(65536) == b"".join(struct.pack("!BBH", 0x40, 2, mid) for mid in range(1, 501))


def packet_of(topic, payload, qos, retain, mid=None, *, v5=True):
    """A PUBLISH, written from the standard."""
    name = topic.encode()
    head = struct.pack("!H", len(name)) + name + (struct.pack("!H", mid) if qos else b"") + b"\x00" * v5
    size, length = len(head) + len(payload), b""
    while True:
        size, digit = divmod(size, 128)
        length += bytes([digit | (0x80 if size else 0)])
        if not size:
            return bytes([0x30 | qos << 1 | retain]) + length + head + payload


def test_many_messages_are_one_write_in_order(connected):
    client, broker, _ = connected
    messages = [
        ("a/display", b"{}", 0, False),
        ("a/committed", b"x" * 200, 1, True),
        ("b/committed", b"", 1, True),
    ]
    client.publish_many(messages)
    client.loop(1.0)
    mids = [None, 1, 2]
    assert broker.recv(65536) == b"".join(packet_of(*m, mid) for m, mid in zip(messages, mids, strict=True))
    broker.sendall(b"\x40\x02\x00\x01")
    assert client.loop(1.0) == MQTTErrorCode.MQTT_ERR_SUCCESS
    client.publish_many([])


def test_what_came_before_the_end_of_the_connection_is_still_handled(connected):
    client, broker, came = connected
    broker.sendall(publish(1, b"last"))
    broker.close()
    client.loop(1.0)
    assert came == [(1, b"last")]
    assert client.loop(1.0) == MQTTErrorCode.MQTT_ERR_CONN_LOST


def test_what_is_overridden_is_still_what_paho_calls():
    for name in ("_sock_recv", "_packet_queue", "loop_read"):
        assert callable(getattr(paho.Client, name))
    assert "_sock_recv" in paho.Client._packet_read.__code__.co_names
    assert "loop_read" in paho.Client._loop.__code__.co_names


wire = st.lists(
    st.tuples(
        st.sampled_from(["a", "ashibar/v1/quiet-room/bars-1/samples", "\u00e9" * 70]),
        st.one_of(st.binary(max_size=40), st.binary(min_size=120, max_size=300)),
        st.integers(0, 1),
        st.booleans(),
    ),
    max_size=12,
)


@given(wire, st.sampled_from([paho.MQTTv311, paho.MQTTv5]), st.lists(st.integers(1, 700), max_size=4))
def test_both_ways_take_the_same_messages_out_of_the_same_bytes(messages, version, cuts):
    data = b"".join(
        packet_of(topic, payload, qos, retain, mid, v5=version == paho.MQTTv5)
        for mid, (topic, payload, qos, retain) in enumerate(messages, 1)
    )
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    pieces = [data[start:stop] for start, stop in pairwise(edges) if stop > start]
    assert came_of(pieces, version, short=True) == came_of(pieces, version, short=False)


def came_of(pieces, version, *, short):
    """What a client hands on when its socket gives these pieces, one a turn."""
    client, came = BurstClient(CallbackAPIVersion.VERSION2, "x", protocol=version, manual_ack=True), []

    def take(topic, payload, mid, qos, retain):
        came.append((topic, bytes(payload), mid, qos, bool(retain)))

    client.on_message = lambda _c, _d, m: take(m._topic, m.payload, m.mid, m.qos, m.retain)
    client.on_came = take if short else None
    client._sock = SimpleNamespace(recv=lambda _: pieces_left.pop(0), close=lambda: None)
    pieces_left = list(pieces)
    while pieces_left:
        assert client.loop_read() in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_AGAIN)
    client._sock = None
    return came


def test_after_little_that_is_in_no_hurry_more_is_let_gather(connected, monkeypatch):
    client, broker, came = connected
    rests, take = [], client.on_came
    monkeypatch.setattr(mqtt_client.time, "sleep", rests.append)
    for mid, hurries in enumerate([False, True, False], 1):
        if take is not None:
            client.on_came = lambda *message, hurries=hurries: (take(*message), hurries)[1]
        broker.sendall(publish(mid, b"x"))
        client.serve(lambda mid=mid: len(came) == mid, 5.0)
        client.serve(iter([False, True]).__next__)
    assert len(rests) == (0 if take is None else 3)  # after the CONNACK too
    assert set(rests) <= {REST_S, SHORT_REST_S}


def test_some_rests_are_short_so_that_nobodys_frames_are_always_read_late(connected, monkeypatch):
    client, broker, _ = connected
    rests = []
    monkeypatch.setattr(mqtt_client.time, "sleep", rests.append)
    client.on_came = lambda *_: False
    for mid in range(1, 161):
        broker.sendall(publish(mid, b"x"))
        client.serve(lambda mid=mid: len(rests) >= mid, 5.0)
    assert rests.count(REST_S) > 80
    assert 1 <= rests.count(SHORT_REST_S) < 80
