"""paho's client at less cost a message: one read of the socket for many packets, one write for many.

What it overrides is not public in paho: the version is pinned, and tests/io/test_mqtt_client.py holds it to
these names.
"""

from __future__ import annotations

import random
import select
import struct
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import MessageType, MQTTErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

READ_BYTES: Final = 65_536
# Before the next read, after one of little: waking up is most of a read's cost. One rest in so many is short:
# a node whose frames come just behind another's would else always be read late, and its map of time with it.
REST_S: Final = 0.060
SHORT_REST_S: Final = 0.005  # what the map of time allows a network at its best
SHORT_ONE_IN: Final = 8
LITTLE_BYTES: Final = 2_048  # more is a queue being handed out, and read on at once
LOOK_S: Final = 0.25  # how soon the end of a connection, or what could not be written at once, is noticed
MISC_EVERY_S: Final = 0.5
PUBLISH: Final = int(MessageType.PUBLISH)
SHORT: Final = 127  # a length of one byte
PUBACK: Final = struct.Struct("!BBH")
SUCCESS: Final = MQTTErrorCode.MQTT_ERR_SUCCESS


def _publish(data: bytes, at: int, *, v5: bool) -> tuple[int, bytes, bytes, int, int, bool] | None:
    """Return end, topic, payload, mid, qos and retained of the PUBLISH at `at`, None if it is no such packet.

    Nor if it is not whole, has QoS 2, no topic, or properties beyond 127 bytes.
    """
    body, length = _length(data, at + 1)
    end = body + length
    if not body or data[at] & 0xF4 != PUBLISH or length < 2 or end > len(data):
        return None
    qos = data[at] >> 1 & 1
    start = body + 2 + (data[body] << 8 | data[body + 1])
    rest = start + 2 * qos + v5
    if rest > end or start == body + 2:
        return None
    if v5:
        rest += data[rest - 1]  # beyond 127 it is a length of two bytes
        if rest > end or data[start + 2 * qos] & 0x80:
            return None
    mid = data[start] << 8 | data[start + 1] if qos else 0
    return end, data[body + 2 : start], data[rest:end], mid, qos, bool(data[at] & 1)


def _length(data: bytes, at: int) -> tuple[int, int]:
    """Return where the length at `at` ends, and the length; (0, 0) where it is not whole."""
    digits = data[at : at + 4]
    if len(digits) > 1 and digits[0] & 0x80 and not digits[1] & 0x80:
        return at + 2, digits[0] & 0x7F | digits[1] << 7  # a frame's
    length = 0
    for place, digit in enumerate(digits):
        length |= (digit & 0x7F) << 7 * place
        if not digit & 0x80:
            return at + place + 1, length
    return 0, 0


def _puback(data: bytes, at: int) -> int:
    """Return the end of the whole PUBACK at `at`, 0 if it is no such packet."""
    if len(data) < at + 2 or data[at] != MessageType.PUBACK or data[at + 1] > SHORT:
        return 0
    end = at + 2 + data[at + 1]
    return end if end <= len(data) else 0


