"""`machine` of the virtual board: pins, interrupts, reset and watchdog as an ESP32's MicroPython has them."""

# ruff: noqa: A002, ARG001, ARG002 - the chip's own signatures

import board

PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = 1, 2, 3, 4, 5


class Pin:
    """A pin; wired to a converter it reacts as the converter does."""

    IN, OUT, OPEN_DRAIN = 1, 3, 7
    PULL_DOWN, PULL_UP = board.PULL_DOWN, board.PULL_UP
    IRQ_RISING, IRQ_FALLING = 1, 2

    def __init__(self, id, mode=-1, pull=-1, *, value=None):
        self._board = board.current
        if id not in self._board.pins:
            raise ValueError("invalid pin")
        if mode == Pin.OUT and id in self._board.input_only:
            raise ValueError("pin can only be input")
        self._id = id
        self._driven = self._board.driven(id)
        self._chips = self._board.clocked(id)
        self._chip = self._board.converter(id)
        self._pull = -1
        self.init(mode, pull, value=value)

    def init(self, mode=-1, pull=-1, *, value=None):
        self._pull = -1 if self._id in self._board.input_only else pull
        self._board.pulls[self._id] = self._pull if self._pull is not None else -1
        if value is not None:
            self.value(value)

    def value(self, level=None):
        if level is None:
            if self._chip is not None:
                return self._board.data_line(self._chip, self._pull)
            if self._driven is not None:
                return self._driven(self._board.clock.pin_operation(), self._pull)
            return self._board.level(self._id)
        if self._chips is not None:
            return self._board.clock_line(self._chips, level)
        return self._board.drive(self._id, level)

    __call__ = value

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)

    def irq(self, handler=None, trigger=3, hard=False):
        """Called for pins driven by `Board.drive`. Converters are worked out when looked at: theirs never
        calls."""
        if handler is not None:
            self._board.listen(self._id, trigger, handler, self)
        return self


class SPI:
    """A bus of the chip. Only what converters use: mode 1, whole bytes, in both directions at once."""

    MSB, LSB = 0, 1

    def __init__(
        self, id, baudrate=1000000, *, polarity=0, phase=0, bits=8, firstbit=0, sck=None, mosi=None, miso=None
    ):
        if id not in (1, 2):
            raise ValueError("SPI(%r) doesn't exist" % (id,))
        self._board = board.current
        self._byte_us_q10 = 8 * 1000000 * 1024 // baudrate
        self._mode = polarity << 1 | phase

    def write_readinto(self, sent, received):
        if len(sent) != len(received):
            raise ValueError("buffers must be the same length")
        if self._mode != 1:
            raise ValueError("a device in mode 1 expected, the bus is in mode %d" % self._mode)
        self._board.spi(sent, received, self._byte_us_q10)

    def write(self, sent):
        self._board.spi(sent, None, self._byte_us_q10)

    def deinit(self):
        pass


class WDT:
    """The watchdog: starved longer than its timeout, the board resets when the time is next looked at."""

    def __init__(self, id=0, timeout=5000):
        self._timeout_us = timeout * 1000
        self.feed()

    def feed(self):
        board.current.check_watchdog()
        board.current.watchdog_us = board.current.clock.now() + self._timeout_us


class RTC:
    """The clock's memory, which outlives a reset."""

    def memory(self, data=None):
        if data is None:
            return board.current.rtc.memory
        if len(data) > 2048:
            raise ValueError("buffer too long")
        board.current.rtc.write(data)
        return None


class PWM:
    """A tone on a pin; `board.current.sounds[pin]` says whether it is on."""

    def __init__(self, pin, *, freq=1000, duty_u16=0):
        self._pin = pin
        self.duty_u16(duty_u16)

    def duty_u16(self, duty):
        board.current.sounds[self._pin._id] = duty > 0


def disable_irq():
    board.current.clock.enter_critical()
    return 1


def enable_irq(state):
    board.current.clock.leave_critical()


def reset():
    raise board.Reset(HARD_RESET)


def soft_reset():
    raise board.Reset(SOFT_RESET)


def reset_cause():
    return board.current.rtc.cause


def unique_id():
    return board.current.unique_id


def freq(hz=None):
    return 240000000


def idle():
    pass


def lightsleep(ms=None):
    if ms:
        board.current.clock.advance(ms * 1000)
