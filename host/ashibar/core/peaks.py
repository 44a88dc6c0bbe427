"""Extremes of the bar load at the full rate since their reset. Block means would keep half of a landing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Peaks:
    """Greatest and least bar load (newtons), None before any known sample."""

    bar_max_n: float | None = None
    bar_min_n: float | None = None

    def with_rows(self, bar_n: NDArray[np.float64]) -> Peaks:
        """Return the peaks after bar loads `bar_n` [S]; unknown ones (nan) do not count."""
        high, low = float(np.fmax.reduce(bar_n)), float(np.fmin.reduce(bar_n))
        if high != high:  # noqa: PLR0124 - nan: no row had a known sum
            return self
        if self.bar_max_n is None or self.bar_min_n is None:
            return Peaks(high, low)
        return Peaks(max(self.bar_max_n, high), min(self.bar_min_n, low))

    def client_max_n(self, body_weight_n: float) -> float | None:
        """Return the greatest client load: body weight minus the least bar load."""
        return None if self.bar_min_n is None else body_weight_n - self.bar_min_n


NO_PEAKS: Final = Peaks()
