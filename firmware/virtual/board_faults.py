"""The schedule of what goes wrong on the virtual board, and when; the board and its converters ask, nothing
here acts. The kinds are explained in README.md.
"""

DEFAULTS = {
    "spike": 500,
    "saturated": 1,
    "cell_wire_off": 1,
    "slow_chip": 1.25,
    "clock_stretched": 80,
    "miso_flip": 1,
    "miso_wire_off": 1,
}
ANY = ("frozen", "spike", "saturated", "slow_chip")
HX711 = ("wire_off", "stuck_low", "stuck_high", "clock_stretched")
ADS131M04 = (
    "cell_wire_off",
    "no_excitation",
    "reset",
    "missing",
    "no_clock",
    "drdy_low",
    "drdy_wire_off",
    "miso_wire_off",
    "miso_flip",
    "mosi_flip",
)
KINDS = ANY + HX711 + ADS131M04


class Fault:
    """One fault of one cell, from `start_us` to `end_us` of board time; `amount` in the unit of its kind.

    spike: newtons; saturated, cell_wire_off: its sign; slow_chip: factor of the period; clock_stretched:
    microseconds of clock high; miso_flip: bits of a frame; miso_wire_off: ones, or zeros if 0.
    """

    def __init__(self, kind, cell, start_us, end_us, amount):
        if kind not in KINDS:
            raise ValueError("fault: expected one of %s, came %r" % (", ".join(KINDS), kind))
        self.kind = kind
        self.cell = cell
        self.start_us = start_us
        self.end_us = end_us
        self.amount = DEFAULTS.get(kind, 0) if amount is None else amount


def parse(entries):
    """Faults from the entries of a faults file: at_s, for_s, cell, fault, and amount where the default does
    not suit."""
    faults = []
    for entry in entries:
        start = int(entry["at_s"] * 1000000)
        end = start + int(entry.get("for_s", 1) * 1000000)
        faults.append(Fault(entry["fault"], entry.get("cell", 0), start, end, entry.get("amount")))
    return faults


class Faults:
    """Answers which fault of a kind holds for a cell at a time; allocates nothing when asked."""

    def __init__(self, faults=()):
        self._all = list(faults)

    def add(self, fault):
        """Put one more on the schedule; what is over by its start is forgotten."""
        self._all = [one for one in self._all if one.end_us > fault.start_us] + [fault]

    def find(self, kind, cell, now_us):
        """The fault in force, or None."""
        for fault in self._all:
            if fault.kind == kind and fault.cell == cell and fault.start_us <= now_us < fault.end_us:
                return fault
        return None

    def line(self, cell, now_us):
        """The fault of a cell's data line in force, or None."""
        for fault in self._all:
            if (
                fault.cell == cell
                and fault.start_us <= now_us < fault.end_us
                and fault.kind in ("wire_off", "stuck_low", "stuck_high")
            ):
                return fault
        return None

    def chip(self, kind, now_us):
        """The fault of a kind in force, whatever cell it names, or None."""
        for fault in self._all:
            if fault.kind == kind and fault.start_us <= now_us < fault.end_us:
                return fault
        return None
