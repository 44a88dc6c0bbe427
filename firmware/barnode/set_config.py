"""Changes the configuration over the air: tried for one start, kept if the link returns with them, else taken
back."""

import asyncio
import json

from micropython import const

from barnode import scratch, settings
from barnode.clock import now_ms, since_ms
from barnode.config import Config

FIELDS = ("studio", "node", "wifi", "broker", "cells", "overload", "samples_per_frame", "backlog_frames")
RETURN_MS = const(60000)
_LOOK_MS = const(500)
_PATIENCE_MS = const(3000)  # a connection that lasts so long has returned


class Settings:
    """The command `set config`. `source`: see settings.given. `loaded()` is why nothing may be written now,
    or None; `restart()` starts the node again."""

    def __init__(self, records, source, loaded, restart):
        self._records = records
        self._source = source
        self._loaded = loaded
        self._restart = restart

    async def command(self, request):
        """`{"config": {"wifi": {...}, "overload": null}}`: fields to replace; null returns one to the
        file's."""
        asked = request.get("config")
        if not isinstance(asked, dict) or not asked:
            raise ValueError(
                "config: an object with fields of %s expected, %r came" % (", ".join(FIELDS), asked)
            )
        for field in asked:
            if field not in FIELDS:
                raise ValueError(
                    "config: one of %s expected, field %s came: remove it" % (", ".join(FIELDS), field)
                )
        changes = settings.read(self._records, settings.KEPT, []) or {}
        changes.update(asked)
        changes = {field: value for field, value in changes.items() if value is not None}
        self._expect_sound(changes)
        reason = self._loaded()
        if reason:
            raise ValueError(reason)
        scratch.note("tried", None)
        self._records.write(settings.TRIED, json.dumps(changes).encode())
        self._restart()
        return {"fields": sorted(changes), "tried_s": RETURN_MS // 1000}

    def _expect_sound(self, changes):
        given = settings.given(self._source, [])
        given = given if isinstance(given, dict) else {}
        before = Config(given).problems
        merged = dict(given)
        merged.update(changes)
        for problem in Config(merged).problems:
            if problem not in before:
                raise ValueError(problem)


class SettingsTrial:
    """Keeps the changes on trial once the link has returned with them, else restarts without."""

    def __init__(self, records, connected, loaded, restart, problems):
        self._records = records
        self._connected = connected
        self._loaded = loaded
        self._restart = restart
        self._problems = problems

    async def run(self):
        """Until that is decided, then idle."""
        began = since = now_ms()
        while True:
            await asyncio.sleep_ms(_LOOK_MS)
            now = now_ms()
            if not self._connected():
                since = now
                if since_ms(now, began) >= RETURN_MS:
                    print("settings: the link has not returned, the change is taken back")
                    self._restart()  # `tried` stands noted: the next start drops it
                    break
            elif since_ms(now, since) >= _PATIENCE_MS and not self._loaded():
                self._keep()
                break
        await asyncio.Event().wait()

    def _keep(self):
        payload = self._records.read(settings.TRIED)
        try:
            self._records.write(settings.KEPT, payload)
            self._records.forget(settings.TRIED)
            scratch.note("tried", None)
        except ValueError as error:
            self._problems.append("settings: %s" % error)
