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
        if id not in board.PINS:
            raise ValueError("invalid pin")
        if mode == Pin.OUT and id in board.INPUT_ONLY:
            raise ValueError("pin can only be input")
        self._board = board.current
        self._id = id
        self._chips = self._board.clocked(id)
        self._chip = self._board.converter(id)
        self._pull = -1
        self.init(mode, pull, value=value)

    def init(self, mode=-1, pull=-1, *, value=None):
        self._pull = -1 if self._id in board.INPUT_ONLY else pull
        if value is not None:
            self.value(value)

    def value(self, level=None):
        if level is None:
            if self._chip is not None:
                return self._board.data_line(self._chip, self._pull)
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


class WDT:
    """The watchdog: starved longer than its timeout, the board resets at the next sign of life."""

    def __init__(self, id=0, timeout=5000):
        self._timeout_us = timeout * 1000
        self._fed_us = board.current.clock.now()

    def feed(self):
        now = board.current.clock.now()
        if now - self._fed_us > self._timeout_us:
            raise board.Reset(WDT_RESET)
        self._fed_us = now


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
    return board.current.reset_cause


def unique_id():
    return board.current.unique_id


def freq(hz=None):
    return 240000000


def idle():
    pass


def lightsleep(ms=None):
    if ms:
        board.current.clock.advance(ms * 1000)
