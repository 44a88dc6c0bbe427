"""The virtual board: which converter hangs on which pin, the radio, the stored settings; what the chip's
modules act on.

There is one board a process (`board.current`), put there by `install`. It knows nothing of the firmware.
"""

import array

from board_clock import BoardClock
from board_faults import Faults, parse
from board_trace import BoardTrace, ConstantForce
from hx711_model import HX711Model

current = None
PULL_DOWN, PULL_UP = 1, 2  # as machine.Pin has them on the ESP32
INPUT_ONLY = (34, 35, 36, 37, 38, 39)  # on the ESP32 these have no pulls either
PINS = (
    0,
    1,
    2,
    3,
    4,
    5,
    12,
    13,
    14,
    15,
    16,
    17,
    18,
    19,
    21,
    22,
    23,
    25,
    26,
    27,
    32,
    33,
    34,
    35,
    36,
    37,
    38,
    39,
)


class Reset(SystemExit):  # an exit, not an error: no `except Exception` of the firmware may swallow it
    """The chip restarts; `cause` is what machine.reset_cause() says at the next boot."""

    def __init__(self, cause):
        super().__init__(75)
        self.cause = cause


class Board:
    """Converters on pins under one clock. Pins not wired to a converter keep the level they are given."""

    def __init__(self, clock, trace, faults, unique_id=b"\x02ashib"):
        self.clock = clock
        self.trace = trace
        self.faults = faults
        self.unique_id = unique_id
        self.reset_cause = 1  # power on
        self.nvs_file = None
        self.network_up = True
        self.rssi_dbm = -58
        self.pixels = {}
        self.chips = []
        self._clocked = {}  # clock pin: its converters
        self._data = {}  # data pin: its converter
        self._levels = array.array("b", [0] * 40)
        self._listeners = {}

    def wire(self, sck, dout, chip):
        """Put a converter on two pins; several may share the clock pin."""
        self.chips.append(chip)
        self._clocked.setdefault(sck, []).append(chip)
        self._data[dout] = chip

    def clocked(self, pin):
        return self._clocked.get(pin)

    def converter(self, pin):
        return self._data.get(pin)

    def clock_line(self, chips, level):
        """Drive a clock pin."""
        now = self.clock.pin_operation()
        for chip in chips:
            if level:
                chip.rise(now)
            else:
                chip.fall(now)
        if level:
            stretched = self.faults.clock(now)
            if stretched:
                self.clock.advance(int(stretched.amount))
                stretched.end_us = 0  # one stretched pulse a fault

    def data_line(self, chip, pull):
        """Level of a data pin: the converter's, or what a fault of the wire leaves of it."""
        now = self.clock.pin_operation()
        level = chip.dout(now)
        fault = self.faults.line(chip.cell, now)
        if fault is None:
            return level
        if fault.kind == "wire_off":
            return 0 if pull == PULL_DOWN else 1
        return 1 if fault.kind == "stuck_high" else 0

    def level(self, pin):
        self.clock.pin_operation()
        return self._levels[pin]

    def drive(self, pin, level):
        """Set a pin that is not a converter's, from inside or (a button) from outside; calls its interrupt
        handlers."""
        before = self._levels[pin]
        self._levels[pin] = 1 if level else 0
        for trigger, handler, owner in self._listeners.get(pin, ()):
            if (trigger & 2 and before and not level) or (trigger & 1 and level and not before):
                handler(owner)

    def listen(self, pin, trigger, handler, owner):
        self._listeners.setdefault(pin, []).append((trigger, handler, owner))


def install(board):
    """Make this board the one the chip's modules act on."""
    global current
    current = board
    return board


def _chip(cell, entry, trace, faults, seed):
    return HX711Model(
        cell,
        trace,
        faults,
        period_us=round(1e6 / entry.get("rate_hz", 80)),
        phase_us=entry.get("phase_us", 0),
        zero_count=entry.get("zero_count", 0),
        count_per_n_q10=entry["count_per_n_q10"],
        noise_count=entry.get("noise_count", 46),
        drift_count_per_h=entry.get("drift_count_per_h", 0),
        seed=seed,
        tear=entry.get("tear", "continue"),
        settling_visible=entry.get("settling_visible", False),
    )


def build(config, epoch_unix_us, manual=False):
    """A board from the `board` part of a run configuration; its trace starts at `start_unix_s` or, with
    "now", at once."""
    clock = BoardClock(manual, config.get("ticks_start", 0))
    faults = Faults(parse(config.get("faults", ())))
    source = config.get("trace")
    if source:
        start = source.get("start_unix_s", "now")
        start_us = 0 if start == "now" else round(start * 1e6) - epoch_unix_us
        trace = BoardTrace(
            source["file"],
            source["cells"],
            source["spacing_us"],
            source["rows"],
            source["first_mn"],
            source["last_mn"],
            start_us,
            source.get("loop", False),
        )
    else:
        trace = ConstantForce([0] * len(config["chips"]))
    board = Board(clock, trace, faults, config.get("unique_id", "ashib0").encode())
    board.nvs_file = config.get("nvs_file")
    for cell, entry in enumerate(config["chips"]):
        board.wire(entry["sck"], entry["dout"], _chip(cell, entry, trace, faults, config.get("seed", 1)))
    return board
