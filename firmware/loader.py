"""Chooses which version of the application starts, counts the boots of a new one and returns to the old one.

It is copied by cable only and never updated over the air. It needs nothing of the application, and the
application starts without it. See docs/update.md.
"""

import io
import json
import os
import sys
import time

MARKER = "/slot.json"
SLOTS = ("app_a", "app_b")
TRIAL_BOOTS = 2  # a new version that has not been confirmed after so many boots is given up
NEEDED = ("__init__", "start", "node")  # without one of them there is nothing to start
RESTART_AFTER_S = 3  # for whoever sits at the console
TRACE = 400  # characters of a traceback that are kept, the last ones: they name the error
TRIAL_S = 300  # what hangs before it can watch itself is reset after this

chosen = False  # whether `choose` was called: only then do the others mean anything
root = ""
slot = ""  # the directory that runs; empty: the version copied by cable
trial = False
failed = None  # what was given up last, in words
_timers: list = []  # the one armed for a trial


def choose(where=""):
    """Put the version that is to run on the path. `where` is the directory the chip calls /."""
    global chosen, root, slot, trial, failed
    chosen = True
    root = where
    mark = _due(read())
    slot = mark["slot"]
    trial = mark["boots"] is not None
    failed = mark["failed"]
    if slot:
        sys.path.insert(0, root + "/" + slot)


def start():
    """Run the application, which watches itself; what cannot even be started is noted, and the chip reset.

    After a few such starts the version is given up for the one copied by cable.
    """
    _arm()
    try:
        import barnode.start

        barnode.start.main()
    except Exception as error:
        sys.print_exception(error)
        _note(error)
        time.sleep(RESTART_AFTER_S)
        reset()
        return
    if trial:
        reset()


def read():
    """The marker; a missing or unreadable one means the version copied by cable."""
    try:
        with open(root + MARKER) as file:
            mark = json.load(file)
        known = mark["slot"] in SLOTS or mark["slot"] == ""
        if known and (mark["boots"] is None or isinstance(mark["boots"], int)):
            return {key: mark[key] for key in ("slot", "boots", "before", "failed")}
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return {"slot": "", "boots": None, "before": "", "failed": None}


def write(mark):
    """Replace the marker in one step: whenever the power fails, the old or the new one is there, whole."""
    with open(root + MARKER + ".new", "w") as file:
        json.dump(mark, file)
    os.rename(root + MARKER + ".new", root + MARKER)


def switch(to):
    """Let `to` run on trial from the next boot on; the version that runs now is the one to return to."""
    write({"slot": to, "boots": 0, "before": slot, "failed": None})


def stay():
    """Take back a `switch` that has not been booted yet."""
    if not trial and read()["slot"] != slot:
        write({"slot": slot, "boots": None, "before": "", "failed": failed})


def confirm():
    """The version on trial has proved itself."""
    global trial
    write({"slot": slot, "boots": None, "before": "", "failed": None})
    trial = False
    stand_down()


def stand_down():
    """The version on trial watches itself from now on."""
    while _timers:
        _timers.pop().deinit()


def reset():
    """Restart the chip."""
    import machine

    machine.reset()


def _due(mark):
    """The marker as it counts for this boot: one boot more, or the old version when they are used up."""
    if mark["boots"] is None:
        return mark if _usable(mark["slot"]) else _given_up(mark)
    if mark["boots"] >= TRIAL_BOOTS or not _usable(mark["slot"]):
        mark = _given_up(mark)
    else:
        mark["boots"] += 1
    try:
        write(mark)
    except OSError:  # what cannot be counted is not tried
        return _given_up(mark) if mark["boots"] is not None else mark
    return mark


def _given_up(mark):
    before = mark["before"] if _usable(mark["before"]) else ""
    return {"slot": before, "boots": None, "before": "", "failed": mark["slot"] or None}


def _usable(name):
    if not name:
        return True
    return all(_has(root + "/" + name + "/barnode/" + module) for module in NEEDED)


def _has(module):
    for end in (".py", ".mpy"):
        try:
            os.stat(module + end)
        except OSError:
            continue
        return True
    return False


def _note(error):
    """Keep the end of the traceback where the application looks for it, and count the start that came to
    nothing; a confirmed version with too many of them is given up."""
    stream = io.StringIO()
    sys.print_exception(error, stream)
    try:
        import machine

        memory = machine.RTC().memory
        notes = _noted(memory())
        notes["error"] = stream.getvalue().strip()[-TRACE:]
        notes["unstarted"] = notes.get("unstarted", 0) + 1
        if slot and not trial and notes["unstarted"] > TRIAL_BOOTS:
            notes["unstarted"] = 0
            write({"slot": "", "boots": None, "before": "", "failed": slot})
        memory(json.dumps(notes).encode())
    except Exception as other:  # whatever it is: the reset must come
        sys.print_exception(other)


def _noted(memory):
    try:
        return dict(json.loads(memory))
    except (ValueError, TypeError):
        return {}


def _arm():
    if not trial:
        return
    try:
        import machine

        timer = machine.Timer(3)
        timer.init(mode=machine.Timer.ONE_SHOT, period=TRIAL_S * 1000, callback=lambda _timer: reset())
        _timers.append(timer)
    except (ImportError, AttributeError, ValueError):
        pass  # a port without such timers: the application's own watch remains
