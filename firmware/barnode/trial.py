"""Watches a new version on trial: confirms it when it is healthy, resets the chip when it does not get so."""

import asyncio

from barnode.clock import now_ms, since_ms

_LOOK_MS = 500
_PATIENCE = 4  # times `healthy_s`: by then it must have been healthy


class Trial:
    """Healthy is connected and sampling for `healthy_s` without a break.

    `connected()` and `taken()` (samples since boot) are the node's; `loaded()` says that nothing may be
    written to the flash now: the confirmation waits for the bars to be free.
    """

    def __init__(self, loader, healthy_s, connected, taken, loaded, on_confirmed):
        self._loader = loader
        self._healthy_ms = healthy_s * 1000
        self._connected = connected
        self._taken = taken
        self._loaded = loaded
        self._on_confirmed = on_confirmed

    async def run(self):
        """For ever; there is work only while a version is on trial."""
        loader = self._loader
        if loader is not None and loader.trial:
            loader.stand_down()
            await self._decide(loader)
        await asyncio.Event().wait()

    async def _decide(self, loader):
        began = since = now_ms()
        taken = self._taken()
        while True:
            await asyncio.sleep_ms(_LOOK_MS)
            now = now_ms()
            before, taken = taken, self._taken()
            if taken == before or not self._connected():
                since = now
                if since_ms(now, began) >= _PATIENCE * self._healthy_ms:
                    print("update: not healthy within %d s" % (_PATIENCE * self._healthy_ms // 1000))
                    loader.reset()
            elif since_ms(now, since) >= self._healthy_ms and not self._loaded():
                loader.confirm()
                self._on_confirmed()
                return
