"""The rig a therapist works under: its cells, the person, the zero and the rules in force.

Data, no samples.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from ashibar.core.uncertainty import BUDGET, CellClass, RigBudget, rig_budget
from ashibar.core.units import NEWTON_PER_KG, UNITS, Unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ashibar.core.bodyweight import BodyWeight

ZeroKind = Literal["session", "calibration", "factory"]

MOTION_N: Final = 2.0 * NEWTON_PER_KG
MOTION_WINDOW_S: Final = 1.0
MAX_AGE_S: Final = 12 * 3600.0  # of a zero: a working day
MAX_HOLD_S: Final = 0.5  # a cell older than this beside the others is missing


@dataclass(frozen=True, slots=True)
class Cell:
    """One load cell: its hanger (`left-head` ...), the node and channel that read it, its make.

    `capacity_n` is its nominal load, `kind` its class in the uncertainty budget.
    """

    hanger: str
    node: str
    channel: int
    capacity_n: float
    kind: CellClass = "0.2%"

    @property
    def bar(self) -> str:
        """The bar this hanger carries, `left` or `right`; cells named otherwise count as one, named ''."""
        bar = self.hanger.split("-")[0]
        return bar if bar in {"left", "right"} else ""


@dataclass(frozen=True, slots=True)
class Zero:
    """A zero in use: counts per cell in the rig's order, when it was taken (Unix microseconds) and how."""

    kind: ZeroKind
    counts: tuple[float, ...]
    at_us: int


@dataclass(frozen=True, slots=True)
class Target:
    """The studio's band and limit as fractions of body weight, or the limit in newtons. None is shipped."""

    low: float | None = None
    high: float | None = None
    limit: float | None = None
    limit_n: float | None = None

    @property
    def is_set(self) -> bool:
        """Whether the studio has set anything at all."""
        return any(value is not None for value in (self.low, self.high, self.limit, self.limit_n))


