"""What a demo showed, for people and tests: accounting, latency, error against the trace, peak."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ashibar.io.journal import Reader
from ashibar.sim.measure import latency_ms, quiet, read_stored, spread

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from ashibar.core.trace import Trace
    from ashibar.sim.measure import FeedClient, Stored

ERROR_PERCENTILES: Final = (50, 95)
LATENCY_PERCENTILES: Final = (50, 99)
CONVERSION_US: Final = 12_500  # at 80 samples a second


@dataclass(frozen=True, slots=True)
class Played:
    """What the virtual node played and says of itself.

    `start_us`: wall time (Unix microseconds) at which the trace began; `epoch_us`: of the board's time 0;
    `taken`: samples the node took, None if it did not say so at its end.
    """

    trace: Trace
    loop: bool
    start_us: int
    node: str
    body_weight_n: float
    boot: int
    epoch_us: int
    taken: int | None

    def truth_n(self, end_us: NDArray[np.int64]) -> NDArray[np.float64]:
        """Bar load (newtons) of the trace, averaged over the conversions that ended at these device times."""
        end_s = self._trace_s(end_us)
        first_s = np.full_like(end_s, self.trace.times_s[0])
        start_s = np.minimum(np.maximum(end_s - CONVERSION_US / 1e6, first_s), end_s)
        mean: NDArray[np.float64] = self.trace.mean_over(start_s, end_s).sum(axis=1)
        return mean

    def quiet(self, end_us: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the trace was quiet at these device times."""
        return quiet(self.trace, self._trace_s(end_us))

    def applied_us(self, end_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """Wall time (Unix microseconds) at which the conversions that ended at these device times began."""
        return self.epoch_us + end_us - CONVERSION_US

    def _trace_s(self, device_us: NDArray[np.int64]) -> NDArray[np.float64]:
        since_s = (self.epoch_us + device_us - self.start_us) / 1e6
        if self.loop:
            since_s = np.mod(since_s, self.trace.duration_s)
        moment: NDArray[np.float64] = self.trace.times_s[0] + since_s
        return moment


def results(
    played: Played, client: FeedClient, journal: Path, accounting: Mapping[str, Any]
) -> dict[str, Any]:
    """Hold what was fed and what was stored against what was played."""
    stored = _stored(journal, played)
    applied_us = played.applied_us(stored.device_us)
    first_us = min((each.at_us for each in client.arrivals if played.node in each.newest), default=0)
    latency = latency_ms(client.arrivals, played.node, stored.index, applied_us, first_us)
    stored_error = np.abs(stored.bar_n - played.truth_n(stored.device_us))
    readable = np.isfinite(stored_error)
    still = played.quiet(stored.device_us)
    distinct = len(np.unique(stored.index))
    peak = stored.bar_n[readable].max() if readable.any() else None
    return {
        "samples_sent": played.taken,
        "samples_stored": distinct,
        "missing": None if played.taken is None else played.taken - distinct,
        "duplicates": len(stored.index) - distinct,
        "accounting": dict(accounting) | {"boots": len(accounting["boots"])},
        "late": accounting["late"],
        "latency_ms": spread(latency, LATENCY_PERCENTILES),
        "latency_samples": len(latency),
        "first_figure_ms": round((first_us - played.epoch_us) / 1e3, 1) if first_us else None,
        **_fed_errors(played, client, stored),
        "stored_error_n": spread(stored_error[readable & still], ERROR_PERCENTILES),
        "stored_error_overall_n": spread(stored_error[readable], ERROR_PERCENTILES),
        "stored_peak_n": None if peak is None else round(float(peak), 2),
    }


def _stored(journal: Path, played: Played) -> Stored:
    reader = Reader(journal)
    try:
        node = next((number for number, name, *_ in reader.nodes() if name == played.node), -1)
        return read_stored(reader, node, played.boot)
    finally:
        reader.close()


def _fed_errors(played: Played, client: FeedClient, stored: Stored) -> dict[str, Any]:
    """The page's figure against body weight less the trace, at the newest sample each figure covers."""
    place = {int(number): row for row, number in enumerate(stored.index)}
    figures = [
        (stored.device_us[place[arrival.newest[played.node]]], arrival.client_n)
        for arrival in client.arrivals
        if arrival.client_n is not None and arrival.newest.get(played.node) in place
    ]
    device_us = np.array([at_us for at_us, _ in figures], dtype=np.int64)
    shown_n = np.array([load_n for _, load_n in figures], dtype=np.float64)
    error = np.abs(shown_n - (played.body_weight_n - played.truth_n(device_us)))
    still = played.quiet(device_us)
    return {
        "client_load_error_n": spread(error[still], ERROR_PERCENTILES),
        "client_load_error_overall_n": spread(error, ERROR_PERCENTILES),
        "figures": len(error),
        "figures_quiet": int(still.sum()),
    }
