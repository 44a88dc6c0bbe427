"""Boards as data files: which pins, which converter. Reads and checks them; only the factory touches the
hardware."""

import json

# Pins of the classic ESP32 that a board must not use, and why
_RESERVED = {
    0: "it selects the boot mode",
    1: "the console writes there",
    2: "it selects the boot mode",
    3: "the console reads there",
    6: "the flash hangs on it",
    7: "the flash hangs on it",
    8: "the flash hangs on it",
    9: "the flash hangs on it",
    10: "the flash hangs on it",
    11: "the flash hangs on it",
    12: "it sets the flash voltage at boot",
    16: "boards with extra memory use it",
    17: "boards with extra memory use it",
}
_PINS = range(40)
_NO_SUCH = (20, 24, 28, 29, 30, 31)
_INPUT_ONLY = (34, 35, 36, 37, 38, 39)


def load(name, folder=None):
    """The board file `name` as a dict; ValueError names what is wrong with it."""
    if folder is None:
        folder = __file__[: __file__.rfind("/")] if "/" in __file__ else "."
    path = "%s/%s.json" % (folder, name)
    try:
        with open(path) as file:
            board = json.load(file)
    except (OSError, ValueError) as error:
        raise ValueError(
            'board file %s expected, it could not be read (%s): check "board"' % (path, error)
        ) from None
    check(board)
    return board


def check(board):
    """ValueError for the first mistake in a board: a missing field, a pin that cannot be, a pin used
    twice."""
    for field in ("board", "adc", "rate_hz", "clock_pin", "data_pins"):
        if field not in board:
            raise ValueError("field %s expected in the board file, none came" % field)
    if not isinstance(board["data_pins"], list):
        raise ValueError("data_pins: a list of pins expected, %r came" % (board["data_pins"],))  # noqa: TRY004 - one kind of refusal
    if not 1 <= len(board["data_pins"]) <= 16:
        raise ValueError("1 to 16 data_pins expected, %d came" % len(board["data_pins"]))
    used: dict = {}
    for field, pin in pins(board):
        _check_pin(field, pin, field != "data_pins")
        if pin in used:
            raise ValueError(
                "pin %d is used twice, by %s and %s: give each its own" % (pin, used[pin], field)
            )
        used[pin] = field


def pins(board):
    """Each (field, pin) of a board."""
    found = []
    for field in sorted(board):
        if field.endswith("_pin"):
            found.append((field, board[field]))
        elif field.endswith("_pins"):
            found.extend((field, pin) for pin in board[field])
    return found


def _check_pin(field, pin, output):
    if not isinstance(pin, int) or pin not in _PINS or pin in _NO_SUCH:
        raise ValueError("%s: a pin of the ESP32 expected, %r came" % (field, pin))
    if pin in _RESERVED:
        raise ValueError("%s: pin %d cannot be used, %s" % (field, pin, _RESERVED[pin]))
    if output and pin in _INPUT_ONLY:
        raise ValueError("%s: an output expected, pin %d can only read" % (field, pin))


def open_adc(board):
    """The driver of the board's converter, on the pins."""
    if board["adc"] != "hx711":
        raise ValueError("adc hx711 expected in the board file, %r came" % board["adc"])
    import machine

    from barnode.adc.hx711 import HX711Group

    clock = machine.Pin(board["clock_pin"], machine.Pin.OUT)
    data = [machine.Pin(pin, machine.Pin.IN, machine.Pin.PULL_DOWN) for pin in board["data_pins"]]
    return HX711Group(clock, data, gain=board.get("gain", 128), rate_hz=board["rate_hz"])
