"""Boards as data files: which chip, which pins, which converter. Reads and checks them; only open_adc touches
the hardware."""

import json
import sys

_PINS_OF = {
    "hx711": ("clock_pin", "data_pins"),
    "ads131m04": ("sck_pin", "mosi_pin", "miso_pin", "cs_pin", "drdy_pin"),
}
_CHIPS = ("esp32", "esp32s3")  # each with its table of pins, read for a check and let go of
_INPUTS = ("data_pins", "miso_pin", "drdy_pin")


def _read(path):
    try:
        with open(path) as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        raise ValueError(
            'board file %s expected, it could not be read (%s): check "board"' % (path, error)
        ) from None


def _here():
    return __file__[: __file__.rfind("/")] if "/" in __file__ else "."


def load(name, folder=None):
    """The board file `name` as a dict; ValueError names what is wrong with it."""
    board = _read("%s/%s.json" % (folder or _here(), name))
    check(board)
    return board


def check(board):
    """ValueError for the first mistake in a board: a missing field, a pin that cannot be, a pin used
    twice."""
    for field in ("board", "adc", "rate_hz"):
        _need(board, field)
    if board["adc"] not in _PINS_OF:
        raise ValueError("adc hx711 or ads131m04 expected in the board file, %r came" % board["adc"])
    if board.get("chip", "esp32") not in _CHIPS:
        raise ValueError("chip esp32 or esp32s3 expected in the board file, %r came" % board["chip"])
    for field in _PINS_OF[board["adc"]]:
        _need(board, field)
    if not isinstance(board.get("data_pins", []), list):
        raise ValueError("data_pins: a list of pins expected, %r came" % (board["data_pins"],))  # noqa: TRY004 - one kind of refusal
    if not isinstance(channels(board), int) or not 1 <= channels(board) <= 4:
        raise ValueError("1 to 4 data_pins (or channels) expected, %r came" % channels(board))
    _check_pins(board)


def _need(board, field):
    if field not in board:
        raise ValueError("field %s expected in the board file, none came" % field)


def channels(board):
    """How many cells a board reads."""
    return len(board["data_pins"]) if "data_pins" in board else board.get("channels", 4)


def _check_pins(board):
    mcu = _read("%s/mcu-%s.json" % (_here(), board.get("chip", "esp32")))
    used: dict = {}
    for field, pin in pins(board):
        _check_pin(mcu, field, pin)
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


def _check_pin(mcu, field, pin):
    if not isinstance(pin, int) or not 0 <= pin < mcu["pins"] or pin in mcu["missing"]:
        raise ValueError("%s: a pin of the %s expected, %r came" % (field, mcu["name"], pin))
    if str(pin) in mcu["reserved"]:
        raise ValueError("%s: pin %d cannot be used, %s" % (field, pin, mcu["reserved"][str(pin)]))
    if field not in _INPUTS and pin in mcu["input_only"]:
        raise ValueError("%s: an output expected, pin %d can only read" % (field, pin))


def open_adc(board):
    """The driver of the board's converter, on the pins."""
    return _open_hx711(board) if board["adc"] == "hx711" else _open_ads131m04(board)


def _open_hx711(board):
    from machine import Pin

    from barnode.adc.hx711 import HX711Group

    clock = Pin(board["clock_pin"], Pin.OUT)
    data = [Pin(pin, Pin.IN, Pin.PULL_DOWN) for pin in board["data_pins"]]
    gain = board.get("gain", 128)
    return HX711Group(clock, data, gain, board["rate_hz"], _register_reader(board, gain))


def _register_reader(board, gain):
    """The fast way to read, where the chip has it; None: by pins. "read" in the board file chooses."""
    if board.get("read", "registers") == "pins" or str(sys.platform) != "esp32":
        return None  # elsewhere there are no such registers, and writing to them would end the process
    try:
        from barnode.adc.hx711 import PULSES
        from barnode.adc.hx711_registers import GPIO_BASE, RegisterReader
    except (ImportError, SyntaxError, ValueError, AttributeError, NameError):  # no machine code here
        return None
    return RegisterReader(
        GPIO_BASE[board.get("chip", "esp32")], board["clock_pin"], board["data_pins"], PULSES[gain]
    )


def _open_ads131m04(board):
    from machine import SPI, Pin

    from barnode.adc.ads131m04 import ADS131M04

    bus = SPI(
        board.get("spi", 2),
        baudrate=board.get("spi_hz", 4000000),
        polarity=0,
        phase=1,
        sck=Pin(board["sck_pin"]),
        mosi=Pin(board["mosi_pin"]),
        miso=Pin(board["miso_pin"]),
    )
    reset = Pin(board["reset_pin"], Pin.OUT, value=1) if "reset_pin" in board else None
    select = Pin(board["cs_pin"], Pin.OUT, value=1)
    options = {name: board[name] for name in ("gain", "osr", "block", "clkin_hz") if name in board}
    adc = ADS131M04(bus, select, Pin(board["drdy_pin"], Pin.IN), reset, channels(board), **options)
    if adc.rate_hz != board["rate_hz"]:
        raise ValueError(
            "rate_hz %d expected, as clkin_hz, osr and block give it, %r came"
            % (adc.rate_hz, board["rate_hz"])
        )
    return adc
