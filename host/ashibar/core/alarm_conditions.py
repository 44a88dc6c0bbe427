"""When each alarm's condition holds, sample by sample, on the full-rate signal; delays and states come after.

What a block leaves for the next is carried exactly: any cutting of the stream gives the same truth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from ashibar.core.alarm_table import (
    ALARMS,
    CELL_FAULT,
    CLIENT_NEAR,
    CLIENT_OVER,
    FALL,
    OVERLOAD,
    RIG_OVER,
    UNEVEN,
)
from ashibar.core.cell_faults import NOISE, STUCK, FaultCarry, first_fault_carry, follow_faults
from ashibar.core.hands import Hands, follow, is_touched
from ashibar.core.units import NEWTON_PER_KG
from ashibar.core.validity import CellFault

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ashibar.core.alarm import AlarmDefinition
    from ashibar.core.evaluate import Evaluation

FALL_RISE_N: Final = 30 * NEWTON_PER_KG  # half a light person, faster than anybody lowers themselves
FALL_WITHIN_US: Final = 300_000
FALL_BODY_WEIGHTS: Final = 1.2  # more than hanging still can give
UNEVEN_LOADED_N: Final = 10 * NEWTON_PER_KG  # below it the shares are mostly noise
UNEVEN_SHARE: Final = 0.1
EVEN_SHARE: Final = 0.2
UNEVEN_AFTER_US: Final = 30_000_000  # loaded time: hands at one end of a bar do not stay that long
COVERAGE: Final = 2.0  # U = 2 u covers 95 % (GUM 6.3.3)
LOST_AFTER_US: Final = 500_000  # the age at which a cell counts as missing


@dataclass(frozen=True, slots=True)
class SignalBlock:
    """Evaluated samples in order of time; S samples, C cells. Forces in newtons, nan where not known.

    `cell_fault` holds `validity.CellFault` values, 0 where `force_n` is a number.
    """

    utc_us: NDArray[np.int64]  # [S], ascending
    force_n: NDArray[np.float64]  # [S, C]
    cell_fault: NDArray[np.uint8]  # [S, C]
    bar_n: NDArray[np.float64]  # [S]
    client_n: NDArray[np.float64]  # [S]
    u_client_n: NDArray[np.float64]  # [S], expanded: 2 u
    motion: NDArray[np.bool_]  # [S]
    validity: NDArray[np.uint8]  # [S], `validity.Validity` values

    @classmethod
    def of(cls, results: Evaluation) -> SignalBlock:
        """Take the load model's results; their standard uncertainty becomes the expanded one."""
        return cls(
            results.utc_us, results.force_n, results.fault, results.bar_n, results.client_n,
            COVERAGE * results.u_client_n, results.motion, results.validity,
        )  # fmt: skip

    def stretches(self) -> list[SignalBlock]:
        """Cut where stamps do not ascend, so that they do in each part; no part is empty."""
        cuts = (np.flatnonzero(np.diff(self.utc_us) <= 0) + 1).tolist()
        if not cuts:
            return [self] if len(self.utc_us) else []
        edges = [0, *cuts, len(self.utc_us)]
        return [self.part(start, stop) for start, stop in pairwise(edges)]

    def rising(self, after_us: int) -> SignalBlock:
        """Give the samples later than `after_us` and than all before them: no moment is counted twice."""
        latest_us = np.maximum.accumulate(np.concatenate([[after_us], self.utc_us[:-1]]))
        later = self.utc_us > latest_us
        if later.all():
            return self
        return SignalBlock(*(getattr(self, name)[later] for name in self.__slots__))

    def part(self, start: int, stop: int) -> SignalBlock:
        """Give samples `start` to `stop` (exclusive) as views."""
        return SignalBlock(*(getattr(self, name)[start:stop] for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Limits:
    """The figures the studio has set, newtons, one a cell; None leaves the alarms that need it unarmed."""

    working_load_n: tuple[float | None, ...]
    noise_record_n: tuple[float | None, ...]
    client_limit_n: float | None = None
    body_weight_n: float | None = None
    rig_rating_n: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The alarms of one rig with its limits, in the order of their columns. Build it with `plan_alarms`."""

    cells: tuple[str, ...]
    bars: tuple[tuple[str, int, int], ...]
    alarms: tuple[AlarmDefinition, ...]  # instances, keys like "hanger-overload:left-head"
    live_alarms: tuple[AlarmDefinition, ...]  # the same with their priority in a session
    armed: tuple[bool, ...]
    signals: int  # the first so many are evaluated on the signal, the rest observed by the host
    high_n: NDArray[np.float64]  # [3 + C + 1]: near, over, rig, hangers, fall by body weight
    low_n: NDArray[np.float64]
    noise_n: NDArray[np.float64]  # [C], inf where there is no record
    columns: dict[str, int]  # of each alarm, by key


def plan_alarms(cells: tuple[str, ...], limits: Limits) -> Plan:
    """Lay out the alarms of a rig with hangers `cells`, named `<bar>-<end>`; every bar has two."""
    if not len(cells) == len(limits.working_load_n) == len(limits.noise_record_n):
        raise ValueError(
            f"limits of {len(cells)} cells were expected, {len(limits.working_load_n)} working loads and "
            f"{len(limits.noise_record_n)} noise records came: give one (or None) for each cell."
        )
    bars = _bars(cells)
    subjects = {
        "rig": ("",),
        "bar": tuple(f":{bar[0]}" for bar in bars),
        "cell": tuple(f":{c}" for c in cells),
    }
    order: tuple[AlarmDefinition, ...] = (
        CLIENT_NEAR,
        CLIENT_OVER,
        RIG_OVER,
        OVERLOAD,
        FALL,
        UNEVEN,
        CELL_FAULT,
    )
    order += tuple(alarm for alarm in ALARMS if alarm.source == "host")
    alarms, armed = [], []
    for alarm in order:
        for index, subject in enumerate(subjects[alarm.per]):
            alarms.append(_instance(alarm, subject))
            armed.append(_is_armed(alarm, limits, index))
    high = [limits.client_limit_n, limits.client_limit_n, limits.rig_rating_n, *limits.working_load_n]
    high += [FALL_BODY_WEIGHTS * limits.body_weight_n if limits.body_weight_n else None]
    high_n = _or_inf(high)
    low_n = high_n - np.array([CLIENT_NEAR.deadband_n] + [OVERLOAD.deadband_n] * (len(high) - 1))
    high_n[0] = np.nextafter(high_n[0], -np.inf)  # near: "reaches", so the limit itself counts
    noise_n = _or_inf(list(limits.noise_record_n))
    return Plan(
        cells, bars, tuple(alarms), tuple(alarm.in_session() for alarm in alarms), tuple(armed),
        sum(alarm.source == "signal" for alarm in alarms), high_n, low_n, noise_n,
        {alarm.key: column for column, alarm in enumerate(alarms)},
    )  # fmt: skip


def _instance(alarm: AlarmDefinition, subject: str) -> AlarmDefinition:
    return replace(alarm, key=alarm.key + subject)


def _bars(cells: tuple[str, ...]) -> tuple[tuple[str, int, int], ...]:
    ends: dict[str, list[int]] = {}
    for column, cell in enumerate(cells):
        ends.setdefault(cell.partition("-")[0], []).append(column)
    return tuple((bar, pair[0], pair[1]) for bar, pair in ends.items() if bar and len(pair) == 2)


def _is_armed(alarm: AlarmDefinition, limits: Limits, index: int) -> bool:
    if alarm.limit is None:
        return True
    limit = getattr(limits, alarm.limit)
    return (limit[index] if isinstance(limit, tuple) else limit) is not None


def _or_inf(values: list[float | None]) -> NDArray[np.float64]:
    return np.array([np.inf if value is None else value for value in values])


@dataclass(frozen=True, slots=True)
class Carry:
    """What a block leaves for the next."""

    above: NDArray[np.bool_]  # [levels]: hysteresis
    recent_us: NDArray[np.int64]  # the last 0.3 s, for the rise
    recent_n: NDArray[np.float64]
    uneven_us: tuple[int, ...]  # a bar each: loaded time in the uneven state
    faults: FaultCarry
    hands: Hands = Hands()  # noqa: RUF009 - a frozen struct


def first_carry(plan: Plan) -> Carry:
    """Give the carry of a stream that has not begun."""
    none = np.empty(0)
    return Carry(
        np.zeros(len(plan.high_n), dtype=np.bool_), none.astype(np.int64), none,
        (0,) * len(plan.bars), first_fault_carry(len(plan.cells)),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Truths:
    """[S, K] over the K alarms evaluated on the signal: does the condition hold, and can it be told."""

    true: NDArray[np.bool_]
    known: NDArray[np.bool_]
    all_known: bool
    level_n: NDArray[np.float64]  # [S, levels], what was compared
    fault: NDArray[np.uint8]  # [S, C], cell_faults.Kind or a CellFault

    def detail(self, plan: Plan, column: int, sample: int) -> str:
        """Say in figures why the condition of `column` holds at `sample`; '' where it does not."""
        first_fault = plan.signals - len(plan.cells)
        if not self.true[sample, column]:
            return ""
        if column >= first_fault:
            return fault_text(int(self.fault[sample, column - first_fault]))
        fall = 3 + len(plan.cells)
        if column < fall:
            limit_n = float(plan.high_n[column])
            return f"{self.level_n[sample, column]:.1f} N, limit {limit_n:.1f} N"
        return f"bar load {self.level_n[sample, 2]:.1f} N" if column == fall else ""


def fault_text(fault: int) -> str:
    """Name a cell's fault: a code of the wire, or stuck or noise."""
    return {STUCK: "stuck", NOISE: "noise above its record"}.get(fault) or CellFault(fault).label


def evaluate_conditions(
    plan: Plan, carry: Carry, block: SignalBlock, previous_us: int | None
) -> tuple[Truths, Carry]:
    """Evaluate every condition on `block`; `previous_us` is the stamp of the sample before it, if any."""
    level_n = _levels(block)
    hands = _await_hands(plan, carry.hands, block, level_n)
    above, last_above = _schmitt(level_n, plan.high_n, plan.low_n, carry.above)
    rises, recent_us, recent_n = _rises(block, carry)
    dt_us = spacing(block.utc_us, previous_us)
    cells = len(plan.cells)
    fall = above[:, -1] | rises
    uneven, uneven_known, uneven_us = _uneven(plan, block, dt_us, carry.uneven_us)
    fault, faults = follow_faults(block, dt_us, plan.noise_n, carry.faults)
    true = np.concatenate([above[:, : 3 + cells], fall[:, None], uneven, fault != 0], axis=1)
    known = np.ones(true.shape, dtype=np.bool_)
    all_known = not np.isnan(level_n).any()
    if not all_known:
        readable = ~np.isnan(level_n)
        known[:, : 3 + cells] = readable[:, : 3 + cells]
        known[:, 3 + cells] = readable[:, 2]
        known[:, 4 + cells : 4 + cells + uneven.shape[1]] = uneven_known
    truths = Truths(true, known, all_known, level_n, fault)
    return truths, Carry(last_above, recent_us, recent_n, uneven_us, faults, hands)


def _await_hands(plan: Plan, hands: Hands, block: SignalBlock, level_n: NDArray[np.float64]) -> Hands:
    """Take the client's load out of `level_n` until hands have been on the bars; nan stays nan."""
    if hands.on:
        return hands
    touched = is_touched(block.force_n, block.bar_n, plan.bars)
    armed, after = follow(hands, block.utc_us, touched, ~np.isnan(block.bar_n))
    level_n[~armed, :2] = np.where(np.isnan(level_n[~armed, :2]), np.nan, -np.inf)
    return after


def _levels(block: SignalBlock) -> NDArray[np.float64]:
    samples, cells = block.force_n.shape
    level_n = np.empty((samples, cells + 4))
    np.add(block.client_n, block.u_client_n, out=level_n[:, 0])
    level_n[:, 1] = block.client_n
    level_n[:, 2] = block.bar_n
    np.abs(block.force_n, out=level_n[:, 3:-1])
    level_n[:, -1] = block.bar_n
    return level_n


def _schmitt(
    level_n: NDArray[np.float64],
    high_n: NDArray[np.float64],
    low_n: NDArray[np.float64],
    carried: NDArray[np.bool_],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Give where level is above high_n, and from there until not above low_n; and its last row."""
    over = level_n > high_n
    if not over.any() and not carried.any():
        return over, carried
    decided = over | (level_n <= low_n)
    index = np.where(decided, np.arange(len(level_n))[:, None], -1)
    np.maximum.accumulate(index, axis=0, out=index)
    held = np.take_along_axis(over, np.maximum(index, 0), axis=0)
    above = np.where(index >= 0, held, carried)
    return above, above[-1]


def spacing(utc_us: NDArray[np.int64], previous_us: int | None) -> NDArray[np.int64]:
    """Time since the sample before, microseconds; 0 for the very first of a stream."""
    dt_us = np.empty_like(utc_us)
    dt_us[0] = 0 if previous_us is None else utc_us[0] - previous_us
    np.subtract(utc_us[1:], utc_us[:-1], out=dt_us[1:])
    return dt_us


def _rises(
    block: SignalBlock, carry: Carry
) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.float64]]:
    """Tell where bar load is FALL_RISE_N above its least within FALL_WITHIN_US; and what to carry."""
    times = np.concatenate([carry.recent_us, block.utc_us])
    loads = np.concatenate([carry.recent_n, block.bar_n])
    keep = int(np.searchsorted(times, times[-1] - FALL_WITHIN_US))
    start = len(carry.recent_us)
    least = np.fmin.reduce(loads)
    if np.isnan(least) or not (np.fmax.reduce(loads[start:]) - least > FALL_RISE_N):
        return np.zeros(len(block.utc_us), dtype=np.bool_), times[keep:], loads[keep:]
    first = np.searchsorted(times, block.utc_us - FALL_WITHIN_US)
    rises = block.bar_n - _window_min(loads, first, np.arange(start, len(loads))) > FALL_RISE_N
    return rises, times[keep:], loads[keep:]


def _window_min(
    values: NDArray[np.float64], first: NDArray[np.intp], last: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Least of values[first..last], both inclusive, by tables of minima of 1, 2, 4 ... values."""
    level = np.frexp(last - first + 1)[1] - 1
    tables = [values]
    for power in range(int(level.max())):
        step = 1 << power
        shorter = tables[-1]
        longer = shorter.copy()
        np.fmin(shorter[:-step], shorter[step:], out=longer[:-step])
        tables.append(longer)
    table = np.stack(tables)
    least: NDArray[np.float64] = np.fmin(table[level, first], table[level, last + 1 - (1 << level)])
    return least


def _uneven(
    plan: Plan, block: SignalBlock, dt_us: NDArray[np.int64], carried_us: tuple[int, ...]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], tuple[int, ...]]:
    shape = (len(dt_us), len(plan.bars))
    true, known = np.zeros(shape, dtype=np.bool_), np.ones(shape, dtype=np.bool_)
    after = list(carried_us)
    for bar, (_, one, other) in enumerate(plan.bars):
        load_n = block.force_n[:, one] + block.force_n[:, other]
        known[:, bar] = ~np.isnan(load_n)
        if not carried_us[bar] and not np.fmax.reduce(load_n) > UNEVEN_LOADED_N:
            continue
        least_n = np.minimum(block.force_n[:, one], block.force_n[:, other])
        loaded = load_n > UNEVEN_LOADED_N
        counts = loaded & (least_n < UNEVEN_SHARE * load_n) & (dt_us <= LOST_AFTER_US)
        if not carried_us[bar] and not counts.any():
            continue
        even = loaded & (least_n > EVEN_SHARE * load_n)
        total_us = carried_us[bar] + np.cumsum(np.where(counts, dt_us, 0))
        # Whole microseconds, so that subtracting what stood at the last even moment is exact.
        since_us = total_us - np.maximum.accumulate(np.where(even, total_us, 0))
        true[:, bar] = since_us >= UNEVEN_AFTER_US
        after[bar] = int(since_us[-1])
    return true, known, tuple(after)
