"""The schedule of what goes wrong on the virtual board, and when; the board and its converters ask, nothing
here acts.

Kinds: wire_off, stuck_low, stuck_high (the data line), frozen, spike, saturated, slow_chip (the converter),
clock_stretched (the shared clock line, whatever cell is named).
"""

DEFAULTS = {"spike": 500, "saturated": 1, "slow_chip": 1.25, "clock_stretched": 80}
KINDS = (
    "wire_off",
    "stuck_low",
    "stuck_high",
    "frozen",
    "spike",
    "saturated",
    "slow_chip",
    "clock_stretched",
)


class Fault:
    """One fault of one cell, from `start_us` to `end_us` of board time; `amount` in the unit of its kind.

    spike: newtons; saturated: its sign; slow_chip: factor of the period; clock_stretched: microseconds of
    clock high.
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
        self._all.append(fault)

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

    def clock(self, now_us):
        """The fault of the clock line in force, or None."""
        for fault in self._all:
            if fault.kind == "clock_stretched" and fault.start_us <= now_us < fault.end_us:
                return fault
        return None
