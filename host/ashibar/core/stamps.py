"""Times of a frame's samples from the stamps of its ends: the one way live figure and record take them.

A stamp's lowest three bits are the tag of its stretch of time (`core/timefit.py`): where a clock set back has
two stretches overlap, no sample of one is stamped as a sample of the other, and a store by time keeps both;
only where more than eight lie over each other two of them have one tag.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

TAGS: Final = 8  # a stamp is good to 8 us; the wire gives times in steps of 10


def one_frame_utc_us(first_utc_us: int, last_utc_us: int, offsets_us: Sequence[int]) -> NDArray[np.int64]:
    """Return int64[S] for one frame of device times [S] since its first sample; as `sample_utc_us`."""
    span_us = offsets_us[-1]
    stretch_us = last_utc_us - first_utc_us - span_us
    share, tag = max(span_us, 1), first_utc_us % TAGS
    found = []
    for offset_us in offsets_us:  # plain numbers: for ten samples half of what arrays cost
        utc_us = first_utc_us + offset_us + round(offset_us / share * stretch_us)
        found.append(utc_us - utc_us % TAGS + tag)
    return np.array(found, np.int64)


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
