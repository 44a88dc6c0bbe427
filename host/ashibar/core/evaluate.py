"""The load model over a stream of samples: bar and client load, uncertainty, motion, validity.

Pure and streaming: the state goes in and comes out, and cutting the
stream elsewhere changes no result. Decides no alarm and shows nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ashibar.core import align, track
from ashibar.core.motion import RECENT_US, spread
from ashibar.core.peaks import NO_PEAKS, Peaks
from ashibar.core.track import Head, NodeSamples, Rows, Spike, Track
from ashibar.core.uncertainty import bar_uncertainty, client_uncertainty
from ashibar.core.validity import CellFault, Validity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ashibar.core.rig import RigParameters

__all__ = [
    "Evaluation",
    "NodeSamples",
    "Seen",
    "Spike",
    "State",
    "advance",
    "flush",
    "newest",
    "provisional",
    "start",
]

KEEP_US = 1_000_000  # rows kept for the display filter; motion keeps its own window if that is longer


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Results of S samples of a rig of C cells, in order of time. What is unknown is nan.

    Newtons, standard u. `utc_us` int64 [S], `force_n` [S, C], `bar_n`, `client_n`, `u_bar_n`, `u_client_n`
    [S], `motion` bool [S], `validity` uint8 [S] of `Validity`, `fault` uint8 [S, C] of `CellFault`,
    `zero_age_s` [S] since the zero in use, `zeroed` bool [S] whether that counts. `spikes` are the samples
    dropped: they have no row. `late` counts samples that came after newer ones of their node and were left
    out here.
    """

    utc_us: NDArray[np.int64]
    force_n: NDArray[np.float64]
    bar_n: NDArray[np.float64]
    client_n: NDArray[np.float64]
    u_bar_n: NDArray[np.float64]
    u_client_n: NDArray[np.float64]
    motion: NDArray[np.bool_]
    validity: NDArray[np.uint8]
    fault: NDArray[np.uint8]
    zero_age_s: NDArray[np.float64]
    zeroed: NDArray[np.bool_]
    spikes: tuple[Spike, ...] = ()
    late: int = 0

    def __len__(self) -> int:
        return len(self.utc_us)


_COLUMNS = tuple(item.name for item in fields(Evaluation) if item.name not in {"spikes", "late"})


@dataclass(frozen=True, slots=True)
class State:
    """Where the stream of a rig stands; made by `start`, carried by `advance`."""

    tracks: dict[str, Track]
    series: dict[str, Rows]  # of several nodes: rows that wait for the other nodes
    rows: Rows  # the last second, final
    bar_n: NDArray[np.float64]  # their bar load
    mean_n: NDArray[np.float64]  # its quarter-second means, see motion.py
    after_us: int  # the newest final row; the next is later
    rest: Rows  # the newest, not final yet, see `provisional`
    rest_bar_n: NDArray[np.float64]
    rest_moving: NDArray[np.bool_]
    moving: bool = False  # whether the newest final row was in motion
    peaks: Peaks = NO_PEAKS
    spikes_dropped: int = 0
    late: int = 0

    @property
    def newest_utc_us(self) -> int | None:
        """Time of the newest sample of any node (Unix microseconds), None before the first."""
        known = [item.last_utc_us for item in self.tracks.values()]
        return max((utc_us for utc_us in known if utc_us is not None), default=None)

    def reset_peaks(self) -> State:
        """Return the state with peaks counted from here on."""
        return replace(self, peaks=NO_PEAKS)


def start(params: RigParameters) -> State:
    """Return the state of a rig before its first sample."""
    return State(
        tracks={node: track.new_track(len(params.columns[node])) for node in params.nodes},
        series={node: Rows.empty(len(params.columns[node])) for node in params.nodes},
        rows=Rows.empty(len(params.cells)),
        bar_n=np.empty(0),
        mean_n=np.empty(0),
        after_us=np.iinfo(np.int64).min,
        rest=Rows.empty(len(params.cells)),
        rest_bar_n=np.empty(0),
        rest_moving=np.empty(0, bool),
    )


