"""`time` of the virtual board: the host's, with ticks that count the board's time and wrap at 2**30 as on an
ESP32.

asyncio must be imported before this module can be found: it keeps the port's own ticks, whose period differs.
"""

import sys

_path = sys.path[:]
sys.path[:] = []  # so that the port's own module is found, not this one again
from time import *  # noqa: E402,F403

sys.path[:] = _path

import board  # noqa: E402

PERIOD = 1 << 30
_HALF = PERIOD >> 1


def ticks_us():
    clock = board.current.clock
    return (clock.now() + clock.ticks_start) & (PERIOD - 1)


def ticks_ms():
    board.current.check_watchdog()
    clock = board.current.clock
    return (clock.now() + clock.ticks_start) // 1000 & (PERIOD - 1)


def ticks_add(ticks, delta):
    return (ticks + delta) & (PERIOD - 1)


def ticks_diff(end, start):
    return ((end - start + _HALF) & (PERIOD - 1)) - _HALF


def sleep_us(us):
    clock = board.current.clock
    if clock.manual or clock.critical:
        clock.advance(us)
    else:
        end = clock.now() + us
        while clock.now() < end:
            pass


def sleep_ms(ms):
    sleep_us(ms * 1000)


def sleep(s):
    sleep_us(int(s * 1000000))
