"""Extremes of the load at the full rate since they were reset. Block means would keep half of a landing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Peaks:
    """Greatest and least bar load and cell forces (newtons), None before any known sample."""

    bar_max_n: float | None = None
    bar_min_n: float | None = None
    cell_max_n: tuple[float, ...] | None = None
    cell_min_n: tuple[float, ...] | None = None

    def with_rows(self, bar_n: NDArray[np.float64], force_n: NDArray[np.float64]) -> Peaks:
        """Return the peaks after bar loads `bar_n` [S] and forces `force_n` [S, C].

        Unknown ones (nan) do not count.
        """
        high, low = float(np.fmax.reduce(bar_n)), float(np.fmin.reduce(bar_n))
        if high != high:  # noqa: PLR0124 - nan: no row had a known sum
            return self
        cells_high = np.array([np.fmax.reduce(column) for column in force_n.T])  # quicker than along axis 0
        cells_low = np.array([np.fmin.reduce(column) for column in force_n.T])
        if (
            self.bar_max_n is None
            or self.bar_min_n is None
            or self.cell_max_n is None
            or self.cell_min_n is None
        ):
            return Peaks(high, low, tuple(cells_high.tolist()), tuple(cells_low.tolist()))
        return Peaks(
            max(self.bar_max_n, high),
            min(self.bar_min_n, low),
            tuple(np.fmax(cells_high, self.cell_max_n).tolist()),
            tuple(np.fmin(cells_low, self.cell_min_n).tolist()),
        )

    def client_max_n(self, body_weight_n: float) -> float | None:
        """Return the greatest client load: body weight minus the least bar load."""
        return None if self.bar_min_n is None else body_weight_n - self.bar_min_n


NO_PEAKS: Final = Peaks()
