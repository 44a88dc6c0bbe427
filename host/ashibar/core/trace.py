"""A trace: the force on each cell over time, piecewise linear; read from CSV text, averaged exactly.

It plays nothing. Before its first instant a trace holds its first force, after its last instant its last.
"""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

MAX_CELLS: Final = 4  # what one node reads
FORCE_LIMIT_N: Final = 100_000.0  # ten tonnes: a figure beyond it is a slip of unit or column
_COLUMN: Final = re.compile(r"cell_([a-z0-9-]+)_n")


class TraceError(ValueError):
    """A trace that cannot be used; the text says where, what was expected, what came, and what to do."""


@dataclass(frozen=True, slots=True)
class Trace:
    """`times_s` float64[T], never falling; `forces_n` float64[T, N]; a name for each of the N cells."""

    times_s: NDArray[np.float64]
    forces_n: NDArray[np.float64]
    names: tuple[str, ...]
    _impulse: NDArray[np.float64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        times = np.ascontiguousarray(self.times_s, dtype=np.float64)
        forces = np.ascontiguousarray(self.forces_n, dtype=np.float64)
        if times.ndim != 1 or forces.shape != (times.size, len(self.names)) or not times.size:
            raise TraceError(
                f"expected T times and T x {len(self.names)} forces, got {times.shape} and {forces.shape}: "
                f"give one row of forces for each time"
            )
        if not (np.isfinite(times).all() and np.isfinite(forces).all()):
            raise TraceError("expected finite numbers, got NaN or infinity: leave out rows without a reading")
        if (np.diff(times) < 0).any():
            raise TraceError("expected times that never fall, got one that does: sort the rows by time")
        steps = 0.5 * (forces[1:] + forces[:-1]) * np.diff(times)[:, None]
        impulse = np.concatenate((np.zeros((1, forces.shape[1])), np.cumsum(steps, axis=0)))
        object.__setattr__(self, "times_s", times)
        object.__setattr__(self, "forces_n", forces)
        object.__setattr__(self, "_impulse", impulse)

    @property
    def cells(self) -> int:
        """N."""
        return len(self.names)

    @property
    def duration_s(self) -> float:
        """From the first instant to the last."""
        return float(self.times_s[-1] - self.times_s[0])

    @property
    def total_n(self) -> NDArray[np.float64]:
        """Sum over the cells at each instant, float64[T]."""
        return np.asarray(self.forces_n.sum(axis=1), dtype=np.float64)

    def at(self, times_s: ArrayLike) -> NDArray[np.float64]:
        """Force of each cell at M instants, float64[M, N]."""
        times = np.atleast_1d(np.asarray(times_s, dtype=np.float64))
        columns = [np.interp(times, self.times_s, self.forces_n[:, cell]) for cell in range(self.cells)]
        return np.stack(columns, axis=1)

    def impulse_to(self, times_s: ArrayLike) -> NDArray[np.float64]:
        """Integral of each cell's force from the first instant to M others, newton seconds, float64[M, N]."""
        times = np.atleast_1d(np.asarray(times_s, dtype=np.float64))
        row = np.clip(np.searchsorted(self.times_s, times, side="right") - 1, 0, self.times_s.size - 1)
        since = times - self.times_s[row]
        middle = 0.5 * (self.forces_n[row] + self.at(times))  # linear in between, constant outside
        return np.asarray(self._impulse[row] + middle * since[:, None], dtype=np.float64)

    def mean_over(self, from_s: ArrayLike, to_s: ArrayLike) -> NDArray[np.float64]:
        """Exact average force of each cell over M spans, float64[M, N]; a span may be an instant."""
        start = np.atleast_1d(np.asarray(from_s, dtype=np.float64))
        end = np.atleast_1d(np.asarray(to_s, dtype=np.float64))
        if (end < start).any():
            raise TraceError("expected spans that end after they start, got one that does not: swap its ends")
        span = (end - start)[:, None]
        change = self.impulse_to(end) - self.impulse_to(start)
        mean = np.divide(change, span, out=self.at(start), where=span > 0)
        return np.asarray(mean, dtype=np.float64)

    def resample(self, rate_hz: float) -> Trace:
        """The trace at even instants from its first on."""
        count = math.floor(self.duration_s * rate_hz + 1e-9) + 1
        times = self.times_s[0] + np.arange(count) / rate_hz
        return Trace(times, self.at(times), self.names)


def parse_trace(text: str) -> Trace:
    """A trace from CSV text: header `t_s,cell_0_n,...` (or names: `cell_left-head_n`), then numbers.

    Raises TraceError naming the line and column.
    """
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=None))
    values: list[list[float]] = []
    try:
        header = [column.strip() for column in next(rows, [])]
        names = _names(header)
        for row in rows:
            if row and any(value.strip() for value in row):
                values.append(_numbers(row, header, rows.line_num, values))
    except csv.Error as error:
        raise TraceError(
            f"line {rows.line_num + 1}: expected comma-separated numbers, got what is no CSV ({error}): "
            "save the file as plain CSV text"
        ) from error
    if not values:
        raise TraceError("expected rows of numbers under the header, got none: is the file cut off?")
    table = np.array(values, dtype=np.float64)
    return Trace(table[:, 0], table[:, 1:], names)


