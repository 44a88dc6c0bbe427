"""The virtual board: which converter hangs on which pin, the radio, the stored settings; what the chip's
modules act on.

There is one board a process (`board.current`), put there by `install`. It knows nothing of the firmware.
"""

import array

from board_clock import BoardClock
from board_faults import Faults, parse
from board_rtc import Rtc
from board_trace import BoardTrace, ConstantForce
from hx711_model import HX711Model

current = None
WATCHDOG = 3  # as machine.WDT_RESET
PULL_DOWN, PULL_UP = 1, 2  # as machine.Pin has them on the ESP32
INPUT_ONLY = (34, 35, 36, 37, 38, 39)  # on the ESP32 these have no pulls either
PINS = {
    "esp32": tuple(pin for pin in range(40) if pin not in (6, 7, 8, 9, 10, 11, 20, 24, 28, 29, 30, 31)),
    "esp32s3": tuple(pin for pin in range(49) if not 21 < pin < 33),
}


class Reset(SystemExit):  # an exit, not an error: no `except Exception` of the firmware may swallow it
    """The chip restarts; `cause` is what machine.reset_cause() says at the next boot."""

    def __init__(self, cause):
        super().__init__(75)
        self.cause = cause


class Board:
    """Converters on pins under one clock. Pins not wired to a converter keep the level they are given."""

    def __init__(self, clock, trace, faults, unique_id=b"\x02ashib", mcu="esp32"):
        self.clock = clock
        self.trace = trace
        self.faults = faults
        self.unique_id = unique_id
        self.rtc = Rtc(None)
        self.watchdog_us = 0  # board time at which it bites; 0: none runs
        self.sounds = {}  # pin: whether a tone is on
        self.nvs_file = None
        self.network_up = True
        self.rssi_dbm = -58
        self.pixels = {}
        self.chips = []
        self._clocked = {}  # clock pin: its converters
        self._data = {}  # data pin: its converter
        self.pins = PINS[mcu]
        self.input_only = INPUT_ONLY if mcu == "esp32" else ()
        self.pulls = array.array("b", [-1] * 49)
        self._outputs = {}  # pin a device drives: its function of the time and the pin's pull
        self._inputs = {}  # pin a device listens to: its function of level and time
        self.on_spi = []  # devices, each with `exchange(now, byte)`: what it answers, None while not selected
        self._levels = array.array("b", [0] * 49)
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

    def data_pins(self):
        """Each (pin, converter)."""
        return self._data.items()

    def attach(self, outputs, inputs, device):
        """Put a device on the SPI bus and on pins: it drives `outputs` and listens to `inputs`."""
        self._outputs.update(outputs)
        self._inputs.update(inputs)
        self.on_spi.append(device)

    def driven(self, pin):
        return self._outputs.get(pin)

    def clock_line(self, chips, level):
        """Drive a clock pin."""
        self.clock_edge(chips, level, self.clock.pin_operation())

    def clock_edge(self, chips, level, now):
        """An edge of a clock line at a time."""
        for chip in chips:
            if level:
                chip.rise(now)
            else:
                chip.fall(now)
        if level:
            stretched = self.faults.chip("clock_stretched", now)
            if stretched:
                self.clock.advance(int(stretched.amount))
                stretched.end_us = 0  # one stretched pulse a fault

    def data_line(self, chip, pull):
        """Level of a data pin: the converter's, or what a fault of the wire leaves of it."""
        return self.data_level(chip, pull, self.clock.pin_operation())

    def data_level(self, chip, pull, now):
        """The same at a time."""
        level = chip.dout(now)
        fault = self.faults.line(chip.cell, now)
        if fault is None:
            return level
        if fault.kind == "wire_off":
            return 0 if pull == PULL_DOWN else 1
        return 1 if fault.kind == "stuck_high" else 0

    def spi(self, sent, received, byte_us_q10):
        """Full duplex; nobody selected leaves ones, for the line has a pull-up. `received` may be None."""
        elapsed = 0
        start = self.clock.now()
        for index in range(len(sent)):
            elapsed += byte_us_q10
            now = start + (elapsed >> 10)
            answer = 0xFF
            for device in self.on_spi:
                said = device.exchange(now, sent[index])
                if said is not None:
                    answer = said
            if received is not None:
                received[index] = answer
        if self.clock.manual or self.clock.critical:
            self.clock.advance(elapsed >> 10)

    def check_watchdog(self):
        """The chip restarts when its watchdog was not fed in time."""
        if self.watchdog_us and self.clock.now() > self.watchdog_us:
            self.watchdog_us = 0
            raise Reset(WATCHDOG)

    def level(self, pin):
        self.clock.pin_operation()
        return self._levels[pin]

    def drive(self, pin, level):
        """Set a pin that is not a converter's, from inside or (a button) from outside; calls its interrupt
        handlers."""
        before = self._levels[pin]
        self._levels[pin] = 1 if level else 0
        if pin in self._inputs:
            self._inputs[pin](1 if level else 0, self.clock.pin_operation())
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
        noise_count=entry.get("noise_count", 60),
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
        trace = ConstantForce([0] * max(4, len(config.get("chips", ()))))
    mcu = config.get("mcu", "esp32")
    board = Board(clock, trace, faults, config.get("unique_id", "ashib0").encode(), mcu)
    board.nvs_file = config.get("nvs_file")
    board.rtc = Rtc(config.get("rtc_file"))
    for cell, entry in enumerate(config.get("chips", ())):
        board.wire(entry["sck"], entry["dout"], _chip(cell, entry, trace, faults, config.get("seed", 1)))
    if "ads131m04" in config:
        from ads131m04_model import fit

        fit(board, config["ads131m04"], config.get("seed", 1))
    return board
