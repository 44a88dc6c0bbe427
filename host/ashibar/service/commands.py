"""Session commands over MQTT: a checked message in, a request at the desk, the answer out as a message.

It takes only what is on the session topics; everything else passes through.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ashibar.core import requests, topics
from ashibar.io.mqtt import NotConnectedError

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ashibar.io.mqtt import Inbound, Link
    from ashibar.service.desk import Desk
    from ashibar.service.service import Service

log = logging.getLogger(__name__)

KINDS: Final = {
    "start": requests.SessionStart,
    "end": requests.SessionEnd,
    "keep": requests.SessionKeep,
}
REMEMBERED: Final = 200  # ids of commands: a broker may deliver one twice
MAX_BYTES: Final = 4096


class Commands:
    """Takes session commands out of what came. One thread; answers go out in the journal's."""

    def __init__(self, studio: str, link: Link, desk: Desk, service: Service) -> None:
        self._studio = studio
        self._link = link
        self._desk = desk
        self._service = service
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def take(self, inbound: list[Inbound]) -> tuple[list[Inbound], list[Inbound]]:
        """Act on commands; return them, and the other messages."""
        mine, rest = [], []
        for message in inbound:
            rig = topics.session_rig(self._studio, message.topic)
            if rig is None:
                rest.append(message)
                continue
            mine.append(message)
            if rig not in self._service.rigs:
                log.warning("a session command for an unknown rig came: %s", message.topic)
            else:
                self._one(rig, message)
        return mine, rest

    def _one(self, rig: str, message: Inbound) -> None:
        number = None
        try:
            number, request = _request(rig, message)
            if (rig, number) in self._known:
                return  # delivered again: it was answered, or is about to be
            self._known[rig, number] = None
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
            if isinstance(request, requests.SessionEnd | requests.SessionKeep) and not request.id:
                running = self._service.rigs[rig].session.running
                request = msgspec.structs.replace(request, id="none" if running is None else running.id)
        except requests.RequestError as error:
            self._reply(rig, {"id": number, "ok": False, "reason": str(error)})
            return
        self._desk.ask(request).add_done_callback(partial(self._answered, rig, number))

    def _answered(self, rig: str, number: str, answer: Future[Any]) -> None:
        error = answer.exception()
        if error is None:
            self._reply(rig, {"id": number, "ok": True, "session": answer.result()})
        else:
            self._reply(rig, {"id": number, "ok": False, "reason": str(error)})

    def _reply(self, rig: str, content: dict[str, Any]) -> None:
        try:
            topic = topics.session_reply(self._studio, rig)
            self._link.publish(topic, msgspec.json.encode(content), 1, retain=False)
        except NotConnectedError:
            log.warning("the answer to a session command of %s could not be sent", rig)


def _request(rig: str, message: Inbound) -> tuple[str, requests.Request]:
    """Return id and request of a command. RequestError says what is wrong with it."""
    payload = message.payload
    if message.retain:
        raise requests.RequestError("a message that is not retained was expected: send it without")
    if len(payload) > MAX_BYTES:
        raise requests.RequestError(
            f"at most {MAX_BYTES} bytes were expected, {len(payload)} came: shorten it"
        )
    try:
        fields = msgspec.json.decode(payload, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise requests.RequestError(f"a JSON object was expected: {error}") from error
    number, do = fields.pop("id", None), fields.pop("do", None)
    if not isinstance(number, str) or not 1 <= len(number) <= 36:
        raise requests.RequestError("an id of 1 to 36 characters was expected: give one, it is in the answer")
    if not isinstance(do, str) or do not in KINDS:
        raise requests.RequestError(f"do: one of {', '.join(KINDS)} was expected, {do!r} came: choose one")
    if "from" in fields:
        raise requests.RequestError("no field 'from' was expected: the host knows it")
    return number, requests.read(KINDS[do], msgspec.json.encode(fields), rig=rig, **{"from": "mqtt"})
