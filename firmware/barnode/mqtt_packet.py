"""Bytes of MQTT 5 and 3.1.1 packets, the part a node needs. No socket and no state; levels are 5 and 4, as on
the wire."""

from micropython import const

CONNACK = const(2)
PUBLISH = const(3)
PUBACK = const(4)
SUBACK = const(9)
PINGRESP = const(13)
DISCONNECT = const(14)
PINGREQ_BYTES = b"\xc0\x00"
DISCONNECT_BYTES = b"\xe0\x00"
NO_MATCHING_SUBSCRIBERS = const(0x10)

# Bytes of the properties a CONNACK may carry; 0: a length of two bytes follows, -1: two of those
_CONNACK_PROPERTIES = {
    0x11: 4, 0x12: 0, 0x13: 2, 0x15: 0, 0x16: 0, 0x1A: 0, 0x1C: 0, 0x1F: 0, 0x21: 2, 0x22: 2, 0x24: 1,
    0x25: 1, 0x26: -1, 0x27: 4, 0x28: 1, 0x29: 1, 0x2A: 1,
}  # fmt: skip


class MqttError(Exception):
    """The connection is of no more use; the message says why."""


def _text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return bytes([len(data) >> 8, len(data) & 255]) + data


def _length(n):
    out = b""
    while True:
        more = n >> 7
        out += bytes([n & 127 | (128 if more else 0)])
        if not more:
            return out
        n = more


def _packet(first, body):
    return bytes([first]) + _length(len(body)) + body


def connect(level, client_id, keepalive_s, will_topic, will, user=None, password=None):
    """CONNECT with a clean session and a retained will of QoS 1."""
    flags = 0x02 | 0x04 | 0x08 | 0x20
    none = b"\x00" if level == 5 else b""  # no properties
    body = _text(client_id) + none + _text(will_topic) + _text(will)
    if user is not None:
        flags |= 0x80
        body += _text(user)
        if password is not None:
            flags |= 0x40
            body += _text(password)
    head = _text("MQTT") + bytes([level, flags, keepalive_s >> 8, keepalive_s & 255]) + none
    return _packet(0x10, head + body)


def subscribe(level, packet_id, topics):
    """SUBSCRIBE to `topics`, pairs of (topic, QoS)."""
    body = bytes([packet_id >> 8, packet_id & 255]) + (b"\x00" if level == 5 else b"")
    for topic, qos in topics:
        body += _text(topic) + bytes([qos])
    return _packet(0x82, body)


def puback(packet_id):
    """PUBACK of a message received; the same bytes at both levels."""
    return bytes([0x40, 2, packet_id >> 8, packet_id & 255])


def publish(level, topic, payload, qos, retain, packet_id=0, dup=False):
    """PUBLISH as bytes of its own, for the rare ones."""
    body = _text(topic)
    if qos:
        body += bytes([packet_id >> 8, packet_id & 255])
    if level == 5:
        body += b"\x00"
    return _packet(0x30 | qos << 1 | (1 if retain else 0) | (8 if dup else 0), body + payload)


def publish_into(buf, level, topic, payload, n, packet_id, dup):
    """PUBLISH of payload[0:n] at QoS 1 written into `buf`, for the frequent ones; answers its length.

    `topic` is bytes; `buf` must hold n + len(topic) + 10 bytes; n + len(topic) is below 16,000.
    """
    size = len(topic)
    rest = 2 + size + 2 + (1 if level == 5 else 0) + n
    buf[0] = 0x3A if dup else 0x32
    at = 2
    if rest < 128:
        buf[1] = rest
    else:
        buf[1] = rest & 127 | 128
        buf[2] = rest >> 7
        at = 3
    buf[at] = size >> 8
    buf[at + 1] = size & 255
    at += 2
    buf[at : at + size] = topic
    at += size
    buf[at] = packet_id >> 8
    buf[at + 1] = packet_id & 255
    at += 2
    if level == 5:
        buf[at] = 0
        at += 1
    buf[at : at + n] = memoryview(payload)[:n]
    return at + n


def read_length(data, at):
    """A variable length of at most 4 bytes at `at`: (value, where it ends)."""
    value = 0
    for i in range(4):
        if at >= len(data):
            raise MqttError("a length of 1 to 4 bytes expected, the packet ended")
        byte = data[at]
        at += 1
        value |= (byte & 127) << 7 * i
        if byte < 128:
            return value, at
    raise MqttError("a length of 1 to 4 bytes expected, more came: the peer does not speak MQTT")


def read_connack(level, first, body):
    """(reason, receive maximum) of the answer to CONNECT; reason 0 is accepted."""
    if first >> 4 != CONNACK or len(body) < 2:
        raise MqttError("CONNACK expected, packet type %d of %d bytes came" % (first >> 4, len(body)))
    maximum = 65535
    if level == 5 and len(body) > 2:
        n, at = read_length(body, 2)
        end = at + n
        while at < end and end <= len(body):
            name = body[at]
            size = _CONNACK_PROPERTIES.get(name)
            at += 1
            if size is None:
                raise MqttError("a property of CONNACK expected, 0x%02x came" % name)
            if name == 0x21:
                maximum = _u16(body, at)
            for _ in range(2 if size < 0 else 1):
                at += size if size > 0 else 2 + _u16(body, at)
    return body[1], maximum


def _u16(data, at):
    if at + 2 > len(data):
        raise MqttError("two more bytes expected at %d, the packet ended at %d" % (at, len(data)))
    return data[at] << 8 | data[at + 1]


def read_puback(body):
    """(packet id, reason) of PUBACK; reason 0 is accepted, 0x10 no matching subscribers (level 5)."""
    return _u16(body, 0), body[2] if len(body) > 2 else 0


def read_suback(level, body):
    """(packet id, worst reason) of SUBACK; 0x80 and more is refused."""
    at = 2
    if level == 5:
        n, at = read_length(body, 2)
        at += n
    return _u16(body, 0), max(body[at:]) if len(body) > at else 0


def read_publish(level, first, body):
    """(topic, payload, QoS, retained, packet id) of PUBLISH."""
    qos = first >> 1 & 3
    if qos > 1:
        raise MqttError("QoS 0 or 1 expected, %d came: only what was subscribed may come" % qos)
    at = 2 + _u16(body, 0)
    if at > len(body):
        raise MqttError("a topic of %d bytes expected, the packet ended at %d" % (at - 2, len(body)))
    try:
        topic = body[2:at].decode()
    except UnicodeError:
        raise MqttError("a topic in UTF-8 expected, other bytes came") from None
    packet_id = 0
    if qos:
        packet_id = _u16(body, at)
        at += 2
    if level == 5:
        n, at = read_length(body, at)
        at += n
    return topic, body[at:], qos, bool(first & 1), packet_id
