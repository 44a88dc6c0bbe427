"""Cells of several nodes on one time line.

Interpolates between measured samples; never holds a value in the record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ashibar.core.rig import MAX_HOLD_S
from ashibar.core.track import Rows
from ashibar.core.validity import CellFault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ashibar.core.rig import RigParameters

HOLD_US = round(MAX_HOLD_S * 1e6)


def ready_until(series: Mapping[str, Rows]) -> int | None:
    """Return the time up to which no node has anything more to say, None before any sample.

    Unix microseconds. A node is waited for until another is `MAX_HOLD_S` ahead of it; from then on its
    cells are missing.
    """
    newest = [int(rows.utc_us[-1]) if len(rows) else None for rows in series.values()]
    known = [utc_us for utc_us in newest if utc_us is not None]
    if not known:
        return None
    given_up = max(known) - HOLD_US - 1
    return min(given_up if utc_us is None else max(utc_us, given_up) for utc_us in newest)


def aligned(series: Mapping[str, Rows], after_us: int, until_us: int, params: RigParameters) -> Rows:
    """Return rows of the whole rig at the ticks in (after_us, until_us].

    Ticks are the sample times of the first node of the rig; where that has a gap of more than `MAX_HOLD_S`,
    those of the next node, and so on.
    """
    ticks = np.empty(0, np.int64)
    silent: list[Rows] = []
    for node in params.nodes:
        rows = series[node]
        utc_us = rows.utc_us[(rows.utc_us > after_us) & (rows.utc_us <= until_us)]
        for other in silent:
            utc_us = utc_us[~_bracket(other, utc_us)[2]]
        ticks = np.concatenate([ticks, utc_us])
        silent.append(rows)
    ticks.sort()
    return _at(series, ticks, params)


def newest(series: Mapping[str, Rows], params: RigParameters) -> Rows:
    """Return one row at the newest sample of any node.

    The other nodes' cells are as last read if that is recent enough, else missing.
    """
    known = [int(rows.utc_us[-1]) for rows in series.values() if len(rows)]
    if not known:
        return Rows.empty(len(params.cells))
    latest = max(known)
    row = _blank(np.array([latest], np.int64), params)
    for node, rows in series.items():
        if len(rows) and latest - int(rows.utc_us[-1]) <= HOLD_US:
            columns = params.columns[node]
            row.force_n[0, columns] = rows.force_n[-1]
            row.fault[0, columns] = rows.fault[-1]
            row.zero_at_us[0] = min(row.zero_at_us[0], rows.zero_at_us[-1])
    return row


def _blank(ticks: NDArray[np.int64], params: RigParameters) -> Rows:
    shape = (len(ticks), len(params.cells))
    missing = np.full(shape, CellFault.MISSING, np.uint8)
    return Rows(ticks, np.full(shape, np.nan), missing, ticks.copy())


def _at(series: Mapping[str, Rows], ticks: NDArray[np.int64], params: RigParameters) -> Rows:
    result = _blank(ticks, params)
    for node, rows in series.items():
        before, after, known = _bracket(rows, ticks)
        if not known.any():
            continue
        before, after, at = before[known], after[known], ticks[known]
        span = np.maximum(rows.utc_us[after] - rows.utc_us[before], 1)
        weight = ((at - rows.utc_us[before]) / span)[:, np.newaxis]
        force_n = rows.force_n[before]
        cells = np.ix_(known, params.columns[node])
        result.force_n[cells] = np.where(
            weight > 0, force_n + weight * (rows.force_n[after] - force_n), force_n
        )
        passed = np.where(weight > 0, rows.fault[after], np.uint8(0))
        result.fault[cells] = np.maximum(rows.fault[before], passed)
        result.zero_at_us[known] = np.minimum(result.zero_at_us[known], rows.zero_at_us[before])
    return result


def _bracket(
    rows: Rows, ticks: NDArray[np.int64]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
    """Return the rows before (or at) and after each tick, and where they bracket it.

    They bracket it when they are near enough to read between them.
    """
    if not len(rows):
        nothing = np.zeros(len(ticks), np.intp)
        return nothing, nothing, np.zeros(len(ticks), bool)
    before = np.searchsorted(rows.utc_us, ticks, side="right") - 1
    exact = (before >= 0) & (rows.utc_us[np.maximum(before, 0)] == ticks)
    after = np.where(exact, before, np.minimum(before + 1, len(rows) - 1))
    inside = exact | ((before >= 0) & (before + 1 < len(rows)))
    before = np.maximum(before, 0)
    known: NDArray[np.bool_] = inside & (rows.utc_us[after] - rows.utc_us[before] <= HOLD_US)
    return before, after, known
