"""Speaks to one node: sends a command and waits for its reply, and sees what the node says of itself."""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
from typing import TYPE_CHECKING, Any, Final, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from ashibar.core import messages
from ashibar.core.topics import Kind, build
from ashibar.node.errors import NodeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

REPLY_WITHIN_S: Final = 5.0
_CONNECT_WITHIN_S: Final = 10.0


class Refused(NodeError):  # noqa: N818 - it is the node's answer
    """The node refused; the text is its reason."""


class NoReply(NodeError):  # noqa: N818 - it is the lack of an answer
    """No reply came in time: the command may have been done or not."""


class Commander:
    """A connection for commands to `node` of `studio`; a context manager."""

    def __init__(
        self,
        host: str,
        port: int,
        studio: str,
        node: str,
        *,
        user: str | None = None,
        password: str | None = None,
    ) -> None:
        self.node = node
        self._address = (host, port)
        self._topics = {kind: build(studio, node, kind) for kind in (Kind.ABOUT, Kind.REPLY, Kind.COMMAND)}
        self._news = threading.Condition()
        self._replies: dict[str, messages.Reply] = {}
        self._about: messages.About | None = None
        self._ready = threading.Event()
        self._refused: str | None = None
        self._client = paho.Client(CallbackAPIVersion.VERSION2, f"ashibar-command-{secrets.token_hex(4)}")
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._on_message
        self._client.on_socket_open = _no_delay
        if user is not None:
            self._client.username_pw_set(user, password)

    def __enter__(self) -> Self:
        host, port = self._address
        try:
            self._client.connect(host, port)
        except OSError as error:
            raise NodeError(
                f"expected a broker at {host}:{port}, {error}: check address and broker"
            ) from None
        self._client.loop_start()
        if not self._ready.wait(_CONNECT_WITHIN_S):
            self.__exit__(None, None, None)
            why = self._refused or f"no answer within {_CONNECT_WITHIN_S:g} s"
            raise NodeError(f"expected to be accepted by {host}:{port}, {why}: check user and password")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def ask(self, command: str, within_s: float = REPLY_WITHIN_S, **parameters: Any) -> dict[str, Any]:
        """Send a command and return the reply's further fields. Raises Refused or NoReply."""
        name = secrets.token_hex(8)
        request = messages.encode(messages.Command(name, command, parameters))
        self._client.publish(self._topics[Kind.COMMAND], request, 1)
        with self._news:
            if not self._news.wait_for(lambda: name in self._replies, within_s):
                raise NoReply(
                    f"{self.node}: a reply to {command} expected within {within_s:g} s, none came: check it"
                )
            reply = self._replies.pop(name)
        if not reply.ok:
            raise Refused(f"{self.node} refuses {command}: {reply.reason}")
        return reply.result

    def about(self, wanted: Callable[[messages.About], bool], within_s: float) -> messages.About | None:
        """Wait for an `about` that `wanted` accepts; None when none came in time."""
        with self._news:
            self._news.wait_for(lambda: self._about is not None and wanted(self._about), within_s)
            return self._about if self._about is not None and wanted(self._about) else None

    def _on_connect(
        self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        if reason.is_failure:
            self._refused = str(reason)
            return
        client.subscribe([(self._topics[kind], 1) for kind in (Kind.ABOUT, Kind.REPLY)])

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        with self._news, contextlib.suppress(messages.MessageError):
            if message.topic == self._topics[Kind.REPLY]:
                reply = messages.decode_as(messages.Reply, bytes(message.payload))
                self._replies[reply.id] = reply
            else:
                self._about = messages.decode_as(messages.About, bytes(message.payload))
            self._news.notify_all()


def _no_delay(_client: paho.Client, _data: Any, sock: Any) -> None:
    with contextlib.suppress(OSError, AttributeError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
