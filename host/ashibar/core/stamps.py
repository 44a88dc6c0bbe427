"""Times of a frame's samples from the stamps of its ends: the one way live figure and record take them.

A stamp's lowest three bits are the tag of its stretch of time (`core/timefit.py`): where a clock set back has
two stretches overlap, no sample of one is stamped as a sample of the other, and a store by time keeps both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

TAGS: Final = 8  # a stamp is good to 8 us; the wire gives times in steps of 10


def one_frame_utc_us(first_utc_us: int, last_utc_us: int, device_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return int64[S] for one frame of device times [S]; as `sample_utc_us`."""
    offset_us = device_us - device_us[0]
    span_us = int(offset_us[-1])
    stretch_us = last_utc_us - first_utc_us - span_us
    utc_us: NDArray[np.int64] = first_utc_us + offset_us
    if stretch_us:
        utc_us += np.rint(offset_us / max(span_us, 1) * stretch_us).astype(np.int64)
    return utc_us - utc_us % TAGS + first_utc_us % TAGS


def sample_utc_us(
    first_utc_us: NDArray[np.int64], last_utc_us: NDArray[np.int64], device_us: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return int64[K, S]: UTC of each sample of K frames, from both ends' stamps [K] and device times [K, S].

    Linear in device time between the ends, so that frames that follow each other never overlap.
    """
    offset_us = device_us - device_us[:, :1]
    span_us = offset_us[:, -1:]
    stretch_us = (last_utc_us - first_utc_us)[:, np.newaxis] - span_us
    utc_us: NDArray[np.int64] = first_utc_us[:, np.newaxis] + offset_us
    if stretch_us.any():
        utc_us += np.rint(offset_us / np.maximum(span_us, 1) * stretch_us).astype(np.int64)
    return utc_us - utc_us % TAGS + first_utc_us[:, np.newaxis] % TAGS
