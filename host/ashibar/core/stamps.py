"""Times of a frame's samples from the stamps of its ends: the one way live figure and record take them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def one_frame_utc_us(first_utc_us: int, last_utc_us: int, device_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return int64[S] for one frame of device times [S]; as `sample_utc_us`."""
    offset_us = device_us - device_us[0]
    span_us = int(offset_us[-1])
    stretch_us = last_utc_us - first_utc_us - span_us
    utc_us: NDArray[np.int64] = first_utc_us + offset_us
    if stretch_us:
        utc_us += np.rint(offset_us / max(span_us, 1) * stretch_us).astype(np.int64)
    return utc_us


def sample_utc_us(
    first_utc_us: NDArray[np.int64], last_utc_us: NDArray[np.int64], device_us: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return int64[K, S]: UTC of each sample of K frames, from both ends' stamps [K] and device times [K, S].

    Linear in device time between the ends, so that frames that follow each other never overlap.
    """
    offset_us = device_us - device_us[:, :1]
    span_us = offset_us[:, -1:]
    stretch_us = (last_utc_us - first_utc_us)[:, np.newaxis] - span_us
    if not stretch_us.any():
        return first_utc_us[:, np.newaxis] + offset_us
    share = offset_us / np.maximum(span_us, 1)
    result: NDArray[np.int64] = (
        first_utc_us[:, np.newaxis] + offset_us + np.rint(share * stretch_us).astype(np.int64)
    )
    return result
