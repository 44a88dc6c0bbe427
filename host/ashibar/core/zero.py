"""When the bars may be zeroed, by hand or by themselves, and why not. Takes raw counts; stores nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ashibar.core.rig import Zero
from ashibar.core.track import forces
from ashibar.core.units import NEWTON_PER_KG
from ashibar.core.validity import UNREADABLE_US, CellFault, fault_reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ashibar.core.rig import RigParameters
    from ashibar.core.track import NodeSamples

WINDOW_S: Final = 5.0
GAP_S: Final = 0.5  # a longer one inside the window hides what happened in it
BLOCK_S: Final = 0.5  # medians of this length must agree: noise passes, a swing or a hand does not
STILL_N: Final = 0.25 * NEWTON_PER_KG
AUTOMATIC_N: Final = 1.0 * NEWTON_PER_KG  # from the calibration's zero, so that repeated zeros cannot creep
MANUAL_N: Final = 2.0 * NEWTON_PER_KG  # from the zero in use: more is a load, or a fault to look into
DRIFT_OF_CAPACITY: Final = (
    0.02  # in all since calibration (zero setting range, OIML R 76: at most 4 % of Max)
)


@dataclass(frozen=True, slots=True)
class Zeroing:
    """The answer to a wish to zero: the zero to use, or None with reason and remedy in words.

    `offset_n` is what each cell reads now, `drift_n` what its zero has moved since calibration, newtons in
    the rig's order; both empty where not even that is known.
    """

    zero: Zero | None
    reason: str = ""
    remedy: str = ""
    offset_n: tuple[float, ...] = ()
    drift_n: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class _Window:
    """The last seconds of all cells in the rig's order: counts, offset, drift, wander.

    Median counts; offset from the zero in use and from the calibration's; range of the block medians.
    """

    counts: NDArray[np.float64]
    offset_n: NDArray[np.float64]
    drift_n: NDArray[np.float64]
    wander_n: NDArray[np.float64]


def propose(
    samples: Sequence[NodeSamples],
    params: RigParameters,
    now_us: int,
    *,
    automatic: bool = False,
    session_live: bool = False,
) -> Zeroing:
    """Return whether the rig may be zeroed on `samples`, which hold the last 5 s of every node or more.

    By hand: up to 2 kg from the zero in use. By itself: up to 1 kg from the calibration's zero, and never in
    a session.
    """
    if automatic and session_live:
        return Zeroing(None, "A session is running.", "Zero by hand, with the hands off the bars.")
    found = _window(samples, params, now_us)
    if isinstance(found, Zeroing):
        return found
    offsets, drifts = tuple(found.offset_n.tolist()), tuple(found.drift_n.tolist())
    words = _refusal(found, params, automatic=automatic)
    if words is not None:
        return Zeroing(None, *words, offsets, drifts)
    zero = Zero("session", tuple(found.counts.tolist()), now_us)
    return Zeroing(zero, offset_n=offsets, drift_n=drifts)


def _refusal(found: _Window, params: RigParameters, *, automatic: bool) -> tuple[str, str] | None:
    worst = int(np.argmax(found.wander_n))
    if found.wander_n[worst] > STILL_N:
        return f"{params.names[worst]} is not still.", "Keep hands and curtains off the bars for 5 seconds."
    limit_n = AUTOMATIC_N if automatic else MANUAL_N
    read_n = found.drift_n if automatic else found.offset_n
    total_n = float(read_n.sum())
    worst = int(np.argmax(np.abs(read_n)))
    limit_kg = limit_n / NEWTON_PER_KG
    if abs(total_n) > limit_n:
        load_kg = abs(total_n) / NEWTON_PER_KG
        return f"The bars read {load_kg:.1f} kg, more than {limit_kg:.0f} kg.", _REMEDY
    if abs(read_n[worst]) > limit_n:
        load_kg = abs(read_n[worst]) / NEWTON_PER_KG
        return f"{params.names[worst]} reads {load_kg:.1f} kg, more than {limit_kg:.0f} kg.", _REMEDY
    capacity_n = np.array([cell.capacity_n for cell in params.cells])
    used = np.abs(found.drift_n) / (DRIFT_OF_CAPACITY * capacity_n)
    worst = int(np.argmax(used))
    if used[worst] > 1.0:
        share = abs(found.drift_n[worst]) / capacity_n[worst]
        return (
            f"{params.names[worst]} has drifted {share:.1%} of its capacity since calibration.",
            "Recalibrate; have the cell and its mount checked.",
        )
    return None


_REMEDY: Final = (
    "Take everything off the bars. If nothing hangs there, have the cell checked and recalibrate."
)


_TOO_LITTLE: Final = Zeroing(
    None, "Less than 5 seconds of data.", "Wait until the data come without gaps; try again."
)


def _window(samples: Sequence[NodeSamples], params: RigParameters, now_us: int) -> _Window | Zeroing:
    since_us = now_us - round(WINDOW_S * 1e6)
    size = len(params.cells)
    found = _Window(np.zeros(size), np.zeros(size), np.zeros(size), np.zeros(size))
    for node in params.nodes:
        mine = [item for item in samples if item.node == node and item.utc_us.size]
        if not mine or mine[-1].calibration is None:
            fault = CellFault.UNCALIBRATED if mine else CellFault.MISSING
            columns = params.columns[node]
            return Zeroing(None, *fault_reason({params.names[i]: fault for i in columns}))
        problem = _read(found, mine, params, (since_us, now_us))
        if problem is not None:
            return problem
    return found


def _read(
    found: _Window, mine: list[NodeSamples], params: RigParameters, span_us: tuple[int, int]
) -> Zeroing | None:
    """Fill in the cells of one node; return the refusal if the window cannot be read.

    Samples that cannot be read are left out, as long as they make up less than UNREADABLE_US of the window.
    """
    calibration, node = mine[-1].calibration, mine[-1].node
    columns, channels = params.columns[node], params.channels[node]
    utc_us = np.concatenate([item.utc_us for item in mine])
    inside = (utc_us > span_us[0]) & (utc_us <= span_us[1])
    edges = np.concatenate([[span_us[0]], utc_us[inside], [span_us[1]]])
    if np.diff(edges).max() > GAP_S * 1e6 or calibration is None:
        return _TOO_LITTLE
    counts = np.concatenate([item.counts for item in mine])[inside]
    force_n, fault = forces(counts, calibration, params, node)
    unread_us = (fault != 0).T @ np.diff(utc_us[inside], prepend=span_us[0])
    if (unread_us >= UNREADABLE_US).any():
        worst = [(j, fault[fault[:, j] != 0, j]) for j in np.flatnonzero(unread_us >= UNREADABLE_US)]
        names = {params.names[columns[j]]: CellFault(int(codes[-1])) for j, codes in worst}
        return Zeroing(None, *fault_reason(names))
    block = (utc_us[inside] - span_us[0] - 1) // round(BLOCK_S * 1e6)
    blocks = [force_n[block == number] for number in np.unique(block)]
    if any(np.isnan(each).all(axis=0).any() for each in blocks):
        return _TOO_LITTLE
    medians = np.array([np.nanmedian(each, axis=0) for each in blocks])
    read = np.where(fault != 0, np.nan, counts[:, channels])
    found.counts[columns] = np.nanmedian(read, axis=0)
    found.offset_n[columns] = np.nanmedian(force_n, axis=0)
    found.drift_n[columns] = (found.counts[columns] - calibration.zero[channels]) * calibration.span[channels]
    found.wander_n[columns] = np.ptp(medians, axis=0)
    return None