def advance(state: State, samples: Sequence[NodeSamples], params: RigParameters) -> tuple[State, Evaluation]:
    """Return the state after `samples` and the results that are final by them.

    Results lag two samples, and with several nodes until all have spoken or are 0.5 s behind. Samples of
    foreign nodes are ignored. Samples older than what their node sent before are left out and counted as
    late; a clock set back within a boot, or across a restart, ends the stretch and begins a new one.
    """
    parts: list[Evaluation] = []
    batch: dict[str, list[NodeSamples]] = {}
    late = 0
    heads = {node: Head.of(item) for node, item in state.tracks.items()}
    for item in samples:
        head = heads.get(item.node)
        if head is None:
            continue
        new = head.fresh(item)
        late += len(item.utc_us) - (0 if new is None else len(new.utc_us))
        if new is None:
            continue
        if head.last_utc_us is not None and new.utc_us[0] <= head.last_utc_us:
            state, part = _absorb(state, batch, heads, params)
            state, rest = flush(state, params)
            parts += [part, rest]
            state, batch = _restarted(state, params), {}
            for other in heads.values():
                other.last_utc_us = None
        batch.setdefault(item.node, []).append(new)
        head.take(new)
    state, part = _absorb(state, batch, heads, params)
    result = _joined([*parts, part], late)
    return replace(state, late=state.late + late) if late else state, result


def flush(state: State, params: RigParameters) -> tuple[State, Evaluation]:
    """Return the state with nothing undecided, and the rows that still were: for the end of a recording."""
    tracks, series = dict(state.tracks), dict(state.series)
    for node, item in state.tracks.items():
        tracks[node], rest = track.settle(item)
        series[node] = series[node].then(rest)
    if len(params.nodes) == 1:
        rows = series[params.nodes[0]]
        series = {node: item.take(slice(len(item), None)) for node, item in series.items()}
    else:
        newest = max((int(item.utc_us[-1]) for item in series.values() if len(item)), default=state.after_us)
        rows = align.aligned(series, state.after_us, newest, params)
        series = {node: _from_last(item, newest) for node, item in series.items()}
    return _finish(state, (tracks, series), rows, (), params)


def provisional(state: State, params: RigParameters) -> Evaluation:
    """Return the newest samples before they are final, without those that may yet be spikes.

    They are for the live figure. With one node up to two rows; with several, one row at the newest sample of
    any, the other cells as last read.
    """
    if not len(state.rest):
        return _nothing(len(params.cells))
    return _results(state.rest, state.rest_bar_n, state.rest_moving, params)


