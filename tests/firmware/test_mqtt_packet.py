"""MQTT packets of the firmware: any bytes in, a value or a named error out; and the sizes on the wire."""

import contextlib

from firmware_paths import import_firmware
from hypothesis import given
from hypothesis import strategies as st

import_firmware()

from barnode import mqtt_packet as packet  # noqa: E402 - importable only from here on

LEVELS = st.sampled_from([4, 5])
TOPIC = b"ashibar/v1/studio/bars/samples"


def read(reader, *args):
    with contextlib.suppress(packet.MqttError):
        reader(*args)


@given(LEVELS, st.integers(0, 255), st.binary(max_size=64))
def test_any_bytes_are_a_packet_or_a_named_error(level, first, body):
    read(packet.read_connack, level, first, body)
    read(packet.read_puback, body)
    read(packet.read_suback, level, body)
    read(packet.read_publish, level, first, body)
    read(packet.read_length, body, 0)


@given(
    LEVELS,
    st.text(max_size=20),
    st.binary(max_size=300),
    st.integers(0, 1),
    st.booleans(),
    st.integers(1, 65535),
)
def test_what_is_published_is_read_back(level, topic, payload, qos, retain, packet_id):  # noqa: PLR0917 - drawn by name
    data = packet.publish(level, topic, payload, qos, retain, packet_id)
    n, at = packet.read_length(data, 1)
    assert n == len(data) - at
    expected = (topic, payload, qos, retain, packet_id if qos else 0)
    assert packet.read_publish(level, data[0], data[at:]) == expected


@given(LEVELS, st.binary(max_size=2000), st.booleans())
def test_a_frame_written_into_a_buffer_is_the_same_packet(level, payload, dup):
    buf = bytearray(len(payload) + len(TOPIC) + 10)
    n = packet.publish_into(buf, level, TOPIC, bytearray(payload) + bytearray(9), len(payload), 7, dup)
    assert bytes(buf[:n]) == packet.publish(level, TOPIC, payload, 1, False, 7, dup)


def test_the_answer_of_a_version_5_broker_gives_its_receive_maximum():
    properties = (
        bytes([0x22, 0, 10, 0x21, 0, 3, 0x12, 0, 2])
        + b"ab"
        + bytes([0x26, 0, 1])
        + b"k"
        + bytes([0, 1])
        + b"v"
    )
    body = bytes([0, 0, len(properties)]) + properties
    assert packet.read_connack(5, 0x20, body) == (0, 3)
    assert packet.read_connack(4, 0x20, bytes([0, 5])) == (5, 65535)
