"""The link to the broker: paho-mqtt behind a small surface that acknowledges only what it is told to.

It keeps one persistent session, reconnects by itself and hands messages on in batches. What a message means,
and when it is stored, is the pipeline's business. Each connection is a client object of its own, so that an
acknowledgement of a former connection can never be sent on a new one.
"""

from __future__ import annotations

import contextlib
import logging
import random
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from ashibar.io.mqtt_client import BurstClient

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

log = logging.getLogger(__name__)

RECONNECT_MIN_S = 0.2  # a broker that restarts is back within this
RECONNECT_MAX_S = 5.0  # an outage must end soon after the broker is back
CONNECT_TIMEOUT_S = 5.0
CONNACK_TIMEOUT_S = 3.0  # an MQTT 3 broker may leave an MQTT 5 CONNECT without any answer
KEEPALIVE_S = 10  # a half-open connection is noticed within 1.5 times this
SESSION_EXPIRY_S = 7 * 24 * 3600  # the broker keeps what arrives while the host is away
RECEIVE_MAXIMUM = 4000  # messages the broker may have unacknowledged at us: one group commit holds them all
SILENT_V5_BEFORE_FALLBACK = 2  # one broken handshake may be a restarting broker, two are an MQTT 3 broker
# Messages that are not urgent wait for each other; MQTT 3.1.1 brokers send 20 and wait for the answers.
TOGETHER, TOGETHER_V311 = 100, 8
MAX_VOLATILE = 5000  # QoS 0 messages waiting; more are dropped and counted, they are repeated anyway
UNSUPPORTED_VERSION = 0x84

# Topic, payload and time of a message: whether `receive` is to return, and what is `hurries` of an Inbound.
Judge = Callable[[str, bytes, int], tuple[bool, tuple[str, ...] | None]]
Protocol = Literal["auto", "5", "3.1.1"]


class MqttError(Exception):
    """The broker could not be used as configured."""


class NotConnectedError(MqttError):
    """There is no connection to the broker at this moment."""


class RefusedError(MqttError):
    """The broker answered and refused; the message says why and what to do."""


class Inbound(NamedTuple):
    """One received message. `connection` and `mid` say what an acknowledgement would refer to.

    `hurries`: what must not wait for it, as `Link.judge` said; None where it was not asked.
    """

    topic: str
    payload: bytes
    mid: int
    qos: int
    retain: bool
    mono_us: int
    utc_us: int
    connection: int
    hurries: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttOptions:
    """Where the broker is and how to talk to it. Paths are of PEM files; TLS is on when `tls` is.

    Not `persistent`: the broker keeps nothing for us while we are away.
    """

    host: str
    port: int
    client_id: str
    protocol: Protocol = "auto"
    username: str | None = None
    password: str | None = None
    tls: bool = False
    ca_file: Path | None = None
    persistent: bool = True
    keepalive_s: int = KEEPALIVE_S


@dataclass(slots=True)
class MqttStats:
    """Counters since start."""

    connects: int = 0
    sessions_lost: int = 0
    received: int = 0
    acknowledged: int = 0
    acknowledgements_void: int = 0
    volatile_dropped: int = 0
    last_error: str = ""