def _not_final(
    tracks: dict[str, Track], series: dict[str, Rows], after_us: int, params: RigParameters
) -> Rows:
    """Return the newest rows that are not final yet and may be shown."""
    if len(params.nodes) == 1:
        node = params.nodes[0]
        return _in_order(track.undecided(tracks[node], params.judged[node]), params)
    waiting = {node: track.undecided(item, params.judged[node]) for node, item in tracks.items()}
    rows = align.newest({node: series[node].then(waiting[node]) for node in params.nodes}, params)
    return rows.take(rows.utc_us > after_us)


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest sample with those of the second before it, for the display filter; of C cells.

    `utc_us` [S], `force_n` [S, C]; the rest is of the last sample: `fault` [C], `bar_n`, whether it is in
    motion, whether it counts as zeroed, and since when.
    """

    utc_us: NDArray[np.int64]
    force_n: NDArray[np.float64]
    fault: NDArray[np.uint8]
    bar_n: float
    motion: bool
    zeroed: bool
    zero_age_s: float
    missing: bool  # no node has sent anything of late


def newest(state: State, params: RigParameters) -> Seen | None:
    """Return the newest sample, final or not, None before the first."""
    rows, rest = state.rows, state.rest
    if not len(rows) and not len(rest):
        return None
    last, bar_n, moving = rows, state.bar_n, state.moving
    utc_us, force_n = rows.utc_us, rows.force_n
    if len(rest):
        last, bar_n, moving = rest, state.rest_bar_n, bool(state.rest_moving[-1])
        utc_us, force_n = np.concatenate([utc_us, rest.utc_us]), np.concatenate([force_n, rest.force_n])
    zero_age_s = float((last.utc_us[-1] - last.zero_at_us[-1]) / 1e6)
    zeroed = zero_age_s <= _zero_limit_s(params)
    first = int(utc_us.searchsorted(utc_us[-1] - KEEP_US, side="right"))
    fault = last.fault[-1]
    missing = bool((fault == CellFault.MISSING).all())
    return Seen(utc_us[first:], force_n[first:], fault, float(bar_n[-1]), moving, zeroed, zero_age_s, missing)


def _results(
    rows: Rows,
    bar_n: NDArray[np.float64],
    moving: NDArray[np.bool_],
    params: RigParameters,
    spikes: tuple[Spike, ...] = (),
) -> Evaluation:
    """Return the results of `rows`, one at least, with bar load `bar_n`."""
    utc_us, size = rows.utc_us, len(rows.utc_us)
    age_s: NDArray[np.float64] = (utc_us - rows.zero_at_us) / 1e6
    u_bar_n = bar_uncertainty(rows.force_n, age_s, params.budget)
    validity = np.zeros(size, np.uint8)
    np.putmask(validity, moving, np.uint8(Validity.MOTION))
    if params.calibration_due_us is not None:
        np.putmask(validity, utc_us >= params.calibration_due_us, np.uint8(Validity.CALIBRATION_OVERDUE))
    client_n, u_client_n = _client(utc_us, bar_n, u_bar_n, validity, params)
    zeroed: NDArray[np.bool_] = age_s <= _zero_limit_s(params)
    np.putmask(validity, ~zeroed, np.uint8(Validity.NOT_ZEROED))
    if params.session_required and not params.in_session:
        validity[:] = Validity.NOT_IN_SESSION
    np.putmask(validity, np.isnan(bar_n), np.uint8(Validity.FAULT))
    return Evaluation(
        utc_us,
        rows.force_n,
        bar_n,
        client_n,
        u_bar_n,
        u_client_n,
        moving,
        validity,
        rows.fault,
        age_s,
        zeroed,
        spikes,
    )


def _client(
    utc_us: NDArray[np.int64],
    bar_n: NDArray[np.float64],
    u_bar_n: NDArray[np.float64],
    validity: NDArray[np.uint8],
    params: RigParameters,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return client load and its uncertainty; where there is no body weight `validity` says so."""
    weight = params.body_weight
    if weight is None:
        validity[:] = Validity.NO_BODY_WEIGHT
        return np.full(len(utc_us), np.nan), np.full(len(utc_us), np.nan)
    expires_us = weight.expires_at_us(params.body_weight_max_age_s)
    client_n, u_client_n = weight.value_n - bar_n, client_uncertainty(u_bar_n, weight.u_n)
    if utc_us[-1] >= expires_us:  # they ascend
        over = utc_us >= expires_us
        client_n[over] = u_client_n[over] = np.nan
        np.putmask(validity, over, np.uint8(Validity.NO_BODY_WEIGHT))
    return client_n, u_client_n


def _zero_limit_s(params: RigParameters) -> float:
    """A session's or a calibration's zero counts while it is young enough; a factory zero never does."""
    return -np.inf if params.zero is not None and params.zero.kind == "factory" else params.zero_max_age_s


def _bar(rows: Rows) -> NDArray[np.float64]:
    """Return the signed sum of the cells; unknown (nan) where one is.

    Column by column, so that batch size is no matter.
    """
    total = np.zeros(len(rows))
    for column in rows.force_n.T:
        total += column
    return total


def _in_order(rows: Rows, params: RigParameters) -> Rows:
    columns = params.columns[params.nodes[0]]
    if params.is_ordered:
        return rows
    return Rows(rows.utc_us, rows.force_n[:, columns], rows.fault[:, columns], rows.zero_at_us)


def _absorb(
    state: State, batch: dict[str, list[NodeSamples]], heads: dict[str, Head], params: RigParameters
) -> tuple[State, Evaluation]:
    if not batch:
        return state, _nothing(len(params.cells))
    tracks, series = dict(state.tracks), dict(state.series)
    spikes: list[Spike] = []
    for node, items in batch.items():
        tracks[node], final, dropped = track.follow(tracks[node], items, heads[node], params)
        series[node] = series[node].then(final)
        spikes += dropped
    if len(params.nodes) == 1:
        rows, series = series[params.nodes[0]], {params.nodes[0]: series[params.nodes[0]].take(slice(0, 0))}
    else:
        _settle_silent(tracks, series)
        until = align.ready_until(series)
        if until is None:
            rows = Rows.empty(len(params.cells))
        else:
            rows = align.aligned(series, state.after_us, until, params)
            series = {node: _from_last(item, until) for node, item in series.items()}
    spikes.sort(key=lambda spike: (spike.utc_us, spike.hanger))
    return _finish(state, (tracks, series), rows, tuple(spikes), params)