class BurstClient(paho.Client):
    """For one connection only: what was read ahead belongs to it."""

    _ahead: bytes = b""
    _at: int = 0
    _read_once: bool = False
    _got: int = 0  # bytes by the newest read
    _hurried: bool = False  # whether any of the messages it brought was
    # Topic, payload, mid, qos, retained; whether the message is in a hurry.
    on_came: Callable[[bytes, bytes, int, int, bool], bool] | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._writing = threading.RLock()

    def serve(self, ended: Callable[[], bool], timeout_s: float = float("inf")) -> None:
        """Read and keep alive in this thread until `ended`, or the time is over, or there is no connection.

        What others send is written in their own threads: paho's own loop is woken for it, which costs more
        than the write. Where a little came that is in no hurry the next read follows after a rest.
        """
        sock, waiting = self.socket(), select.poll()
        end_s, misc_s = time.monotonic() + timeout_s, 0.0
        if sock is None or sock.fileno() < 0:
            return
        waiting.register(sock, select.POLLIN)
        while not ended() and self.socket() is sock:
            now_s = time.monotonic()
            if now_s > end_s:
                return
            if now_s > misc_s:
                self.loop_misc()
                misc_s = now_s + MISC_EVERY_S
            if self.want_write():
                self.loop_write()
            if 0 < self._got < LITTLE_BYTES and not self._hurried:
                is_short = random.randrange(SHORT_ONE_IN) == 0  # noqa: S311 (jitter, no secret)
                time.sleep(SHORT_REST_S if is_short else REST_S)
            elif not self._may_read() and not waiting.poll(LOOK_S * 1000):
                continue
            self._got, self._hurried = 0, False
            self.loop_read()

    def _may_read(self) -> bool:
        """Tell whether something was read already, which nobody will wake us for: TLS reads by records."""
        pending = getattr(self.socket(), "pending", None)
        return pending is not None and pending() > 0

    def loop_write(self) -> MQTTErrorCode:
        """Write what is queued: one thread at a time, whoever it is."""
        with self._writing:
            return super().loop_write()

    def ack_many(self, mids: Sequence[int]) -> None:
        """Acknowledge QoS 1 messages in order, in one write; four bytes each, which in MQTT 5 is success."""
        if mids:
            packets = b"".join(PUBACK.pack(MessageType.PUBACK, 2, mid) for mid in mids)
            self._packet_queue(MessageType.PUBACK, packets, mids[-1], 1)

    def publish_many(self, messages: Iterable[tuple[str, bytes, int, bool]]) -> None:
        """Publish (topic, payload, QoS 0 or 1, retain) in order, in one write; nothing is sent again."""
        packets = b"".join([self._publish_packet(*message) for message in messages])
        if packets:
            self._packet_queue(MessageType.PUBLISH, packets, 0, 1)

    def _publish_packet(self, topic: str, payload: bytes, qos: int, retain: bool) -> bytes:
        name = topic.encode()
        head = struct.pack("!H", len(name)) + name
        if qos:
            head += struct.pack("!H", self._mid_generate())
        if self._protocol == paho.MQTTv5:
            head += b"\x00"  # no properties
        packet = bytearray([MessageType.PUBLISH | qos << 1 | retain])
        self._pack_remaining_length(packet, len(head) + len(payload))
        return bytes(packet) + head + payload

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Read the socket once and handle all packets that came: select() does not know of what is here."""
        self._read_once = False
        if self._at >= len(self._ahead) and self.on_came is not None:
            try:
                self._ahead, self._at = super()._sock_recv(READ_BYTES), 0
                self._got, self._read_once = len(self._ahead), bool(self._ahead)
            except BlockingIOError:
                return SUCCESS
            except OSError:  # paho meets it again, and knows what to do
                pass
        if self._take_publishes():
            return SUCCESS
        result = super().loop_read(max_packets)
        while result == SUCCESS and self._at < len(self._ahead) and self._sock is not None:
            result = SUCCESS if self._take_publishes() else super().loop_read(max_packets)
        return result

    def _take_publishes(self) -> bool:
        """Hand on what was read ahead as long as it is whole PUBLISHes of QoS 0 or 1; True if that is all.

        The usual packets, at a tenth of what they cost in paho. All others, and a packet in pieces, are its.
        """
        take = self.on_came
        if take is None or self._in_packet["command"] != 0 or self._at >= len(self._ahead):
            return False
        ahead, v5 = self._ahead, self._protocol == paho.MQTTv5
        self._last_bytes_received = time.monotonic()
        while True:
            if (found := _publish(ahead, self._at, v5=v5)) is not None:
                self._at = found[0]
                if take(*found[1:]):
                    self._hurried = True
            elif not self._out_messages and (end := _puback(ahead, self._at)):
                self._at = end  # of what `publish_many` sent: nothing waits for it
            else:
                return self._at >= len(ahead)

    def _sock_recv(self, bufsize: int) -> bytes:
        """Return up to `bufsize` bytes of what was read ahead.

        The socket is read once a turn, so that what is to be sent has its turn too.
        """
        if self._at >= len(self._ahead):
            if self._read_once:
                raise BlockingIOError
            self._ahead, self._at = super()._sock_recv(max(bufsize, READ_BYTES)), 0
            self._read_once = True
        taken = self._ahead[self._at : self._at + bufsize]
        self._at += len(taken)
        return taken
