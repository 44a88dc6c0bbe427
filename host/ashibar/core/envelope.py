"""Fits the straight line under the arrivals of a boot's frames: offset of UTC to device time, and drift.

Method: Moon, Skelly and Towsley (INFOCOM 1999): of all lines under the points the one closest to them on
average, which is the edge of the lower convex hull over the mean of the abscissae. It knows no clock.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

BUCKET_US: Final = 10_000_000  # 80 frames: one of them finds the network idle
BUCKETS_MAX: Final = 60  # ten minutes: short enough to follow the crystal as it warms
FIT_SPAN_US: Final = 60_000_000  # over less than this, 1 ms of envelope noise hides a crystal's drift
DRIFT_MAX_PPM: Final = 200.0  # worse than any crystal; beyond it the arrivals lie


class Line(msgspec.Struct, frozen=True, array_like=True):
    """The fit itself: offset (UTC - device time) at `device_us`, changing by `ppm`."""

    device_us: int
    offset_us: int
    ppm: float

    def utc_us(self, device_us: int) -> int:
        """Return the UTC of a device time on this line."""
        return device_us + self.offset_us + round((device_us - self.device_us) * self.ppm * 1e-6)


class Bucket(msgspec.Struct, frozen=True, array_like=True):
    """The least (arrival - device time) of one stretch of BUCKET_US, and where it was."""

    device_us: int
    offset_us: int


def with_bucket(buckets: tuple[Bucket, ...], device_us: int, offset_us: int) -> tuple[Bucket, ...]:
    """Put an arrival into its bucket if it is the earliest there; buckets stay in order of device time."""
    slot = device_us // BUCKET_US
    if not buckets or slot > buckets[-1].device_us // BUCKET_US:
        return (*buckets, Bucket(device_us, offset_us))[-BUCKETS_MAX:]
    last = buckets[-1]
    if slot == last.device_us // BUCKET_US and offset_us < last.offset_us:
        return (*buckets[:-1], Bucket(device_us, offset_us))
    return buckets


def fit_line(buckets: Sequence[Bucket], prior_ppm: float) -> Line:
    """Fit the line under the buckets; with too short a span the drift stays as it was known before."""
    end = buckets[-1]
    points = [(float(b.device_us - end.device_us), float(b.offset_us - end.offset_us)) for b in buckets]
    ppm = prior_ppm
    if points[-1][0] - points[0][0] >= FIT_SPAN_US:
        slope = _edge_slope(_lower_hull(points), sum(x for x, _ in points) / len(points))
        ppm = min(DRIFT_MAX_PPM, max(-DRIFT_MAX_PPM, slope * 1e6))
    support = min(y - x * ppm * 1e-6 for x, y in points)
    return Line(end.device_us, end.offset_us + round(support), ppm)


def span_us(buckets: Sequence[Bucket]) -> int:
    """Return the device time from the first bucket's arrival to the last one's."""
    return buckets[-1].device_us - buckets[0].device_us if buckets else 0


def _lower_hull(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the lower convex hull of points in order of x (Andrew's monotone chain)."""
    hull: list[tuple[float, float]] = []
    for x, y in points:
        while len(hull) >= 2:
            (x0, y0), (x1, y1) = hull[-2], hull[-1]
            if (x1 - x0) * (y - y0) > (y1 - y0) * (x - x0):
                break
            hull.pop()
        hull.append((x, y))
    return hull


def _edge_slope(hull: Sequence[tuple[float, float]], x: float) -> float:
    """Return the slope of the hull's edge over `x`."""
    for (x0, y0), (x1, y1) in pairwise(hull):
        if x0 <= x <= x1:
            return (y1 - y0) / (x1 - x0)
    return 0.0
