"""The summary of a session, folded from evaluated blocks: the same to the last digit however they are cut.

Time is counted in whole microseconds and load in whole millinewtons, so sums do not depend on their order;
the one division comes at the end. A sample stands for the time since the one before it; more than 0.5 s is a
gap, unknown. Percentiles are of time, from a histogram of bins of 0.5 kg.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np

from ashibar.core.records import US_PER_S
from ashibar.core.units import NEWTON_PER_KG
from ashibar.core.validity import Validity

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from ashibar.core.alarm_conditions import SignalBlock
    from ashibar.core.session import Terms

GAP_US: Final = 500_000  # the age at which a cell counts as missing
BIN_N: Final = 0.5 * NEWTON_PER_KG  # of the histogram: the display's own step
FIRST_BIN_N: Final = -50 * NEWTON_PER_KG
BINS: Final = 700  # -50 to 300 kg; what lies outside counts in the outermost
PERCENTILES: Final = (5, 25, 50, 75, 95, 99)
HANG_SHARE: Final = 0.05  # of body weight left on the client: the feet are clear
HANG_US: Final = US_PER_S  # shorter is a jump or a step


class Bands(msgspec.Struct, frozen=True, kw_only=True):
    """What the time is divided by, newtons on the client. None: not set, and then not divided."""

    target_low_n: float | None = None
    target_high_n: float | None = None
    limit_n: float | None = None
    body_weight_n: float | None = None


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Samples of the session's time as the journal counts them."""

    expected: int
    stored: int
    missing: int


class Peak(msgspec.Struct, frozen=True, kw_only=True):
    """An extreme at the full rate, newtons, and when."""

    value_n: float
    at_us: int


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A session in figures. Seconds and newtons; None: cannot be said."""

    duration_s: float
    known_s: float  # with a figure for client load
    unknown_s: float  # gaps and invalid samples
    below_s: float | None
    in_target_s: float | None
    above_target_s: float | None  # and not above the limit
    over_limit_s: tuple[float, float] | None  # at least, at most: unknown time may have been above
    mean_client_n: float | None
    percentiles_n: dict[str, float]  # upper edge of the bin, so never too low
    client_max: Peak | None
    bar_max: Peak | None
    bar_min: Peak | None
    cell_max: dict[str, Peak]
    motion_share: float | None  # of the time with a figure
    hangs: int
    hang_s: float
    bar_share: dict[str, float]  # left, right: of the load integrated over time
    incidents: int
    samples: Account
    samples_evaluated: int
    validity_share: dict[str, float]  # of the duration; "no data" is the rest
    calibrations: tuple[str, ...]
    zeros: tuple[str, ...]


class _Extreme(NamedTuple):
    value_n: float
    at_us: int


@dataclass(frozen=True, slots=True)
class SummaryState:
    """What is known after the blocks so far; whole numbers only, and exact extremes."""

    cells: tuple[str, ...]
    bands: Bands
    started_us: int
    last_us: int  # the newest sample, or the start
    samples: int
    known_us: int
    motion_us: int
    band_us: tuple[int, int, int, int]  # below, in, above target, over the limit
    client_mn_us: int
    bar_mn_us: tuple[int, ...]  # a bar each
    histogram_us: NDArray[np.int64]
    validity_us: NDArray[np.int64]
    client_max: _Extreme | None
    bar_max: _Extreme | None
    bar_min: _Extreme | None
    cell_max: tuple[_Extreme | None, ...]
    hang_us: int  # of the hang that is going on
    hangs: int
    hangs_us: int
    calibrations: frozenset[str]
    zeros: frozenset[str]


def begin(cells: tuple[str, ...], bands: Bands, started_us: int) -> SummaryState:
    """Begin a session of a rig with hangers `cells`, named `<bar>-<end>`."""
    return SummaryState(
        cells=cells, bands=bands, started_us=started_us, last_us=started_us, samples=0, known_us=0,
        motion_us=0, band_us=(0, 0, 0, 0), client_mn_us=0, bar_mn_us=(0,) * len(_bars(cells)),
        histogram_us=np.zeros(BINS, dtype=np.int64), validity_us=np.zeros(len(Validity), dtype=np.int64),
        client_max=None, bar_max=None, bar_min=None, cell_max=(None,) * len(cells),
        hang_us=0, hangs=0, hangs_us=0, calibrations=frozenset(), zeros=frozenset(),
    )  # fmt: skip


def _bars(cells: Sequence[str]) -> dict[str, list[int]]:
    bars: dict[str, list[int]] = {}
    for column, cell in enumerate(cells):
        bars.setdefault(cell.partition("-")[0], []).append(column)
    return bars


def bands_of(terms: Terms) -> Bands:
    """Give the bands that a session's terms stand for; a target band needs a body weight to be a load."""
    weight_n = terms.body_weight.value_n if terms.body_weight else None
    low, high = (
        None if weight_n is None or share is None else share * weight_n
        for share in (terms.target_low, terms.target_high)
    )
    return Bands(target_low_n=low, target_high_n=high, limit_n=terms.client_limit_n, body_weight_n=weight_n)


