"""What the node shows and sounds by itself, with or without network and host. It judges nothing: the load is
the overload watch's and the host's to judge."""

import asyncio

from micropython import const

from barnode import lights
from barnode.clock import now_ms, since_ms

LOOK_MS = const(50)  # with two samples of 12.5 ms an overload is shown well within 0.2 s
DISPLAY_FRESH_MS = const(1000)
_FRACTION_MOST = const(10)  # of body weight: beyond it there is no load, whoever says so
_BEEP_MS = const(250)  # of each second of an overload
_BEEPS_MS = const(60000)  # after this the light alone goes on


class Alone:
    """`overload` is the watch, `faulty()` says whether a cell cannot be read, `twin()` whether another board
    has this one's name."""

    def __init__(self, light, buzzer, overload, faulty, twin):
        self._light = light
        self._buzzer = buzzer
        self._overload = overload
        self._faulty = faulty
        self._twin = twin
        self._display = None
        self._display_ms = 0
        self._began_ms = -1

    def display(self, message):
        """A `display` message has come."""
        self._display = message
        self._display_ms = now_ms()

    async def run(self):
        """For ever."""
        while True:
            self.look(now_ms())
            await asyncio.sleep_ms(LOOK_MS)

    def look(self, now):
        """Bring light and buzzer up to date."""
        if self._display is not None and since_ms(now, self._display_ms) > 6 * DISPLAY_FRESH_MS:
            self._display = (
                None  # the counter of milliseconds wraps: an old message must not look fresh again
            )
        over = self._overload.active()
        self._sound(over, now)
        half = now // lights.HALF_MS & 1
        if over:
            self._light.show(lights.OVERLOAD, half)
        elif self._twin():
            self._light.show(lights.TWINS, half)
        elif self._faulty():
            self._light.show(lights.FAULT)
        else:
            self._show_display(now)

    def _show_display(self, now):
        display = self._display
        if display is None or since_ms(now, self._display_ms) > DISPLAY_FRESH_MS:
            self._light.show(lights.NO_DATA)
            return
        fraction = display.get("fraction")
        if isinstance(fraction, (int, float)) and -_FRACTION_MOST <= fraction <= _FRACTION_MOST:
            self._light.show(lights.BAR, 0, fraction, display.get("band"))
            return
        validity = display.get("validity")
        sign = {"stale": lights.NO_DATA, "fault": lights.FAULT}.get(validity, lights.WAITING)
        self._light.show(sign)

    def _sound(self, over, now):
        if not over:
            self._began_ms = -1
            self._buzzer.sound(False)
            return
        if self._began_ms < 0:
            self._began_ms = now
        since = since_ms(now, self._began_ms)
        self._buzzer.sound(since < _BEEPS_MS and since % 1000 < _BEEP_MS)
