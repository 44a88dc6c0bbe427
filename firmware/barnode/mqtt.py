"""The node's MQTT client: QoS 1 with several frames in flight out of the backlog, MQTT 5 with a fall back to
3.1.1.

Sessions are clean on purpose: what a command meant an hour ago must not happen when the node comes back. What
was in flight is kept here, not at the broker, and is sent again with DUP and the same packet id on the next
connection. Every wait is bounded. It does not connect sockets nor decide when to: see net and link.
"""

import asyncio
from array import array

from micropython import const

from barnode import mqtt_packet as packet
from barnode.clock import now_ms, since_ms
from barnode.frame import frame_length, seal
from barnode.mqtt_packet import MqttError
from barnode.net import CLOSED

WINDOW = const(8)  # frames in flight: 1 s of samples at 8 frames a second, 1.7 KB
KEEPALIVE_S = const(10)
PING_AFTER_MS = const(4000)  # silence either way
DEAD_AFTER_MS = const(8000)  # no whole packet received: a half-open connection is noticed within 10 s
CONNACK_MS = const(3000)
CONNACK_TLS_MS = const(9000)  # with the handshake, seconds of work for the chip
SUBACK_MS = const(5000)
INCOMING_MAX = const(4096)
CONTROL_MAX = const(8)  # messages of state, about and reply waiting; more means nobody takes them
_CONTROL_ID = const(100)
_SUBSCRIBE_ID = const(200)
_REFUSED_LEVEL = (1, 0x84)


class LevelRefused(MqttError):
    """The broker does not speak this version of MQTT."""