def with_bands(state: SummaryState, bands: Bands) -> SummaryState:
    """Divide what follows by other bands: the limits of a session may change in its middle."""
    return replace(state, bands=bands)


def fold(
    state: SummaryState, block: SignalBlock, calibrations: Iterable[str] = (), zeros: Iterable[str] = ()
) -> SummaryState:
    """Add a block that follows the ones before. ValueError for samples out of order or before the start.

    Where a clock may have been set, give `block.rising(state.last_us)`.
    """
    times = block.utc_us
    if not len(times):
        return state
    dt_us = np.diff(times, prepend=np.int64(state.last_us))
    if dt_us[0] < 0 or (dt_us[1:] <= 0).any():
        raise ValueError(
            f"samples in order after {state.last_us} us were expected, {times[0]} us came: sort them"
        )
    dt_us = np.where(dt_us <= GAP_US, dt_us, 0)
    known = ~np.isnan(block.client_n)
    client_n, weight_us = block.client_n[known], dt_us[known]
    hang = _hang(state, block, dt_us)
    bars = [
        _integral(block.force_n[:, columns].sum(axis=1), dt_us) for columns in _bars(state.cells).values()
    ]
    return replace(
        state, last_us=int(times[-1]), samples=state.samples + len(times),
        known_us=state.known_us + int(weight_us.sum()),
        motion_us=state.motion_us + int(dt_us[block.motion & known].sum()),
        band_us=_divide(state, client_n, weight_us),
        client_mn_us=state.client_mn_us + _integral(client_n, weight_us),
        bar_mn_us=tuple(a + b for a, b in zip(state.bar_mn_us, bars, strict=True)),
        histogram_us=state.histogram_us + _histogram(client_n, weight_us),
        validity_us=state.validity_us + _sums(block.validity, dt_us, len(Validity)),
        client_max=_greatest(state.client_max, block.client_n, times),
        bar_max=_greatest(state.bar_max, block.bar_n, times),
        bar_min=_negated(_greatest(_negated(state.bar_min), -block.bar_n, times)),
        cell_max=tuple(
            _greatest(old, block.force_n[:, column], times) for column, old in enumerate(state.cell_max)
        ),
        hang_us=hang[0], hangs=hang[1], hangs_us=hang[2],
        calibrations=state.calibrations.union(calibrations), zeros=state.zeros.union(zeros),
    )  # fmt: skip


def _integral(load_n: NDArray[np.float64], dt_us: NDArray[np.int64]) -> int:
    load_mn = np.rint(np.nan_to_num(load_n) * 1000).astype(np.int64)
    return int((load_mn * dt_us).sum())


def _sums(
    which: NDArray[np.int64] | NDArray[np.uint8], dt_us: NDArray[np.int64], size: int
) -> NDArray[np.int64]:
    # bincount sums in doubles, exact here: a block's microseconds stay far below 2^53.
    return np.bincount(which, weights=dt_us, minlength=size).astype(np.int64)


def _histogram(client_n: NDArray[np.float64], dt_us: NDArray[np.int64]) -> NDArray[np.int64]:
    # Bins are closed above, (edge - BIN_N, edge], so that the upper edge is never below what it stands for.
    bins = np.ceil((client_n - FIRST_BIN_N) / BIN_N).astype(np.int64) - 1
    return _sums(np.clip(bins, 0, BINS - 1), dt_us, BINS)


def _divide(
    state: SummaryState, client_n: NDArray[np.float64], dt_us: NDArray[np.int64]
) -> tuple[int, int, int, int]:
    bands = state.bands
    inf = float("inf")
    over = client_n > (inf if bands.limit_n is None else bands.limit_n)
    low = client_n < (-inf if bands.target_low_n is None else bands.target_low_n)
    high = client_n > (inf if bands.target_high_n is None else bands.target_high_n)
    parts = (low & ~over, ~low & ~high & ~over, high & ~over, over)
    below, inside, above, limit = (
        before + int(dt_us[part].sum()) for before, part in zip(state.band_us, parts, strict=True)
    )
    return below, inside, above, limit


