"""What the live page and Home Assistant are shown: one figure, or the reason for none.

Does not evaluate samples and does not format numbers; it puts both together for one moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from ashibar.core import evaluate
from ashibar.core.display import digits, one_euro_weights
from ashibar.core.glance import AHEAD_S, age, band, conditions, is_stale
from ashibar.core.hands import HANDS_ON_N
from ashibar.core.uncertainty import bar_uncertainty, cell_uncertainty, expanded
from ashibar.core.validity import REASONS, CellFault, Validity, fault_reason

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ashibar.core.evaluate import Seen, State
    from ashibar.core.rig import RigParameters


class Reading(msgspec.Struct, frozen=True):
    """A quantity with its uncertainty: exact in newtons, and in words for a person.

    `u_n` is the expanded uncertainty U = 2u. `text` is rounded to the display step, `u_text` rounded up to
    it.
    """

    value_n: float
    u_n: float
    text: str
    u_text: str
    unit: str


class HangerReading(msgspec.Struct, frozen=True):
    """One hanger: its force, or None and the state that says why."""

    name: str
    force: Reading | None
    state: str


class Figure(msgspec.Struct, frozen=True):
    """The state of a rig at one moment. `client` is None unless it may be shown as a number.

    `validity` is the worst condition that applies, `reason` and `remedy` say it in words; `flags` are all
    conditions that apply. `fraction` is client load over body weight; `age_s` is that of the newest sample.
    `band` is `below`, `in`, `above` or `over`; None without a figure or where the studio set neither band nor
    limit. `peak` is the greatest client load at the full rate since the peaks were reset.
    """

    sample_utc_us: int | None
    age_s: float | None
    validity: str
    reason: str
    remedy: str
    flags: list[str]
    client: Reading | None
    bar: Reading | None
    fraction: float | None
    body_weight: Reading | None
    motion: bool
    hands_off: bool
    band: str | None
    left: Reading | None
    right: Reading | None
    hangers: list[HangerReading]
    peak: Reading | None
    spikes_dropped: int


class _Now(NamedTuple):
    """What holds at one moment, and the filtered forces."""

    newest_us: int | None
    age_s: float | None
    seen: Seen | None
    flags: set[Validity]
    worst: Validity
    force_n: NDArray[np.float64] | None  # [C], filtered; None where no number may be shown


class _Load(msgspec.Struct, frozen=True):
    """The filtered load of one moment: forces [C], bar and their standard uncertainties, newtons."""

    force_n: NDArray[np.float64]
    u_force_n: NDArray[np.float64]
    bar_n: float
    u_bar_n: float


def figure(state: State, params: RigParameters, now_us: int, shown: Figure | None = None) -> Figure:
    """Return what to show at `now_us` (Unix microseconds).

    Nothing is held: without fresh samples there is no number. `shown` is the figure on display: given, digits
    keep their step until the value has clearly left it.
    """
    newest_us, age_s, seen, flags, worst, force_n = _now(state, params, now_us)
    load = None if seen is None or force_n is None else _load(force_n, seen.zero_age_s, params)
    reason, remedy = _words(worst, seen, params, age_s)
    made = _Readings(params, now_us, shown)
    client = made.client(load) if worst.has_figure else None
    fraction = None
    if client is not None and made.weight is not None:
        fraction = client.value_n / made.weight.value_n
    return Figure(
        sample_utc_us=newest_us,
        age_s=age_s,
        validity=worst.label,
        reason=reason,
        remedy=remedy,
        flags=[flag.label for flag in sorted(flags, reverse=True)],
        client=client,
        bar=made.bar(load),
        fraction=fraction,
        body_weight=made.body_weight(),
        motion=Validity.MOTION in flags,
        hands_off=load is not None and Validity.MOTION not in flags and _hands_off(load, params),
        band=None if client is None else band(client.value_n, fraction, params),
        left=made.side(load, "left", None if shown is None else shown.left),
        right=made.side(load, "right", None if shown is None else shown.right),
        hangers=made.hangers(load, seen),
        peak=made.peak(state, load) if worst.has_figure else None,
        spikes_dropped=state.spikes_dropped,
    )


def _now(state: State, params: RigParameters, now_us: int) -> _Now:
    newest_us = state.newest_utc_us
    age_s = age(newest_us, now_us)
    seen = None if is_stale(age_s) else evaluate.newest(state, params)
    flags = conditions(seen, params, now_us, age_s)
    worst = max(flags, default=Validity.VALID)
    force_n = None
    if seen is not None and worst is not Validity.STALE and Validity.NOT_ZEROED not in flags:
        force_n = _filtered(seen)
    return _Now(newest_us, age_s, seen, flags, worst, force_n)


def _words(worst: Validity, seen: Seen | None, params: RigParameters, age_s: float | None) -> tuple[str, str]:
    if worst is Validity.FAULT and seen is not None:
        codes = zip(params.names, seen.fault.tolist(), strict=True)
        return fault_reason({name: CellFault(code) for name, code in codes if code})
    if worst is Validity.STALE and age_s is not None and age_s < -AHEAD_S:
        return "The data are stamped later than now.", "Check the clock of the host."
    weight = params.body_weight
    if worst is Validity.NO_BODY_WEIGHT and weight is not None:
        return "Your body weight was entered too long ago.", "Weigh yourself again, or type your weight in."
    return REASONS[worst]


def _filtered(seen: Seen) -> NDArray[np.float64]:
    """Return the filtered forces [C] of the newest moment; cells unknown now are nan."""
    if np.isnan(seen.force_n).any():
        return _filtered_known(seen)
    force_n: NDArray[np.float64] = one_euro_weights(seen.utc_us, seen.force_n.sum(axis=1)) @ seen.force_n
    return force_n


def _load(force_n: NDArray[np.float64], zero_age_s: float, params: RigParameters) -> _Load:
    """Return the load of filtered forces; where a cell is unknown so is every sum with it."""
    one, age_s = force_n[np.newaxis], np.array([zero_age_s])
    return _Load(
        force_n,
        cell_uncertainty(one, age_s, params.budget)[0],
        float(force_n.sum()),
        float(bar_uncertainty(one, age_s, params.budget)[0]),
    )


def _filtered_known(seen: Seen) -> NDArray[np.float64]:
    """Return the filtered forces [C] of the cells known now, over the moments at which they all were."""
    known = ~np.isnan(seen.force_n[-1])
    rows = ~np.isnan(seen.force_n[:, known]).any(axis=1)
    force_n = np.full(len(known), np.nan)
    if known.any():
        cells_n = seen.force_n[np.ix_(rows, known)]
        force_n[known] = one_euro_weights(seen.utc_us[rows], cells_n.sum(axis=1)) @ cells_n
    return force_n


def _hands_off(load: _Load, params: RigParameters) -> bool:
    """Tell whether neither the sum nor any bar carries anything to speak of."""
    bars = [params.side(name) for name in dict.fromkeys(cell.bar for cell in params.cells)]
    sums = [load.bar_n, *(float(load.force_n[columns].sum()) for columns in bars)]
    return all(abs(total) <= HANDS_ON_N for total in sums)


class _Readings:
    """Makes readings in the person's unit, each with the digits now on display."""

    def __init__(self, params: RigParameters, now_us: int, shown: Figure | None) -> None:
        self.params = params
        self.shown = shown
        weight = params.body_weight
        if weight is not None and now_us >= weight.expires_at_us(params.body_weight_max_age_s):
            weight = None
        self.weight = weight

    def reading(
        self, value_n: float, u_n: float, shown: Reading | None = None, *, share: bool = True
    ) -> Reading | None:
        """Return the reading of `value_n`, standard uncertainty `u_n`; None when it is not known."""
        if np.isnan(value_n):
            return None
        weight_n = None if self.weight is None or not share else self.weight.value_n
        unit = self.params.unit
        big_u_n = expanded(u_n)
        now = digits(value_n, big_u_n, unit, body_weight_n=weight_n)
        if shown is not None and shown.unit == now.unit:
            now = digits(value_n, big_u_n, unit, body_weight_n=weight_n, shown=shown.text)
        return Reading(value_n, big_u_n, now.text, now.u_text, now.unit)

    def client(self, load: _Load | None) -> Reading | None:
        """Return client load: body weight minus bar load."""
        if load is None or self.weight is None:
            return None
        u_n = float(np.hypot(load.u_bar_n, self.weight.u_n))
        return self.reading(
            self.weight.value_n - load.bar_n, u_n, None if self.shown is None else self.shown.client
        )

    def body_weight(self) -> Reading | None:
        """Return the body weight in use."""
        if self.weight is None:
            return None
        return self.reading(self.weight.value_n, self.weight.u_n, share=False)

    def bar(self, load: _Load | None) -> Reading | None:
        """Return the bar load."""
        if load is None:
            return None
        return self.reading(load.bar_n, load.u_bar_n, None if self.shown is None else self.shown.bar)

    def side(self, load: _Load | None, name: str, shown: Reading | None) -> Reading | None:
        """Return the load of one bar."""
        columns = self.params.side(name)
        if load is None or not columns.size:
            return None
        # Within a bar the cells' uncertainties are taken as alike: a little too wide, never too narrow.
        return self.reading(float(load.force_n[columns].sum()), float(load.u_force_n[columns].sum()), shown)

    def hangers(self, load: _Load | None, seen: Seen | None) -> list[HangerReading]:
        """Return every hanger with its force or why it has none."""
        faults = [CellFault.MISSING] * len(self.params.cells) if seen is None else seen.fault.tolist()
        before = self.shown.hangers if self.shown is not None else []
        result = []
        for column, name in enumerate(self.params.names):
            shown = next((hanger.force for hanger in before if hanger.name == name), None)
            force = None
            if load is not None:
                force = self.reading(float(load.force_n[column]), float(load.u_force_n[column]), shown)
            result.append(HangerReading(name, force, CellFault(faults[column]).label))
        return result

    def peak(self, state: State, load: _Load | None) -> Reading | None:
        """Return the greatest client load since the peaks were reset."""
        peak_n = None if self.weight is None else state.peaks.client_max_n(self.weight.value_n)
        if load is None or peak_n is None or self.weight is None:
            return None
        return self.reading(peak_n, float(np.hypot(load.u_bar_n, self.weight.u_n)))
