"""Whether a figure may be shown, and in words for a therapist why not and what to do.

Decides nothing by itself.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

UNREADABLE_US: Final = 200_000  # a cell that cannot be read for less is a loose contact, not a fault


class Validity(IntEnum):
    """Conditions in order of rank: of those that apply, the greatest is the validity."""

    VALID = 0
    MOTION = 1
    CALIBRATION_OVERDUE = 2
    NO_BODY_WEIGHT = 3
    NOT_ZEROED = 4
    NOT_IN_SESSION = 5
    FAULT = 6
    STALE = 7

    @property
    def label(self) -> str:
        """The words of the wire, the record and the page."""
        return self.name.lower().replace("_", " ")

    @property
    def has_figure(self) -> bool:
        """Whether client load may be shown as a number under this condition."""
        return self <= Validity.CALIBRATION_OVERDUE


BY_LABEL: Final = {item.label: item for item in Validity}


class CellFault(IntEnum):
    """Why a cell has no force. 1 to 5 are the codes of the wire, in its order."""

    OK = 0
    NOT_READY = 1
    DESYNC = 2
    SATURATED_HIGH = 3
    SATURATED_LOW = 4
    ABSENT = 5
    UNKNOWN = 6
    MISSING = 7
    UNCALIBRATED = 8

    @property
    def label(self) -> str:
        """The words of the record and the page."""
        return self.name.lower().replace("_", " ")


REASONS: Final = {
    Validity.VALID: ("", ""),
    Validity.MOTION: ("The load is moving.", "Wait a moment for a steady figure."),
    Validity.CALIBRATION_OVERDUE: (
        "The calibration is overdue.",
        "Have the bars calibrated after this session.",
    ),
    Validity.NO_BODY_WEIGHT: ("Your body weight is not known.", "Weigh yourself, or type your weight in."),
    Validity.NOT_ZEROED: ("The bars are not zeroed.", "Take your hands off the bars and press Zero."),
    Validity.NOT_IN_SESSION: ("No session is running.", "Start a session."),
    Validity.FAULT: ("A load cell is not working.", "Rely on your own feeling and have the bars checked."),
    Validity.STALE: ("No data from the bars.", "Check the power and the network of the bars' box."),
}

FAULT_REASONS: Final = {
    CellFault.NOT_READY: ("does not answer", "Check the plug and cable of this cell."),
    CellFault.DESYNC: (
        "is read with errors",
        "Check the wiring of this cell; keep it away from motors and lights.",
    ),
    CellFault.SATURATED_HIGH: (
        "is beyond its range",
        "Take the load off. If it stays, check the cell and cable.",
    ),
    CellFault.SATURATED_LOW: (
        "is beyond its range",
        "Take the load off. If it stays, check the cell and cable.",
    ),
    CellFault.ABSENT: ("is not connected", "Connect this cell and restart the box."),
    CellFault.UNKNOWN: (
        "sends values that make no sense",
        "Restart the box; update its firmware if it stays.",
    ),
    CellFault.MISSING: ("sends no data", "Check the power and the network of its box."),
    CellFault.UNCALIBRATED: ("is not calibrated", "Calibrate it before use."),
}

_PLURALS: Final = (
    (" is ", " are "),
    ("does not", "do not"),
    ("sends", "send"),
    ("its range", "their range"),
    ("its box", "their box"),
    ("this cell", "these cells"),
    ("the plug and cable", "the plugs and cables"),
    ("the cell and cable", "the cells and cables"),
    ("keep it away", "keep them away"),
    ("Calibrate it ", "Calibrate them "),
)


def fault_reason(faults: dict[str, CellFault]) -> tuple[str, str]:
    """Return reason and remedy for the hangers that have no force, `faults` from hanger name to its fault."""
    if not faults:
        return REASONS[Validity.FAULT]
    name, worst = next(iter(faults.items()))
    what, remedy = FAULT_REASONS[worst]
    alike = [other for other, fault in faults.items() if FAULT_REASONS[fault][0] == what]
    more = len(faults) - len(alike)
    text = f"{' and '.join(alike) if len(alike) < 3 else f'{name} and {len(alike) - 1} more'} {what}."
    if len(alike) > 1:
        text, remedy = _plural(text), _plural(remedy)
    if more:
        text += " 1 more cell has another fault." if more == 1 else f" {more} more cells have other faults."
    return text, remedy


def _plural(words: str) -> str:
    for one, several in _PLURALS:
        words = words.replace(one, several)
    return words
