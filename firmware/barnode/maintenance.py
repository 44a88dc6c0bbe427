"""When the flash may be written: a person has said that nobody works under the bars, and no measurement
denies it."""

from barnode.clock import now_ms, since_ms

LOADED_N = 50  # 5 kg on all bars together: more than zero drift, less than any hand that holds on
LONGEST_MIN = 120
SESSION_HELD_MS = 60000  # a host that hiccups or falls silent has not ended the session it told of
_NO_SESSION = "not in session"
_SAYS_NOTHING = ("stale", "fault")  # they outrank the host's word on the session


class Maintenance:
    """Ends by itself, so that a node forgotten in it does not stay so.

    `force_n()` answers what the bars' readable cells carry, None when there are none.
    """

    def __init__(self, force_n):
        self._force_n = force_n
        self._session = False
        self._session_ms = 0
        self._began_ms = 0
        self._lasts_ms = 0

    def hear(self, display):
        """A `display` message has come: it may tell whether a session is live."""
        live = display.get("session")
        if live is not True and live is not False:  # a host that does not say it
            validity = display.get("validity")
            if not isinstance(validity, str) or validity in _SAYS_NOTHING:
                return
            live = validity != _NO_SESSION
        self._session = live
        self._session_ms = now_ms()

    def in_session(self):
        """Whether the host said so, within a minute."""
        if self._session and since_ms(now_ms(), self._session_ms) >= SESSION_HELD_MS:
            self._session = False
        return self._session

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
        if self.in_session():
            return "bars without a session expected, one is live or was within the last minute: end it first"
        force_n = self._force_n()
        if force_n is not None and abs(force_n) > LOADED_N:
            return "bars free of load expected, %d N measured: nobody may hold on to them" % force_n
        return None

    def refusal(self):
        """Why the flash must not be written now, or None."""
        if not self.active():
            return "maintenance expected, it is off: switch it on with the command maintenance"
        return self.loaded()