class Link:
    """A persistent MQTT session.

    It has one thread, which connects and reads; what is sent is written by whoever sends. `receive` belongs
    to one caller thread, `ack` to one. `arrived` is called in the link's after each message.
    """

    def __init__(
        self,
        options: MqttOptions,
        subscriptions: Sequence[tuple[str, int]],
        *,
        arrived: Callable[[], None] = lambda: None,
        mono_us: Callable[[], int] = lambda: time.monotonic_ns() // 1000,
        utc_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self.stats = MqttStats()
        self._options = options
        self._subscriptions = list(subscriptions)
        self._told = arrived
        self._mono_us = mono_us
        self._utc_us = utc_us
        self.judge: Judge = lambda *_: (True, None)  # asked in the link's thread
        self.unjudged: Callable[[str], tuple[bool, tuple[str, ...] | None]] = lambda _: (True, None)
        self._queue: deque[Inbound] = deque()
        self._arrived = threading.Event()
        self._due_us = 0  # when `receive` is to return
        self._stopping = threading.Event()
        self._connected = threading.Event()
        self._accepted = False
        self._client: BurstClient | None = None
        self._connection = 0
        self._version = paho.MQTTv311 if options.protocol == "3.1.1" else paho.MQTTv5
        self._silent = 0
        self._thread = threading.Thread(target=self._supervise, name="mqtt-link", daemon=True)

    @property
    def connected(self) -> bool:
        """True while the broker has accepted us and granted the subscriptions."""
        return self._connected.is_set()

    @property
    def protocol(self) -> str:
        """The version spoken on the newest connection."""
        return "5" if self._version == paho.MQTTv5 else "3.1.1"

    @property
    def sends_few(self) -> bool:
        """Whether the broker may wait for our answers after a few messages: MQTT 3.1.1 sets no number."""
        return self._version == paho.MQTTv311

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Leave the broker, keeping the session there; idempotent, returns within about a second."""
        self._stopping.set()
        self._arrived.set()
        client = self._client
        if client is not None:
            client.disconnect()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)

    def wait_connected(self, timeout_s: float) -> bool:
        """Wait until connected; False when the time ran out."""
        return self._connected.wait(timeout_s)

    def wake(self) -> None:
        """Make a waiting `receive` return early."""
        self._arrived.set()

    def receive(self, max_items: int, timeout_s: float, slack_s: float = 0.0) -> list[Inbound]:
        """Take up to `max_items` messages in order of arrival: at once with an urgent one, or with many.

        Returns those that came meanwhile after `timeout_s`; with the next one if that comes within `slack_s`
        more, so that one wake does for both.
        """
        queue = self._queue
        self._due_us = self._mono_us() + round(timeout_s * 1e6)
        self._arrived.wait(timeout_s + slack_s)
        self._arrived.clear()
        take = min(len(queue), max_items)
        if take == max_items:
            self._arrived.set()
        return [queue.popleft() for _ in range(take)]

    def ack(self, messages: Sequence[Inbound]) -> int:
        """Acknowledge QoS 1 messages that are stored; returns how many were sent.

        Those of a former connection are left out: the broker delivers them again and the journal knows them.
        """
        client, connection = self._client, self._connection
        mids: list[int] = []
        if client is not None and self._accepted:
            mids = [each.mid for each in messages if each.qos and each.connection == connection]
            client.ack_many(mids)
        self.stats.acknowledged += len(mids)
        self.stats.acknowledgements_void += sum(1 for message in messages if message.qos) - len(mids)
        return len(mids)

    def publish(self, topic: str, payload: bytes, qos: int, *, retain: bool) -> None:
        """Send one message now. Nothing is kept for later: what the host says is repeated, or stale.

        Raises NotConnectedError when there is no connection.
        """
        client = self._client
        if client is None or not self._accepted:
            raise NotConnectedError(
                f"expected a connection to publish {topic!r}, there is none; it is being made again"
            )
        result = client.publish(topic, payload, qos, retain=retain)
        if result.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise NotConnectedError(f"could not publish {topic!r}: {paho.error_string(result.rc)}")

    def publish_many(self, messages: Sequence[tuple[str, bytes, int, bool]]) -> None:
        """Send (topic, payload, qos, retain) in order in one write, once; `publish` sends QoS 1 again.

        Raises NotConnectedError when there is no connection.
        """
        client = self._client
        if client is None or not self._accepted:
            raise NotConnectedError("expected a connection to publish, there is none; it is being made again")
        client.publish_many(messages)

    # The supervisor: connect, wait for the end, back off, again.

    def _supervise(self) -> None:
        delay_s = RECONNECT_MIN_S
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._one_connection()
            except (OSError, MqttError, ValueError) as error:
                self._complain(error)
            if time.monotonic() - began > RECONNECT_MAX_S:
                delay_s = RECONNECT_MIN_S
            self._stopping.wait(delay_s * random.uniform(0.8, 1.2))  # noqa: S311 (jitter, no secret)
            delay_s = min(delay_s * 2, RECONNECT_MAX_S)

    def _complain(self, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"
        if text != self.stats.last_error:  # once per cause, not once per attempt
            log.warning("broker %s:%s: %s; trying again", self._options.host, self._options.port, text)
        self.stats.last_error = text

    def _one_connection(self) -> None:
        """Connect, stay until the connection ends. Raises why it could not be made."""
        answered, closed = threading.Event(), threading.Event()
        refused: list[str] = []
        client = self._make_client(answered, closed, refused)
        self._client = client
        try:
            self._connect(client)
            client.serve(answered.is_set, CONNACK_TIMEOUT_S)
            if not answered.is_set() or (closed.is_set() and not self._accepted):
                self._not_accepted(refused)
            else:
                self._silent = 0
            client.serve(closed.is_set)
        finally:
            self._accepted = False
            self._connected.clear()
            self._client = None
            with contextlib.suppress(ValueError, OSError):
                client.disconnect()

    def _connect(self, client: paho.Client) -> None:
        options = self._options
        if self._version == paho.MQTTv5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = SESSION_EXPIRY_S if options.persistent else 0
            properties.ReceiveMaximum = RECEIVE_MAXIMUM
            client.connect(
                options.host,
                options.port,
                options.keepalive_s,
                clean_start=not options.persistent,
                properties=properties,
            )
        else:
            client.connect(options.host, options.port, options.keepalive_s)

    def _not_accepted(self, refused: list[str]) -> None:
        """Raise why there was no CONNACK of success; falls back to MQTT 3.1.1 where that is the reason."""
        spoken, auto = self.protocol, self._options.protocol == "auto"
        if refused and refused[0] != "version":
            raise RefusedError(
                f"the broker refused: {refused[0]}; check user, password and client_id under [mqtt]"
            )
        self._silent += 1
        if auto and spoken == "5" and (refused or self._silent >= SILENT_V5_BEFORE_FALLBACK):
            self._version = paho.MQTTv311
            log.info("the broker does not answer MQTT 5; trying MQTT 3.1.1")
        elif auto and spoken == "3.1.1" and not refused:
            self._version, self._silent = paho.MQTTv5, 0  # silent to both: it hung, MQTT 5 or not
        raise MqttError(f"expected a CONNACK to MQTT {spoken} within {CONNACK_TIMEOUT_S} s, none came")

    def _make_client(
        self, answered: threading.Event, closed: threading.Event, refused: list[str]
    ) -> BurstClient:
        options = self._options
        client = BurstClient(
            CallbackAPIVersion.VERSION2,
            options.client_id,
            clean_session=None if self._version == paho.MQTTv5 else not options.persistent,
            protocol=self._version,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.max_inflight_messages_set(0)
        if options.username is not None:
            client.username_pw_set(options.username, options.password)
        if options.tls:
            client.tls_set(
                str(options.ca_file) if options.ca_file else None, tls_version=ssl.PROTOCOL_TLS_CLIENT
            )
        self._connection += 1
        self._install(client, self._connection, answered, closed, refused)
        return client

    def _taker(self, connection: int) -> Callable[[bytes, bytes, int, int, bool], bool]:
        """Return what puts a message of a connection into the queue. Runs in the link's thread."""
        queue, stats, arrived, told = self._queue, self.stats, self._arrived, self._told
        mono_us, utc_us = self._mono_us, self._utc_us
        together = TOGETHER if self._version == paho.MQTTv5 else TOGETHER_V311

        def came(topic: bytes, payload: bytes, mid: int, qos: int, retain: bool) -> bool:
            if qos == 0 and len(queue) > MAX_VOLATILE:
                stats.volatile_dropped += 1
                return False
            try:
                name = topic.decode()
            except UnicodeDecodeError:
                name = "\ufffd"
            stats.received += 1
            came_us, now_us = utc_us(), mono_us()
            # A queue that is handed out is evaluated in pieces anyway: to look at each frame costs a quarter.
            urgent, hurries = (
                self.judge(name, payload, came_us) if len(queue) < together else self.unjudged(name)
            )
            queue.append(Inbound(name, payload, mid, qos, retain, now_us, came_us, connection, hurries))
            if urgent or len(queue) >= together or now_us >= self._due_us:
                arrived.set()
            told()
            return urgent

        return came

    def _install(
        self,
        client: BurstClient,
        connection: int,
        answered: threading.Event,
        closed: threading.Event,
        refused: list[str],
    ) -> None:
        """Set the callbacks of one client; they close over their connection's own number."""
        came = self._taker(connection)

        def on_message(_client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
            topic = message._topic  # noqa: SLF001 (as it came: `topic` raises where it is no UTF-8)
            came(topic, bytes(message.payload), message.mid, message.qos, message.retain)

        def on_connect(
            _client: paho.Client, _data: Any, flags: paho.ConnectFlags, reason: Any, _props: Any
        ) -> None:
            if reason.is_failure:
                refused.append("version" if reason.value in (1, UNSUPPORTED_VERSION) else str(reason))
                closed.set()
            else:
                self._subscribe(client, session_present=flags.session_present)
            answered.set()

        def on_disconnect(_client: paho.Client, _data: Any, _flags: Any, reason: Any, _props: Any) -> None:
            if reason.is_failure and self._accepted and not self._stopping.is_set():
                self._complain(MqttError(f"connection lost: {reason}"))
            self._accepted = False
            self._connected.clear()
            closed.set()
            answered.set()

        def on_subscribe(
            _client: paho.Client, _data: Any, _mid: int, reasons: list[Any], _props: Any
        ) -> None:
            self._granted(reasons)

        client.on_message = on_message
        client.on_came = came
        client.on_subscribe = on_subscribe
        client.on_connect = on_connect
        client.on_disconnect = on_disconnect
        client.on_socket_open = _no_delay

    def _granted(self, reasons: list[Any]) -> None:
        refusals = [str(reason) for reason in reasons if reason.is_failure]
        if refusals:
            self._complain(RefusedError(f"subscription refused: {refusals[0]}; allow it in the broker's ACL"))
            return
        self.stats.last_error = ""
        self._connected.set()
        log.info("connected to %s:%s, MQTT %s", self._options.host, self._options.port, self.protocol)

    def _subscribe(self, client: paho.Client, *, session_present: bool) -> None:
        """Renew the subscriptions: a broker that lost its sessions comes back without them."""
        if self.stats.connects and not session_present and self._options.persistent:
            self.stats.sessions_lost += 1
            log.warning("the broker has lost our session; nodes send again what was not committed")
        self.stats.connects += 1
        self._accepted = True
        if self._version == paho.MQTTv5:
            client.subscribe([(topic, SubscribeOptions(qos=qos)) for topic, qos in self._subscriptions])
        else:
            client.subscribe(self._subscriptions)


def _no_delay(_client: paho.Client, _data: Any, sock: Any) -> None:
    """Switch Nagle's algorithm off: with it an answer waits for the peer's delayed ACK, 12 to 42 ms."""
    with contextlib.suppress(OSError, AttributeError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
