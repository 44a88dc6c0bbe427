"""What reaches a running virtual board from outside: signals that end it, and lines of JSON on its input.

{"do": "stop"}                                          a clean stop; so is the end of the input
{"do": "fault", "fault": "wire_off", "cell": 1, "for_s": 2, "amount": null}     from now on
{"do": "network", "up": false}                          the Wi-Fi is gone
{"do": "force", "mn": [100, 0, 0, 0]}                   the force on each cell of a board without a trace
"""

import array
import asyncio
import json
import select
import sys

import board
import board_faults

POLL_MS = 50
signalled = array.array("i", [0])  # the number of the signal that asked for an end
_kept = []  # what the C library points to must not be collected


def _note(number, _frame=None):
    signalled[0] = number


def catch_signals():
    """SIGINT and SIGTERM ask for a clean stop."""
    try:
        import signal
    except ImportError:
        _catch_with_c_library()
        return
    signal.signal(signal.SIGINT, _note)
    signal.signal(signal.SIGTERM, _note)


def _catch_with_c_library():
    """MicroPython has no module for signals. Without this SIGINT interrupts and SIGTERM kills."""
    try:
        import ffi

        callback = ffi.callback("v", _note, "i")
        try:
            library = ffi.open("libc.so.6")
        except OSError:
            library = ffi.open("libSystem.dylib")
    except (ImportError, OSError):
        return
    install = library.func("p", "signal", "iC")
    install(2, callback)
    install(15, callback)
    _kept.append(callback)


def obey(line):
    """Do what one line asks; answers whether that is the end. ValueError if the line cannot be read."""
    request = json.loads(line)
    what = request.get("do")
    here = board.current
    if what == "stop":
        return True
    if what == "network":
        here.network_up = bool(request["up"])
    elif what == "force":
        for cell, force in enumerate(request["mn"]):
            here.trace.forces_mn[cell] = force
    elif what == "fault":
        now = here.clock.now()
        end = now + int(request.get("for_s", 1) * 1000000)
        cell = request.get("cell", 0)
        here.faults.add(board_faults.Fault(request["fault"], cell, now, end, request.get("amount")))
    else:
        raise ValueError("do: expected stop, fault, force or network, came %r" % what)
    return False


def _input():
    """Standard input without a buffer, so that polling it tells the truth."""
    if sys.implementation.name == "micropython":
        return sys.stdin.buffer
    return open(0, "rb", buffering=0, closefd=False)


def _asked_to_stop(stream, tell):
    line = stream.readline()
    if not line:
        return True
    try:
        return obey(line)
    except (ValueError, KeyError, TypeError) as error:
        tell({"event": "refused", "reason": str(error)})
        return False


async def watch(stop, listen, tell):
    """Set `stop` when a signal or the input asks for it; `tell` reports what could not be obeyed."""
    stream = _input() if listen else None
    poller = select.poll()
    if listen:
        poller.register(stream, select.POLLIN)
    while not signalled[0]:
        if stream is None or not poller.poll(0):
            await asyncio.sleep_ms(POLL_MS)
        elif _asked_to_stop(stream, tell):
            break
    stop.set()
