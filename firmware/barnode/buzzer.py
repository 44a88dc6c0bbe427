"""The buzzer: on or off. A board without one has one that does nothing."""


class Buzzer:
    """`pin` None is a board without; `hz` is the tone of a passive one, None an active one that makes its
    own."""

    def __init__(self, pin=None, hz=None):
        self._pin = self._pwm = None
        self.on = False
        if pin is None:
            return
        try:
            import machine

            self._pin = machine.Pin(pin, machine.Pin.OUT, value=0)
        except (ImportError, AttributeError):
            return
        if hz is not None:
            self._pwm = machine.PWM(self._pin, freq=hz, duty_u16=0)

    def sound(self, on):
        """Switch it."""
        if on == self.on:
            return
        self.on = on
        if self._pwm is not None:
            self._pwm.duty_u16(32768 if on else 0)
        elif self._pin is not None:
            self._pin(1 if on else 0)
