"""What the host may ask of the node: each command is checked, done or refused with a reason, and answered
once."""

import asyncio
import json

_REMEMBERED = 8
_WAITING = 4
_NONE = (None, ())


class Commands:
    """`handlers` maps a command to (coroutine function, names of its fields). The function takes the request
    and returns the reply's further fields; a ValueError in it is the reason of a refusal. `reply` takes
    (name, payload) as Client.publish does."""

    def __init__(self, handlers, reply):
        self._handlers = handlers
        self._reply = reply
        self._waiting = []
        self._done = []
        self._arrived = asyncio.Event()

    def take(self, payload):
        """A message of the `command` topic; ValueError when it is not even a request."""
        request = json.loads(payload)
        if not isinstance(request, dict):
            raise ValueError("an object with id and command expected, %r came" % (request,))  # noqa: TRY004 - one kind of refusal
        name = request.get("id")
        if not isinstance(name, str) or not 1 <= len(name) <= 36:
            raise ValueError("id: text of 1 to 36 characters expected, %r came" % (name,))
        if name in self._done:
            return  # delivered twice, done once
        if len(self._waiting) >= _WAITING:
            self._answer(
                request, "at most %d commands may wait, this one is too many: send it again later" % _WAITING
            )
            return
        self._done = self._done[1 - _REMEMBERED :] + [name]
        self._waiting.append(request)
        self._arrived.set()

    async def run(self):
        """Do them one after the other, for ever."""
        while True:
            while self._waiting:
                await self._do(self._waiting.pop(0))
            self._arrived.clear()
            await self._arrived.wait()

    async def _do(self, request):
        command = request.get("command")
        handler, allowed = self._handlers.get(command, _NONE) if isinstance(command, str) else _NONE
        if handler is None:
            known = ", ".join(sorted(self._handlers))
            self._answer(
                request, "command: one of %s expected, %r came: correct the command" % (known, command)
            )
            return
        for field in request:
            if field not in ("id", "command") and field not in allowed:
                known = ", ".join(allowed) or "no fields"
                self._answer(request, "%s of %s expected, field %s came: remove it" % (known, command, field))
                return
        try:
            fields = await handler(request)
        except ValueError as error:
            self._answer(request, str(error))
            return
        except (OSError, MemoryError, TypeError, KeyError) as error:
            self._answer(request, "it failed on the node (%s: %s): try again" % (type(error).__name__, error))
            return
        self._answer(request, None, fields)

    def _answer(self, request, reason, fields=None):
        answer = {"id": request["id"], "command": request.get("command"), "ok": reason is None}
        if reason is not None:
            answer["reason"] = reason
        if fields:
            answer.update(fields)
        self._reply("reply", json.dumps(answer).encode())
