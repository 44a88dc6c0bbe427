"""A node's calibration record: the zero and the span that turn its counts into newtons.

Knows no rig and no drift.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class NodeCalibration:
    """Zero (counts) and span (newtons per count) of each channel of a node, in the order of the frame.

    A record never changes once its id (1 to 65535) was used; `at_us` is when it was made, Unix microseconds.
    ValueError names what does not fit.
    """

    id: int
    at_us: int
    zero_count: tuple[float, ...]
    span_n_per_count: tuple[float, ...]
    by: str = ""
    zero: NDArray[np.float64] = field(init=False, compare=False, repr=False)
    span: NDArray[np.float64] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not 1 <= self.id <= 65535:
            raise ValueError(f"calibration id: expected 1 to 65535, got {self.id}; 0 stands for uncalibrated")
        if len(self.zero_count) != len(self.span_n_per_count) or not self.zero_count:
            raise ValueError(
                f"calibration {self.id}: expected one zero and one span per channel, got "
                f"{len(self.zero_count)} zeros and {len(self.span_n_per_count)} spans"
            )
        if not all(np.isfinite(self.zero_count)):
            raise ValueError(f"calibration {self.id}: expected finite zeros, got {self.zero_count}")
        if not all(np.isfinite(self.span_n_per_count)) or 0.0 in self.span_n_per_count:
            raise ValueError(
                f"calibration {self.id}: expected spans in newtons per count, not 0, got "
                f"{self.span_n_per_count}; calibrate with a known load"
            )
        object.__setattr__(self, "zero", np.array(self.zero_count, dtype=np.float64))
        object.__setattr__(self, "span", np.array(self.span_n_per_count, dtype=np.float64))
