"""Units at the edges: newtons inside, kilograms, pounds, newtons or percent for people.

Kilograms and pounds are of force, percent is of body weight. Does not round; rounding to the display step is
display's.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

Unit = Literal["kg", "lb", "N", "%"]
UNITS: Final[tuple[str, ...]] = get_args(Unit)

NEWTON_PER_KG: Final = 9.80665  # standard gravity, CGPM 1901: 1 kgf
NEWTON_PER_LB: Final = 4.4482216152605  # international avoirdupois pound-force


def newtons_per(unit: Unit, body_weight_n: float | None = None) -> float:
    """Return how many newtons one `unit` is. `%` is of `body_weight_n`; ValueError without one."""
    if unit == "kg":
        return NEWTON_PER_KG
    if unit == "lb":
        return NEWTON_PER_LB
    if unit == "N":
        return 1.0
    if unit == "%":
        if body_weight_n is None or body_weight_n <= 0:
            raise ValueError(f"expected a body weight above 0 N for '%', got {body_weight_n}: weigh in first")
        return body_weight_n / 100.0
    raise ValueError(f"expected a unit of {', '.join(UNITS)}, got {unit!r}")


def to_newtons(value: float, unit: Unit, body_weight_n: float | None = None) -> float:
    """Return `value` given in `unit` as newtons."""
    return value * newtons_per(unit, body_weight_n)


def from_newtons(value_n: float, unit: Unit, body_weight_n: float | None = None) -> float:
    """Return `value_n` newtons in `unit`."""
    return value_n / newtons_per(unit, body_weight_n)
