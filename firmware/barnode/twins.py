"""Notices another living board of the same name at the same broker, and says so in words.

A broker ends the older of two connections of one name, so both boards lose theirs again and again.
"""

from micropython import const

from barnode.clock import now_ms, since_ms

_MEMORY_MS = const(60000)  # evidence is forgotten after this
_SIGHTINGS = const(2)  # of another board's state since ours: one may be a broker that lost what it knew


class Twins:
    """`name` is the node's, `boot` this boot's, `hardware` the board's own number or None; `changed()` is
    called when the problem comes or goes."""

    def __init__(self, name, boot, hardware, changed):
        self._name = name
        self._boot = boot
        self._hardware = hardware
        self._changed = changed
        self._other = None
        self._sightings = 0
        self._seen_ms = 0
        self._sure = False

    def taken_over(self):
        """The broker said that another client has taken this one's place."""
        self._sightings = _SIGHTINGS
        self._see()

    def state(self, word, retained, connections):
        """A `state` of this node's own topic: one kept by the broker that is not ours, after we had said ours
        on an earlier connection, is another board's."""
        if word["boot"] == self._boot or not retained or connections < 2:
            return
        other = word.get("hardware")
        if other is not None and other == self._hardware:
            return  # this board, before it started again
        self._other = other
        self._sightings += 1
        self._see()

    def problem(self):
        """What to say, or None."""
        if not self._sure:
            return None
        return (
            "one board named %s expected, two are connected (this one is %s, the other %s): "
            "give one of them another name, or switch it off"
            % (self._name, self._hardware or "boot %08x" % self._boot, self._other or "not known yet")
        )

    def forget(self):
        """To be called now and then: what was long ago counts no more."""
        if self._sightings and since_ms(now_ms(), self._seen_ms) >= _MEMORY_MS:
            self._sightings = 0
            if self._sure:
                self._sure = False
                self._changed()

    def _see(self):
        self._seen_ms = now_ms()
        if self._sightings >= _SIGHTINGS and not self._sure:
            self._sure = True
            print("twin: %s" % self.problem())
            self._changed()