def _names(header: Sequence[str]) -> tuple[str, ...]:
    shown = ",".join(header) or "nothing"
    if not header or header[0] != "t_s":
        raise TraceError(
            f"line 1: expected the header t_s,cell_0_n,cell_1_n,... got {shown[:80]}: write that line first"
        )
    names = []
    for number, column in enumerate(header[1:], start=2):
        match = _COLUMN.fullmatch(column)
        if match is None:
            raise TraceError(
                f"line 1, column {number}: expected cell_{number - 2}_n, got {column!r}: "
                f"name each cell's column so, in newtons"
            )
        names.append(match[1])
    _check_names(names)
    return tuple(names)


def _check_names(names: list[str]) -> None:
    if not 1 <= len(names) <= MAX_CELLS:
        raise TraceError(
            f"line 1: expected 1 to {MAX_CELLS} columns of cells after t_s, got {len(names)}: "
            f"a node reads up to {MAX_CELLS}"
        )
    if len(set(names)) != len(names):
        raise TraceError(f"line 1: expected different cells, got {', '.join(names)}: rename one of the same")
    numbered = [name for name in names if name.isdigit()]
    if numbered and numbered != [str(number) for number in range(len(names))]:
        missing = next((str(n) for n in range(len(names)) if str(n) not in names), numbered[0])
        raise TraceError(
            f"line 1: expected cell_0_n to cell_{len(names) - 1}_n in order, got {', '.join(names)}: "
            f"add the missing column cell_{missing}_n, zeros if it carries nothing"
        )


def _numbers(row: list[str], header: Sequence[str], line: int, before: list[list[float]]) -> list[float]:
    if len(row) != len(header):
        came = f"{len(row)} value{'s' if len(row) != 1 else ''}"
        at = f", column {header[len(row)]}" if len(row) < len(header) else ""
        raise TraceError(
            f"line {line}{at}: expected {len(header)} values as in the header, got {came}: "
            f"every row needs a value in each column"
        )
    numbers = [_number(value, column, line) for value, column in zip(row, header, strict=True)]
    if before and numbers[0] < before[-1][0]:
        raise TraceError(
            f"line {line}, column t_s: expected a time from {before[-1][0]:g} s on, got {numbers[0]:g}: "
            f"time must not go backwards, sort the rows"
        )
    return numbers


def _number(value: str, column: str, line: int) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise TraceError(
            f"line {line}, column {column}: expected a number, got {value.strip()!r}: "
            f"write it with a decimal point, or leave the row out"
        )
    if column != "t_s" and abs(number) > FORCE_LIMIT_N:
        raise TraceError(
            f"line {line}, column {column}: expected a force within {FORCE_LIMIT_N:g} N, got {number:g}: "
            f"check the unit, it is newtons"
        )
    return number
