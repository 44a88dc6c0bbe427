"""Notes that outlive a reset but not a power cut, in the clock's memory of the chip: no flash is written.

They hold the count of boots that came to nothing, the last traceback and the session zero. Where there is no
such memory they live as long as the process.
"""

import io
import json
import sys

_TRACE = 400  # characters kept, the last ones: they name the error
_kept: dict = {}


def _memory():
    try:
        import machine

        return machine.RTC()
    except (ImportError, AttributeError):
        return None


def load():
    """All notes as a dict; what cannot be read is no notes."""
    rtc = _memory()
    if rtc is None:
        return dict(_kept)
    try:
        notes = json.loads(rtc.memory())
        return notes if isinstance(notes, dict) else {}
    except (ValueError, TypeError):
        return {}


def note(name, value):
    """Keep one value; None removes it."""
    notes = load()
    if value is None:
        notes.pop(name, None)
    else:
        notes[name] = value
    rtc = _memory()
    if rtc is None:
        _kept.clear()
        _kept.update(notes)
        return
    try:
        rtc.memory(json.dumps(notes).encode())
    except (ValueError, OSError):
        rtc.memory(b"")


def note_error(error):
    """Keep the end of a traceback; answers it."""
    text = type(error).__name__ + ": " + str(error)
    if hasattr(sys, "print_exception"):
        stream = io.StringIO()
        sys.print_exception(error, stream)
        text = stream.getvalue().strip()
    note("error", text[-_TRACE:])
    return text


def went_well():
    """This boot has not failed: the count and the error of those before it are over."""
    notes = load()
    for name in ("boots", "unstarted", "error"):
        if notes.get(name):
            note(name, None)
