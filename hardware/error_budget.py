"""Derives the uncertainty of bar load and client load from the written budget, apart from the daemon.

Every source of error is one row with its standard uncertainty at the sum; a source shared by cells is one
row, not four. The rows add in quadrature. Run it: python hardware/error_budget.py [--class C3] [--bar 30]
[--hours 1]
"""

# ruff: noqa: INP001 - a script, not a package

from __future__ import annotations

import argparse
import math
from typing import NamedTuple

from ashibar.core.uncertainty import BUDGET, ROOM_AFTER_S, ROOM_K

KG_N = 9.80665
BODY_WEIGHT_KG = {"scale": 0.3, "typed": 1.0}
SWING_DEG = 5.0


class Row(NamedTuple):
    """One source of error: its name, whose it is, and its standard uncertainty at the sum, in kilograms."""

    source: str
    whose: str
    at_sum_kg: float


def _standard(limit: float, shape: str) -> float:
    """Return the standard deviation, by its integral where the distribution is even over +-limit."""
    if shape == "normal":
        return limit
    steps = 1000
    middles = (limit * (2 * (i + 0.5) / steps - 1) for i in range(steps))
    return math.sqrt(sum(x * x for x in middles) / steps)


def _swing_kg(load_kg: float) -> float:
    """Return the root mean square of what a hanger reads too low.

    The angle it swings by is even over 0 to 5 degrees.
    """
    steps = 1000
    angles = (math.radians(SWING_DEG) * (i + 0.5) / steps for i in range(steps))
    return load_kg * math.sqrt(sum((1 - math.cos(angle)) ** 2 for angle in angles) / steps)


def rows(
    kind: str, capacity_kg: float, loads_kg: list[float], hours: float, weight_kg_u: float | None
) -> list[Row]:
    """Return every source of error of cells under `loads_kg`, and of a body weight if given."""
    found = []
    warmed_k = ROOM_K * min(hours * 3600 / ROOM_AFTER_S, 1.0)
    for term in BUDGET[kind]:  # type: ignore[index]
        sizes = {
            "capacity": [capacity_kg] * len(loads_kg),
            "load": [abs(load) for load in loads_kg],
            "capacity per root hour": [capacity_kg * math.sqrt(hours)] * len(loads_kg),
            "capacity per kelvin": [capacity_kg * warmed_k] * len(loads_kg),
        }[term.scale]
        each = [_standard(term.limit * size, term.shape) for size in sizes]
        if term.between == "alike":
            found.append(Row(term.name, "all cells alike", sum(each)))
        else:
            found += [Row(term.name, f"cell {i}", one) for i, one in enumerate(each, 1)]
    found.append(
        Row("swing of the hangers", "all cells alike", _swing_kg(sum(abs(load) for load in loads_kg)))
    )
    if weight_kg_u is not None:
        found.append(Row("body weight", "the person", weight_kg_u))
    return found


def combined_kg(found: list[Row]) -> float:
    """Return the combined standard uncertainty, JCGM 100 equation 10.

    Its rows are independent of each other by construction.
    """
    return math.sqrt(sum(row.at_sum_kg**2 for row in found))


def _table(kind: str, found: list[Row]) -> str:
    total = combined_kg(found) ** 2
    names = dict.fromkeys((row.source, row.whose.split(" ")[0]) for row in found)
    lines = [f"{'source':32} {'u [kg]':>8} {'share':>7}"]
    for name, _ in names:
        part = sum(row.at_sum_kg**2 for row in found if row.source == name)
        lines.append(f"{name:32} {math.sqrt(part):8.3f} {part / total:7.1%}")
    lines.append(f"{f'combined, class {kind}':32} {math.sqrt(total):8.3f}")
    lines.append(f"{'expanded, U = 2 u':32} {2 * math.sqrt(total):8.3f}")
    return "\n".join(lines)


def main() -> None:
    """Print the table of each class."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--class", dest="kind", choices=list(BUDGET), action="append")
    parser.add_argument("--cells", type=int, default=4)
    parser.add_argument("--capacity", type=float, default=200.0, help="of each cell, kg")
    parser.add_argument("--bar", type=float, default=30.0, help="bar load, even over the cells, kg")
    parser.add_argument("--hours", type=float, default=1.0, help="since the zero")
    parser.add_argument(
        "--weight", choices=list(BODY_WEIGHT_KG), default="scale", help="source of body weight"
    )
    asked = parser.parse_args()
    loads = [asked.bar / asked.cells] * asked.cells
    print(
        f"{asked.cells} cells of {asked.capacity:g} kg, bar load {asked.bar:g} kg, {asked.hours:g} h after "
        f"the zero, body weight by {asked.weight}\n"
    )
    for kind in asked.kind or BUDGET:
        print(
            _table(kind, rows(kind, asked.capacity, loads, asked.hours, BODY_WEIGHT_KG[asked.weight])),
            end="\n\n",
        )


if __name__ == "__main__":
    main()
