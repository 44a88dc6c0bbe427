"""The written uncertainty budget of a rig and its law of propagation (GUM, JCGM 100:2008). Knows no samples.

docs/load-model.md derives it; hardware/error_budget.py computes the same by another way.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, sin, sqrt
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

COVERAGE_FACTOR: Final = 2.0  # about 95 % (GUM 6.3.3); docs/load-model.md shows the Monte-Carlo check
RECTANGULAR: Final = sqrt(3.0)  # limit over standard uncertainty (GUM 4.3.7)
ROOM_K: Final = 5.0  # what a massage room warms or cools at most while it is used
ROOM_AFTER_S: Final = 3600.0  # and how long it takes to do so
SWING_RAD: Final = 5.0 * pi / 180.0  # a hanger pulled aside: the cell sees the cosine
# One-sided: the cell reads low by f (1 - cos a), a even over the range. The mean is not taken off, for then
# client load would err on the safe side less often; its root mean square is added instead (GUM F.2.4.5):
# the integral of (1 - cos a)^2 over the range.
SWING_RELATIVE: Final = sqrt(
    1.5 - 2.0 * sin(SWING_RAD) / SWING_RAD + sin(2.0 * SWING_RAD) / (4.0 * SWING_RAD)
)

Scale = Literal["capacity", "load", "capacity per root hour", "capacity per kelvin"]
Shape = Literal["rectangular", "normal"]
Between = Literal["independent", "alike"]
CellClass = Literal["0.2%", "C3"]


@dataclass(frozen=True, slots=True)
class Term:
    """One line of the budget: `limit` is a fraction of `scale`.

    It is the half width of a rectangular distribution, the standard uncertainty of a normal one. `between`
    cells: independent terms add in quadrature, terms that are alike (same room) add linearly.
    """

    key: str
    name: str
    limit: float
    scale: Scale
    shape: Shape
    between: Between

    @property
    def u(self) -> float:
        """The standard uncertainty as a fraction of `scale`."""
        return self.limit / RECTANGULAR if self.shape == "rectangular" else self.limit


def _terms(
    *, repeatability: float, span: float, hysteresis: float, creep: float, drift: float, temperature: float
) -> tuple[Term, ...]:
    return (
        Term(
            "repeatability",
            "repeatability, mount",
            repeatability,
            "capacity",
            "rectangular",
            "independent",
        ),
        Term("span", "span calibration", span, "load", "rectangular", "independent"),
        Term("hysteresis", "hysteresis", hysteresis, "load", "rectangular", "independent"),
        Term("creep", "creep", creep, "load", "rectangular", "independent"),
        Term("zero_drift", "zero drift with time", drift, "capacity per root hour", "normal", "alike"),
        Term(
            "zero_temperature",
            "zero with temperature",
            temperature,
            "capacity per kelvin",
            "rectangular",
            "alike",
        ),
    )


# The written budget. Limits of inexpensive 0.2 % cells are what data sheets of that class state; those of C3
# follow OIML R 60 (3,000 intervals, apportioning 0.7) plus what mount and amplifier add to any cell.
BUDGET: Final[dict[CellClass, tuple[Term, ...]]] = {
    "0.2%": _terms(
        repeatability=0.0020, span=0.0050, hysteresis=0.0020, creep=0.0020, drift=0.00040, temperature=0.00020
    ),
    "C3": _terms(
        repeatability=0.0005,
        span=0.0030,
        hysteresis=0.0002,
        creep=0.0002,
        drift=0.00010,
        temperature=0.000015,
    ),
}


@dataclass(frozen=True, slots=True)
class RigBudget:
    """The budget of a rig in newtons, ready for arrays of C cells; made by `rig_budget`."""

    constant_var_n2: float  # of all cells together
    relative_var: NDArray[np.float64]  # [C], times force squared
    swing_relative: NDArray[np.float64]  # [C], times force
    drift_n: float  # standard uncertainty of the sum at one hour, times the root of the hours
    temperature_n: float  # standard uncertainty of the sum at the full room temperature change
    cell_constant_var_n2: NDArray[np.float64]  # [C]
    cell_drift_n: NDArray[np.float64]  # [C]
    cell_temperature_n: NDArray[np.float64]  # [C]


def rig_budget(cells: Sequence[tuple[float, CellClass]]) -> RigBudget:
    """Return the budget of cells given as (capacity in newtons, class)."""
    table = [(capacity, {term.key: term.u for term in BUDGET[kind]}) for capacity, kind in cells]
    constant = np.array([(capacity * u["repeatability"]) ** 2 for capacity, u in table])
    relative = np.array([u["span"] ** 2 + u["hysteresis"] ** 2 + u["creep"] ** 2 for _, u in table])
    drift = np.array([capacity * u["zero_drift"] for capacity, u in table])
    temperature = np.array([capacity * u["zero_temperature"] * ROOM_K for capacity, u in table])
    return RigBudget(
        constant_var_n2=float(constant.sum()),
        relative_var=relative,
        swing_relative=np.full(len(cells), SWING_RELATIVE),
        drift_n=float(drift.sum()),
        temperature_n=float(temperature.sum()),
        cell_constant_var_n2=constant,
        cell_drift_n=drift,
        cell_temperature_n=temperature,
    )


def _zero_var(
    drift: float | NDArray[np.float64], temperature: float | NDArray[np.float64], age_s: NDArray[np.float64]
) -> NDArray[np.float64]:
    since_s = np.maximum(age_s, 0.0)
    drifted = (since_s / 3600.0) * np.square(drift)
    warmed = np.square(np.minimum(since_s / ROOM_AFTER_S, 1.0)) * np.square(temperature)
    total: NDArray[np.float64] = drifted + warmed
    return total


def bar_uncertainty(
    force_n: NDArray[np.float64], zero_age_s: NDArray[np.float64], budget: RigBudget
) -> NDArray[np.float64]:
    """Return the standard uncertainty (newtons, [S]) of the sum of `force_n` [S, C].

    `zero_age_s` [S] is the time since the zero. u(B)^2 = sum of the independent terms squared + (sum of the
    alike terms)^2, GUM equations 10 and 16. A sum that is not known (nan) has no uncertainty (nan).
    """
    variance = np.square(force_n) @ budget.relative_var
    variance += np.square(np.abs(force_n) @ budget.swing_relative)
    variance += _zero_var(budget.drift_n, budget.temperature_n, zero_age_s)
    variance += budget.constant_var_n2
    root: NDArray[np.float64] = np.sqrt(variance)
    return root


def cell_uncertainty(
    force_n: NDArray[np.float64], zero_age_s: NDArray[np.float64], budget: RigBudget
) -> NDArray[np.float64]:
    """Return the standard uncertainty (newtons, [S, C]) of each single cell's force."""
    variance = np.square(force_n) * (budget.relative_var + SWING_RELATIVE**2) + budget.cell_constant_var_n2
    variance += _zero_var(budget.cell_drift_n, budget.cell_temperature_n, zero_age_s[:, np.newaxis])
    root: NDArray[np.float64] = np.sqrt(variance)
    return root


def client_uncertainty(bar_u_n: NDArray[np.float64], weight_u_n: float) -> NDArray[np.float64]:
    """Return the standard uncertainty of C = W - B: bar and body weight are independent (GUM equation 10)."""
    root: NDArray[np.float64] = np.hypot(bar_u_n, weight_u_n)
    return root


def expanded(u_n: float) -> float:
    """Return U = 2 u, the figure shown."""
    return COVERAGE_FACTOR * u_n