def _settle_silent(tracks: dict[str, Track], series: dict[str, Rows]) -> None:
    """Settle what a silent node left undecided: whatever follows comes too late to make a spike of it."""
    newest = {node: item.last_utc_us for node, item in tracks.items()}
    latest = max(utc_us for utc_us in newest.values() if utc_us is not None)
    for node, utc_us in newest.items():
        if utc_us is not None and latest - utc_us > align.HOLD_US:
            tracks[node], rest = track.settle(tracks[node])
            series[node] = series[node].then(rest)


def _from_last(rows: Rows, until_us: int) -> Rows:
    """Return the rows from the last one at or before `until_us` on.

    The next tick may lie between it and its successor.
    """
    return rows.take(slice(max(int(np.searchsorted(rows.utc_us, until_us, side="right")) - 1, 0), None))


def _finish(
    state: State,
    nodes: tuple[dict[str, Track], dict[str, Rows]],
    rows: Rows,
    spikes: tuple[Spike, ...],
    params: RigParameters,
) -> tuple[State, Evaluation]:
    """Return the state with these tracks and series after final `rows`, and their results."""
    tracks, series = nodes
    size, before = len(rows), len(state.rows)
    after_us = int(rows.utc_us[-1]) if size else state.after_us
    rest = _not_final(tracks, series, after_us, params)
    held, bar_n, rest_n = state.rows.then(rows), _bar(rows), _bar(rest)
    held_n = np.concatenate([state.bar_n, bar_n])
    window_us = round(params.motion_window_s * 1e6)
    change_n, mean_n = spread(
        np.concatenate([held.utc_us, rest.utc_us]), np.concatenate([held_n, rest_n]), window_us, state.mean_n
    )
    moving = change_n > params.motion_n
    result = _results(rows, bar_n, moving[:size], params, spikes) if size else _nothing(len(params.cells))
    keep_us = after_us - max(KEEP_US, window_us + RECENT_US)
    first = int(held.utc_us.searchsorted(keep_us, side="right")) if len(held) else 0
    after = State(
        tracks=tracks,
        series=series,
        rows=held.take(slice(first, None)),
        bar_n=held_n[first:],
        mean_n=mean_n[first : before + size],
        after_us=after_us,
        moving=bool(moving[size - 1]) if size else state.moving,
        rest=rest,
        rest_bar_n=rest_n,
        rest_moving=moving[size:],
        peaks=state.peaks.with_rows(bar_n) if size else state.peaks,
        spikes_dropped=state.spikes_dropped + len(spikes),
        late=state.late,
    )
    return after, result if size or not spikes else replace(result, spikes=spikes)


def _restarted(state: State, params: RigParameters) -> State:
    """Return a state that knows boots, indices and counts, but no rows: the clock began a new stretch."""
    begun = start(params)
    tracks = {
        node: replace(begun.tracks[node], boot=old.boot, next_index=old.next_index, boots=old.boots)
        for node, old in state.tracks.items()
    }
    return replace(begun, tracks=tracks, peaks=state.peaks, spikes_dropped=state.spikes_dropped)


@lru_cache(maxsize=32)
def _nothing(cells: int) -> Evaluation:
    """Return the results of no rows of so many cells."""
    rows, none, no = Rows.empty(cells), np.empty(0), np.empty(0, bool)
    return Evaluation(
        rows.utc_us, rows.force_n, none, none, none, none, no, np.empty(0, np.uint8), rows.fault, none, no
    )


def _joined(parts: list[Evaluation], late: int) -> Evaluation:
    filled = [part for part in parts if len(part)] or parts[:1]
    spikes = tuple(spike for part in parts for spike in part.spikes)
    if len(filled) == 1 and spikes == filled[0].spikes and not late:
        return filled[0]
    if len(filled) == 1:
        return replace(filled[0], spikes=spikes, late=late)
    columns = {name: np.concatenate([getattr(part, name) for part in filled]) for name in _COLUMNS}
    return replace(filled[0], **columns, spikes=spikes, late=late)