class Client:
    """One node's conversation with a broker, over as many connections as it takes.

    `backlog` gives the frames, `cells` is their width, `root` the topic root with its slash, `will` the
    payload of `state` if the node vanishes. `on_message(name, payload, retained)` is called with the topic
    behind the root.
    """

    def __init__(
        self,
        backlog,
        samples,
        cells,
        root,
        client_id,
        will,
        subscriptions,
        on_message,
        user=None,
        password=None,
    ):
        self._backlog = backlog
        self._cells = cells
        self._root = root
        self._client_id = client_id
        self._will = will
        self._subscriptions = subscriptions
        self._on_message = on_message
        self._user = user
        self._password = password
        self._topic = (root + "samples").encode()
        self._tx = bytearray(frame_length(samples, cells) + len(self._topic) + 10)
        self._slot = array("h", [-1] * WINDOW)  # packet id - 1 to the slot in flight; -1: free
        self._sequence = array("i", [0] * WINDOW)
        self._control = []  # [topic, payload, retain, in flight, sent before]; the first may be in flight
        self._subscribed = False
        self._began_ms = 0
        self._stream = CLOSED
        self._level = 5
        self._window = WINDOW
        self._wake = asyncio.Event()
        self._broken = asyncio.Event()
        self._error = None
        self._rx_ms = 0
        self._tx_ms = 0
        self.connected = False
        self.unreadable = 0
        self.tls = False
        self.beats = 0  # grows about once a second while a connection is served
        self.ended_by = 0  # the reason the broker gave when it ended the last connection, 0: none

    # For the node

    def publish(self, name, payload, retain=False):
        """Queue a message of QoS 1; False when too many wait already."""
        if len(self._control) >= CONTROL_MAX:
            return False
        self._control.append([self._root + name, payload, retain, False, False])
        self._wake.set()
        return True

    def publish_now(self, name, payload):
        """Send a message of QoS 0 if there is a connection that takes it; else it is gone."""
        if self.connected:
            self._write(packet.publish(self._level, self._root + name, payload, 0, False))

    def wake(self):
        """Tell the sender that there may be something to send."""
        self._wake.set()

    def idle(self):
        """Whether nothing of the control queue waits."""
        return not self._control

    # A connection

    async def connect(self, stream, level, births=()):
        """Say CONNECT at `level` on a fresh stream and subscribe; MqttError or OSError when refused or
        silent.

        `births` are (name, payload) published first, retained."""
        self._stream = stream
        self._level = level
        self._rx_ms = self._tx_ms = self._began_ms = now_ms()
        self._subscribed = False
        self._error = None
        self.ended_by = 0
        self._broken.clear()
        self._write(
            packet.connect(
                level,
                self._client_id,
                KEEPALIVE_S,
                self._root + "state",
                self._will,
                self._user,
                self._password,
            )
        )
        patience_ms = CONNACK_TLS_MS if self.tls else CONNACK_MS
        try:
            answer: tuple = await asyncio.wait_for(self._first_answer(), patience_ms / 1000)
        except asyncio.TimeoutError:
            raise MqttError("CONNACK expected within %d s, nothing came" % (patience_ms // 1000)) from None
        reason, maximum = packet.read_connack(level, *answer)
        if reason in _REFUSED_LEVEL:
            raise LevelRefused("MQTT level %d refused by the broker" % level)
        if reason:
            raise MqttError("connection refused with reason 0x%02x: check user and password" % reason)
        self._window = max(1, min(WINDOW, maximum - 1))  # one is kept for the control messages
        self._write(
            packet.subscribe(
                level, _SUBSCRIBE_ID, [(self._root + name, qos) for name, qos in self._subscriptions]
            )
        )
        born = [[self._root + name, payload, True, False, False] for name, payload in births]
        topics = [message[0] for message in born]
        self._control = born + [message for message in self._control if message[0] not in topics]
        for message in self._control:
            message[3] = False
        self.connected = True

    async def serve(self):
        """Run the connection until it breaks; always ends with the reason as MqttError, the stream closed."""
        self._wake.set()
        tasks = [asyncio.create_task(self._guard(work)) for work in (self._receive, self._watch, self._send)]
        try:
            await self._broken.wait()
        finally:
            for task in tasks:
                task.cancel()
            self.close()
        raise MqttError(str(self._error))

    def close(self):
        """Say DISCONNECT, so that the will stays unsaid, and close at once."""
        if self.connected and self._error is None:
            try:  # noqa: SIM105 - no contextlib on the chip
                self._stream.write(packet.DISCONNECT_BYTES, 2)
            except OSError:
                pass
        self.abandon()

    def start_over(self):
        """Close, and let go of every task that waits here: their event loop is gone."""
        self.close()
        self._wake = asyncio.Event()
        self._broken = asyncio.Event()

    def abandon(self):
        """Close without a word: the broker will publish the will."""
        self.connected = False
        self._stream.close()
        self._stream = CLOSED

    async def _guard(self, work):
        try:
            await work()
        except Exception as error:
            if self._error is None:
                self._error = (
                    error if isinstance(error, MqttError) else "%s: %s" % (type(error).__name__, error)
                )
            self.connected = False
            self._broken.set()

    # Sending

    def _write(self, data, n=-1):
        try:
            self._stream.write(data, len(data) if n < 0 else n)
        except OSError as error:
            self._fail(error)
            return
        self._tx_ms = now_ms()

    def _fail(self, error):
        if self._error is None:
            self._error = "%s: %s" % (type(error).__name__, error)
        self.connected = False
        self._broken.set()

    async def _send(self):
        await self._send_again()
        while True:
            if not (self._send_control() or self._send_frame()):
                self._wake.clear()
                await self._wake.wait()
                continue
            await self._stream.drain()

    async def _send_again(self):
        """What was in flight when the last connection broke, with DUP and its packet id."""
        self._send_control()
        for i in range(WINDOW):
            slot = self._slot[i]
            if slot < 0:
                continue
            if self._backlog.in_flight(slot, self._sequence[i]):
                self._write_frame(i, True)
                await self._stream.drain()
            else:
                self._slot[i] = -1

    def _send_control(self):
        if not self._control or self._control[0][3]:
            return False
        message = self._control[0]
        self._write(
            packet.publish(self._level, message[0], message[1], 1, message[2], _CONTROL_ID, message[4])
        )
        message[3] = message[4] = True
        return True

    def _send_frame(self):
        i = 0
        while i < self._window and self._slot[i] >= 0:
            i += 1
        if i >= self._window:
            return False
        slot = self._backlog.pick(now_ms())
        if slot < 0:
            return False
        self._slot[i] = slot
        self._sequence[i] = self._backlog.sequence[slot]
        self._write_frame(i, False)
        return True

    def _write_frame(self, i, dup):
        backlog = self._backlog
        slot = self._slot[i]
        buf = backlog.slots[slot]
        n = seal(buf, backlog.samples[slot], self._cells, backlog.flags(slot, now_ms()), backlog.oldest())
        backlog.note_sent(slot)
        self._write(self._tx, packet.publish_into(self._tx, self._level, self._topic, buf, n, i + 1, dup))

    # Receiving

    async def _first_answer(self):
        await self._stream.drain()  # with TLS the handshake takes place here
        return await self._read_packet()

    async def _read_packet(self):
        """(first byte, body) of the next packet."""
        first = (await self._stream.read(1))[0]
        return first, await self._read_body(first)

    async def _read_body(self, first):
        n = shift = 0
        while True:
            byte = (await self._stream.read(1))[0]
            n |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
            if shift > 21:
                raise MqttError("a length of 1 to 4 bytes expected, more came: the peer does not speak MQTT")
        if n > INCOMING_MAX:
            raise MqttError(
                "a packet of at most %d bytes expected, %d came (type %d)" % (INCOMING_MAX, n, first >> 4)
            )
        return await self._stream.read(n) if n else b""

    async def _receive(self):
        while True:
            first, body = await self._read_packet()
            self._rx_ms = now_ms()
            kind = first >> 4
            if kind == packet.PUBACK:
                self._take_puback(body)
            elif kind == packet.PUBLISH:
                self._take_publish(first, body)
            elif kind == packet.SUBACK:
                if packet.read_suback(self._level, body)[1] >= 0x80:
                    raise MqttError("subscriptions refused: allow this node to read its own topics")
                self._subscribed = True
            elif kind == packet.DISCONNECT:
                self.ended_by = body[0] if body else 0
                raise MqttError("the broker ended the connection, reason 0x%02x" % self.ended_by)
            elif kind != packet.PINGRESP:
                raise MqttError("a packet for a client expected, type %d came" % kind)

    def _take_puback(self, body):
        packet_id, reason = packet.read_puback(body)
        if packet_id == _CONTROL_ID:
            if self._control and self._control[0][3]:
                self._control.pop(0)
        elif 1 <= packet_id <= WINDOW:
            slot = self._slot[packet_id - 1]
            self._slot[packet_id - 1] = -1
            if slot >= 0:
                sequence = self._sequence[packet_id - 1]
                self._backlog.acknowledge(slot, sequence, now_ms(), refused=reason != 0)
        self._wake.set()

    def _take_publish(self, first, body):
        topic, payload, qos, retained, packet_id = packet.read_publish(self._level, first, body)
        if qos:
            self._write(packet.puback(packet_id))
        if topic.startswith(self._root):
            self._on_message(topic[len(self._root) :], payload, retained)

    async def _watch(self):
        """Keep-alive: silence is asked after, then taken for a broken connection."""
        while True:
            await asyncio.sleep_ms(1000)
            self.beats += 1
            now = now_ms()
            silent_ms = since_ms(now, self._rx_ms)
            if silent_ms >= DEAD_AFTER_MS:
                raise MqttError("an answer from the broker expected, silence for %d s" % (silent_ms // 1000))
            if silent_ms >= PING_AFTER_MS or since_ms(now, self._tx_ms) >= PING_AFTER_MS:
                self._write(packet.PINGREQ_BYTES)
            if not self._subscribed and since_ms(now, self._began_ms) >= SUBACK_MS:
                raise MqttError("SUBACK expected within %d s, none came" % (SUBACK_MS // 1000))
            self._backlog.requeue_due(now)
            self._wake.set()
