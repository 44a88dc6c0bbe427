"""Lets asyncio run on a board clock moved by hand: when there is nothing to do, time jumps to what is due.

For tests of what needs no socket: an hour passes in seconds, and the same way each time.
"""

import asyncio
import asyncio.core


def install(clock):
    """From now on the event loop takes its time from `clock`, which must be a manual one."""
    core = asyncio.core
    queue = core._io_queue
    wait_for_sockets = queue.wait_io_event
    start_ms = (
        core.ticks()
    )  # tasks that are due at once carry the port's own ticks: ours must not lie behind them

    def wait(ms):
        wait_for_sockets(0)
        if ms > 0:
            clock.advance(ms * 1000)

    core.ticks = lambda: start_ms + clock.now() // 1000
    queue.wait_io_event = wait