@dataclass(frozen=True, slots=True)
class RigParameters:
    """Everything the load model needs besides samples. Frozen: a change is a new one (`dataclasses.replace`).

    `zero` None means the zero of the node's calibration. ValueError names what does not fit and where.
    """

    cells: tuple[Cell, ...]
    body_weight: BodyWeight | None = None
    body_weight_max_age_s: float = MAX_AGE_S
    zero: Zero | None = None
    zero_max_age_s: float = MAX_AGE_S
    calibration_due_us: int | None = None
    session_required: bool = False
    in_session: bool = False
    motion_n: float = MOTION_N
    motion_window_s: float = MOTION_WINDOW_S
    unit: Unit = "kg"
    target: Target = Target()
    names: tuple[str, ...] = field(init=False, compare=False, repr=False)
    nodes: tuple[str, ...] = field(init=False, compare=False, repr=False)
    columns: dict[str, NDArray[np.intp]] = field(init=False, compare=False, repr=False)
    channels: dict[str, NDArray[np.intp]] = field(init=False, compare=False, repr=False)
    width: dict[str, int] = field(init=False, compare=False, repr=False)  # channels a frame must have
    as_sent: dict[str, bool] = field(init=False, compare=False, repr=False)  # channels 0, 1, 2 ... of a frame
    judged: dict[str, NDArray[np.bool_]] = field(init=False, compare=False, repr=False)
    is_ordered: bool = field(init=False, compare=False, repr=False)  # one node, its columns as the rig's
    zeros: NDArray[np.float64] | None = field(init=False, compare=False, repr=False)
    budget: RigBudget = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        self._check()
        put = object.__setattr__
        put(self, "names", tuple(cell.hanger for cell in self.cells))
        put(self, "nodes", tuple(dict.fromkeys(cell.node for cell in self.cells)))
        put(self, "columns", {node: self._of(node, position=True) for node in self.nodes})
        put(self, "channels", {node: self._of(node, position=False) for node in self.nodes})
        put(self, "width", {node: int(each.max()) + 1 for node, each in self.channels.items()})
        put(
            self,
            "as_sent",
            {node: each.tolist() == [*range(len(each))] for node, each in self.channels.items()},
        )
        put(self, "judged", {node: self._judged(node) for node in self.nodes})
        put(self, "is_ordered", self.columns[self.nodes[0]].tolist() == list(range(len(self.cells))))
        put(self, "zeros", None if self.zero is None else np.array(self.zero.counts, dtype=np.float64))
        put(self, "budget", rig_budget([(cell.capacity_n, cell.kind) for cell in self.cells]))

    def _of(self, node: str, *, position: bool) -> NDArray[np.intp]:
        chosen = [i if position else cell.channel for i, cell in enumerate(self.cells) if cell.node == node]
        return np.array(chosen, dtype=np.intp)

    def _judged(self, node: str) -> NDArray[np.bool_]:
        """Tell which cells of a node share it with the whole of their bar, of two cells at least."""
        bars: dict[str, list[str]] = {}
        for cell in self.cells:
            bars.setdefault(cell.bar, []).append(cell.node)
        mine = [cell for cell in self.cells if cell.node == node]
        return np.array([len(bars[c.bar]) > 1 and set(bars[c.bar]) == {node} for c in mine], dtype=bool)

    def _check(self) -> None:
        if not self.cells:
            raise ValueError("rig: expected at least one cell, got none; list its hangers")
        for cell in self.cells:
            if cell.capacity_n <= 0 or not 0 <= cell.channel < 16:
                raise ValueError(
                    f"rig, {cell.hanger}: expected a capacity above 0 N and a channel of 0 to 15, got "
                    f"{cell.capacity_n} N, channel {cell.channel}"
                )
            if cell.kind not in BUDGET:
                raise ValueError(
                    f"rig, {cell.hanger}: expected a class of {', '.join(BUDGET)}, got {cell.kind!r}"
                )
        if len({cell.hanger for cell in self.cells}) != len(self.cells):
            raise ValueError(f"rig: expected each hanger once, got {', '.join(c.hanger for c in self.cells)}")
        if len({(cell.node, cell.channel) for cell in self.cells}) != len(self.cells):
            raise ValueError("rig: expected each channel of a node once; two hangers share one")
        if self.zero is not None and len(self.zero.counts) != len(self.cells):
            raise ValueError(
                f"zero: expected {len(self.cells)} counts, got {len(self.zero.counts)}; zero again"
            )
        if self.unit not in UNITS:
            raise ValueError(f"unit: expected one of {', '.join(UNITS)}, got {self.unit!r}")
        if self.motion_n <= 0 or not 0 < self.motion_window_s <= 10:
            raise ValueError("motion: expected a threshold above 0 N and a window of up to 10 s")

    def side(self, name: str) -> NDArray[np.intp]:
        """Return the columns of the cells of one bar, `name` as `left` or `right`."""
        return np.array([i for i, cell in enumerate(self.cells) if cell.bar == name], np.intp)


def left_right(
    force_n: NDArray[np.float64], params: RigParameters
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the loads of the left and the right bar (newtons, [S]) of `force_n` [S, C].

    They are nan where a cell is unknown. A rig without cells on a side has nan there.
    """
    both = []
    for name in ("left", "right"):
        columns = params.side(name)
        both.append(force_n[:, columns].sum(axis=1) if columns.size else np.full(len(force_n), np.nan))
    return both[0], both[1]


def shares(force_n: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each hanger's share (fraction, [S, C]) of the bar load.

    It is nan where the load is unknown or under 1 kg.
    """
    total = force_n.sum(axis=1, keepdims=True)
    fraction: NDArray[np.float64] = np.divide(
        force_n, total, out=np.full_like(force_n, np.nan), where=np.abs(total) >= NEWTON_PER_KG
    )
    return fraction
