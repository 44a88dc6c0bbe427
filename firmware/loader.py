"""Chooses which version of the application starts, counts the boots of a new one and returns to the old one.

It is copied by cable only and never updated over the air. It needs nothing of the application, and the
application starts without it. See docs/update.md.
"""

import json
import os
import sys

MARKER = "/slot.json"
SLOTS = ("app_a", "app_b")
TRIAL_BOOTS = 2  # a new version that has not been confirmed after so many boots is given up
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
    """Run the application; a new version that ends or fails before it is confirmed resets the chip."""
    _arm()
    try:
        import barnode.start

        barnode.start.main()
    except Exception as error:
        if not trial:
            raise
        sys.print_exception(error)
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
    for end in (".py", ".mpy"):
        try:
            os.stat(root + "/" + name + "/barnode/node" + end)
        except OSError:
            continue
        return True
    return False


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
