"""Feeds the watchdog while both the sampling and the link supervisor move on, and lets it bite when one does
not.

A broker that is away does not stop the link: its supervisor goes on trying.
"""

import asyncio

from micropython import const

from barnode.clock import now_ms, since_ms

TIMEOUT_MS = const(8000)  # of the watchdog itself
LOOK_MS = const(500)
SAMPLES_MS = const(3000)  # the sampler answers at least once a period, converter or not
HEALTHY_MS = const(60000)  # a boot that lasted so long has not failed


def watchdog():
    """The chip's watchdog, running from now on, or None where there is none."""
    try:
        import machine

        return machine.WDT(timeout=TIMEOUT_MS)
    except (ImportError, AttributeError):
        return None


class Progress:
    """Whether a number still changes."""

    def __init__(self, name, number, patience_ms):
        self.name = name
        self._number = number
        self._patience_ms = patience_ms
        self._last = number()
        self._changed_ms = now_ms()

    def moves(self, now):
        number = self._number()
        if number != self._last:
            self._last = number
            self._changed_ms = now
        return since_ms(now, self._changed_ms) < self._patience_ms


class Guard:
    """`dog` is fed while every one of `watched` moves; `healthy()` is called once, after a minute of that."""

    def __init__(self, dog, watched, healthy):
        self._dog = dog
        self._watched = watched
        self._healthy = healthy
        self._began_ms = now_ms()
        self._told = ()

    async def run(self):
        """For ever."""
        while True:
            self.look(now_ms())
            await asyncio.sleep_ms(LOOK_MS)

    def look(self, now):
        """Feed, or say what stands still."""
        stuck = tuple([one.name for one in self._watched if not one.moves(now)])
        if stuck != self._told:
            self._told = stuck
            if stuck:
                print("guard: %s stands still: the watchdog is not fed" % ", ".join(stuck))
        if stuck:
            return
        if self._dog is not None:
            self._dog.feed()
        if self._healthy is not None and since_ms(now, self._began_ms) >= HEALTHY_MS:
            self._healthy()
            self._healthy = None
