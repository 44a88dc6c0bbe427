"""When the flash may be written: a person has said that nobody works under the bars, and no measurement
denies it."""

from barnode.clock import now_ms, since_ms

LOADED_N = 50  # 5 kg on all bars together: more than zero drift, less than any hand that holds on
LONGEST_MIN = 120
_DISPLAY_FRESH_MS = 5000


class Maintenance:
    """Ends by itself, so that a node forgotten in it does not stay so.

    `display()` answers the last `display` message as a dict, None when there was none, and its age in
    milliseconds; `sum_n()` the bars' force, None when unknown.
    """

    def __init__(self, display, sum_n):
        self._display = display
        self._sum_n = sum_n
        self._began_ms = 0
        self._lasts_ms = 0

    async def command(self, request):
        """`{"on": true, "minutes": 30}` or `{"on": false}`."""
        on = request.get("on")
        minutes = request.get("minutes", 30)
        if on is not True and on is not False:
            raise ValueError("on: true or false expected, %r came" % (on,))
        if isinstance(minutes, bool) or not isinstance(minutes, int) or not 1 <= minutes <= LONGEST_MIN:
            raise ValueError("minutes: 1 to %d expected, %r came" % (LONGEST_MIN, minutes))
        if on and self.loaded():
            raise ValueError(self.loaded())
        self._began_ms = now_ms()
        self._lasts_ms = minutes * 60000 if on else 0
        return {"on": on, "minutes": minutes if on else 0}

    def active(self):
        """Whether it is on."""
        if since_ms(now_ms(), self._began_ms) >= self._lasts_ms:
            self._lasts_ms = 0
        return self._lasts_ms > 0

    def loaded(self):
        """Why somebody may be under the bars, or None. Without calibration only the host's word counts."""
        display, age_ms = self._display()
        if display and age_ms < _DISPLAY_FRESH_MS and display.get("validity") != "not in session":
            return "a session is live on these bars: end it first"
        force_n = self._sum_n()
        if force_n is not None and abs(force_n) > LOADED_N:
            return "bars free of load expected, %d N measured: nobody may hold on to them" % force_n
        return None

    def refusal(self):
        """Why the flash must not be written now, or None."""
        if not self.active():
            return "maintenance expected, it is off: switch it on with the command maintenance"
        return self.loaded()