def _greatest(
    before: _Extreme | None, values: NDArray[np.float64], times: NDArray[np.int64]
) -> _Extreme | None:
    if np.isnan(values).all():
        return before
    index = int(np.nanargmax(values))
    value_n = float(values[index])
    return _Extreme(value_n, int(times[index])) if before is None or value_n > before.value_n else before


def _negated(extreme: _Extreme | None) -> _Extreme | None:
    return None if extreme is None else _Extreme(-extreme.value_n, extreme.at_us)


def _hang(state: SummaryState, block: SignalBlock, dt_us: NDArray[np.int64]) -> tuple[int, int, int]:
    """Follow hangs: at least HANG_US on end with hardly anything left on the client."""
    weight_n = state.bands.body_weight_n
    going_us, hangs, hangs_us = state.hang_us, state.hangs, state.hangs_us
    if weight_n is None:
        return 0, hangs, hangs_us
    clear = (block.client_n <= HANG_SHARE * weight_n) & (dt_us > 0)
    if not clear.any() and not going_us:
        return 0, hangs, hangs_us
    edges = np.flatnonzero(np.diff(clear, prepend=not clear[0])).tolist()
    for start, stop in zip(edges, [*edges[1:], len(clear)], strict=True):
        if not clear[start]:
            going_us = 0
            continue
        more_us = int(dt_us[start:stop].sum())
        if going_us + more_us >= HANG_US:
            hangs += going_us < HANG_US
            hangs_us += more_us if going_us >= HANG_US else going_us + more_us
        going_us += more_us
    return going_us, hangs, hangs_us


def finish(state: SummaryState, ended_us: int, samples: Account, incidents: int) -> Summary:
    """Close the fold at the session's end and give its figures."""
    if ended_us < state.last_us:
        raise ValueError(f"an end at or after {state.last_us} us was expected, {ended_us} us came: fold less")
    duration_us = ended_us - state.started_us
    bands, known_us = state.bands, state.known_us
    unknown_us = duration_us - known_us
    has_target = bands.target_low_n is not None and bands.target_high_n is not None
    below, inside, above = (_seconds(us) if has_target else None for us in state.band_us[:3])
    over_us = state.band_us[3]
    limit = None if bands.limit_n is None else (_seconds(over_us), _seconds(over_us + unknown_us))
    return Summary(
        duration_s=_seconds(duration_us), known_s=_seconds(known_us), unknown_s=_seconds(unknown_us),
        below_s=below, in_target_s=inside, above_target_s=above, over_limit_s=limit,
        mean_client_n=state.client_mn_us / (1000 * known_us) if known_us else None,
        percentiles_n=_percentiles(state.histogram_us),
        client_max=_peak(state.client_max), bar_max=_peak(state.bar_max), bar_min=_peak(state.bar_min),
        cell_max={
            cell: Peak(value_n=peak.value_n, at_us=peak.at_us)
            for cell, peak in zip(state.cells, state.cell_max, strict=True) if peak is not None
        },
        motion_share=state.motion_us / known_us if known_us else None,
        hangs=state.hangs, hang_s=_seconds(state.hangs_us), bar_share=_bar_share(state),
        incidents=incidents, samples=samples, samples_evaluated=state.samples,
        validity_share=_validity_share(state, duration_us),
        calibrations=tuple(sorted(state.calibrations)), zeros=tuple(sorted(state.zeros)),
    )  # fmt: skip


def _seconds(us: int) -> float:
    return us / US_PER_S


def _peak(extreme: _Extreme | None) -> Peak | None:
    return None if extreme is None else Peak(value_n=extreme.value_n, at_us=extreme.at_us)


def _percentiles(histogram_us: NDArray[np.int64]) -> dict[str, float]:
    total_us = int(histogram_us.sum())
    if not total_us:
        return {}
    up_to_us = np.cumsum(histogram_us)
    edges = {}
    for percent in PERCENTILES:
        needed_us = -(-total_us * percent // 100)
        index = int(np.searchsorted(up_to_us, needed_us))
        edges[str(percent)] = FIRST_BIN_N + (index + 1) * BIN_N
    return edges


def _bar_share(state: SummaryState) -> dict[str, float]:
    total = sum(state.bar_mn_us)
    if total <= 0:
        return {}
    return {bar: part / total for bar, part in zip(_bars(state.cells), state.bar_mn_us, strict=True)}


def _validity_share(state: SummaryState, duration_us: int) -> dict[str, float]:
    if duration_us <= 0:
        return {}
    counted = {v.label: int(state.validity_us[v]) for v in Validity if state.validity_us[v]}
    counted["no data"] = duration_us - sum(counted.values())
    return {label: us / duration_us for label, us in counted.items()}
