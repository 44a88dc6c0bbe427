"""What holds of a rig at one moment, and what its light shows of that; the light goes on between evaluations.

Samples within their room (quiet.py) wait for each other; the light at the bars does not wait with them. What
it shows of them is nobody's record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import msgspec
import numpy as np

from ashibar.core import evaluate
from ashibar.core.display import OneEuro, one_euro
from ashibar.core.track import zero_of
from ashibar.core.validity import Validity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ashibar.core.calibration import NodeCalibration
    from ashibar.core.evaluate import Seen, State
    from ashibar.core.rig import RigParameters
    from ashibar.core.track import NodeSamples

Band = Literal["below", "in", "above", "over"]

STALE_AFTER_S: Final = 1.0
AHEAD_S: Final = 1.0  # a sample stamped later than now by more than this has no known age


class Glance(msgspec.Struct, frozen=True):
    """What a light shows of a figure, see `figure.Figure`; None where there is none."""

    validity: str
    fraction: float | None
    band: Band | None
    age_s: float | None


class Weights(NamedTuple):
    """What makes the bar load of counts [N]: their products, less `zero_n`; 0 for foreign channels."""

    calibration: NodeCalibration
    n_per_count: NDArray[np.float64]
    zero_n: float


@dataclass(frozen=True, slots=True)
class Light:
    """What is known to a light: the newest evaluated sample, and the filtered bar load, newtons.

    `newest_us` and `bar` go on with samples that wait; `bar` is None where a cell is not known.
    """

    seen: Seen | None
    newest_us: int | None
    bar: OneEuro | None
    weights: Weights | None = None


def light(state: State, params: RigParameters) -> Light:
    """Return what the evaluated samples give to a light."""
    seen = evaluate.newest(state, params)
    if seen is None or np.isnan(seen.bar_n):
        return Light(seen, state.newest_utc_us, None)
    bar_n = seen.force_n.sum(axis=1)
    known = ~np.isnan(bar_n)
    if not known.all():
        return Light(
            seen, state.newest_utc_us, one_euro(seen.utc_us[known].tolist(), bar_n[known].tolist())[0]
        )
    return Light(seen, state.newest_utc_us, one_euro(seen.utc_us.tolist(), bar_n.tolist())[0])


def moved_on(before: Light, samples: NodeSamples, params: RigParameters) -> Light:
    """Return the light after samples that wait, of a rig on one node: their counts are forces (quiet.py)."""
    weights = before.weights
    if weights is None or weights.calibration is not samples.calibration:
        weights = _weights(samples, params)
    times_us: list[int] = samples.utc_us.tolist()
    if weights is None or before.bar is None:
        return Light(before.seen, times_us[-1], None)
    _, n_per_count, zero_n = weights
    bar_n: list[float] = (samples.counts.dot(n_per_count) - zero_n).tolist()
    return Light(before.seen, times_us[-1], one_euro(times_us, bar_n, before.bar)[0], weights)


def _weights(samples: NodeSamples, params: RigParameters) -> Weights | None:
    """Return the weights for samples of this calibration, None where they are no forces."""
    calibration, node = samples.calibration, samples.node
    width, sent = params.width[node], samples.counts.shape[1]
    if calibration is None or min(len(calibration.span), sent) < width:
        return None
    channels, n_per_count = params.channels[node], np.zeros(sent)
    n_per_count[channels] = calibration.span[channels]
    zero_n = float(zero_of(calibration, params, node) @ n_per_count[channels])
    return Weights(calibration, n_per_count, zero_n)


def glance(of: Light, params: RigParameters, now_us: int) -> Glance:
    """Return what a light shows at `now_us`: the same as `figure` says, without its words and digits."""
    age_s = age(of.newest_us, now_us)
    seen = None if is_stale(age_s) else of.seen
    flags = conditions(seen, params, now_us, age_s)
    worst, weight = max(flags, default=Validity.VALID), params.body_weight
    if seen is None or of.bar is None or weight is None or not worst.has_figure:
        return Glance(worst.label, None, None, age_s)
    client_n = weight.value_n - of.bar.value
    fraction = client_n / weight.value_n
    return Glance(worst.label, fraction, band(client_n, fraction, params), age_s)


def age(newest_us: int | None, now_us: int) -> float | None:
    """Return the age of the newest sample, seconds."""
    return None if newest_us is None else (now_us - newest_us) * 1e-6


def is_stale(age_s: float | None) -> bool:
    """Tell whether a sample of this age says nothing about now."""
    return age_s is None or not -AHEAD_S <= age_s <= STALE_AFTER_S


def conditions(seen: Seen | None, params: RigParameters, now_us: int, age_s: float | None) -> set[Validity]:
    """Return every condition that applies at `now_us`; `seen` is None where no sample is fresh."""
    found = set()
    if seen is None or age_s is None or seen.missing:
        found.add(Validity.STALE)
    elif np.isnan(seen.bar_n):
        found.add(Validity.FAULT)
    if params.session_required and not params.in_session:
        found.add(Validity.NOT_IN_SESSION)
    if seen is not None and not seen.zeroed:
        found.add(Validity.NOT_ZEROED)
    weight = params.body_weight
    if weight is None or now_us >= weight.expires_at_us(params.body_weight_max_age_s):
        found.add(Validity.NO_BODY_WEIGHT)
    if params.calibration_due_us is not None and now_us >= params.calibration_due_us:
        found.add(Validity.CALIBRATION_OVERDUE)
    if seen is not None and seen.motion:
        found.add(Validity.MOTION)
    return found


def band(client_n: float, fraction: float | None, params: RigParameters) -> Band | None:
    """Return `below`, `in`, `above` or `over`; None where the studio set neither band nor limit."""
    target = params.target
    if fraction is None or not target.is_set:
        return None
    if (target.limit is not None and fraction > target.limit) or (
        target.limit_n is not None and client_n > target.limit_n
    ):
        return "over"
    if target.high is not None and fraction > target.high:
        return "above"
    return "below" if target.low is not None and fraction < target.low else "in"
