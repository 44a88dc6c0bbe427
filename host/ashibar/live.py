"""The live side of one rig: samples through the load model, and what the page and the node's light are told.

It holds the newest state only; the record is the journal's.
"""

from __future__ import annotations

from collections import deque
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from ashibar.core import evaluate
from ashibar.core.align import HOLD_US
from ashibar.core.figure import Figure, figure
from ashibar.core.glance import Light, glance, light, moved_on
from ashibar.core.messages import Display
from ashibar.core.track import NodeSamples
from ashibar.core.validity import Validity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ashibar.core.evaluate import Evaluation
    from ashibar.core.quiet import Room
    from ashibar.core.rig import RigParameters
    from ashibar.ingest import Node

TREND_STEP_US: Final = 100_000  # of the page's trend: 600 points a minute
TREND_POINTS: Final = 640  # the page draws a minute; a backlog of hours is not to be held as points
TREND_HOLE_US: Final = 1_000_000  # without samples for so long the line is broken
BROKEN_US: Final = 400_000  # a hole this long is looked at at once: in another 0.1 s a cell counts as missing
CHANGE_WITHIN_US: Final = 500_000  # without samples a change waits so long for those taken before it
SHOWN_UP_TO: Final = int(Validity.CALIBRATION_OVERDUE)

Point = tuple[int, float | None, float | None]


def _ignore(_: Evaluation) -> None:
    """Take results nobody wants."""


class _Change(NamedTuple):
    """Parameters that hold for samples stamped `from_us` or later; `applied` is called when they begin."""

    from_us: int
    params: RigParameters
    applied: Callable[[], None]


class LiveRig:
    """One rig as it is now. One thread."""

    def __init__(self, name: str, params: RigParameters) -> None:
        self.name = name
        self.params = params
        self._state = evaluate.start(params)
        self._trend: deque[Point] = deque(maxlen=TREND_POINTS)
        self._trend_us = np.iinfo(np.int64).min
        self._figure: Figure | None = None
        self._changes: deque[_Change] = deque()
        self._waiting: list[NodeSamples] = []  # of nodes that are beyond a change the others are not at
        self._held: list[NodeSamples] = []  # not evaluated yet
        self._held_samples = 0
        self._held_us = 0  # the newest of them
        self._light: Light | None = None  # None: to be made of what is evaluated
        self._lit = 0  # how many of those held are in it

    @property
    def newest_us(self) -> int | None:
        """Time of the newest sample evaluated, None before the first."""
        return self._state.newest_utc_us

    @property
    def heard_us(self) -> int | None:
        """Time of the newest sample, evaluated or held."""
        newest_us = self.newest_us
        return max(newest_us or 0, self._held_us) if self._held else newest_us

    @property
    def held(self) -> int:
        """How many samples are held."""
        return self._held_samples

    @property
    def may_hold(self) -> bool:
        """Whether samples may wait while the light goes on: on one node, with no change under way."""
        return len(self.params.nodes) == 1 and not self._changes

    @property
    def newest_force_n(self) -> list[float] | None:
        """The forces of the newest final sample, newtons, None before the first."""
        rows = self._state.rows
        return rows.force_n[-1].tolist() if len(rows) else None

    def stays(self, room: Room) -> bool:
        """Tell whether all samples that are not final yet lie within the room around the newest final one."""
        state = self._state
        newest_n = state.rows.force_n[-1]
        for node, item in state.tracks.items():
            here_n = newest_n[self.params.columns[node]]
            for rest_n in (state.series[node].force_n, item.rows.force_n[item.decided :]):
                moved_n = rest_n - here_n
                if len(moved_n) and not (
                    moved_n.min() > -room.down_n
                    and moved_n.max() < room.up_n
                    and moved_n.sum(axis=1).max() < room.rise_n * len(here_n) / len(newest_n)
                ):
                    return False
        return True

    @property
    def wanted(self) -> RigParameters:
        """The parameters that hold from the last change on."""
        return self._changes[-1].params if self._changes else self.params

    def hold(self, samples: Sequence[NodeSamples]) -> bool:
        """Keep samples of this rig to be evaluated together; False where they do not follow those before."""
        follows = True
        for each in samples:
            boot, index, last_us = self._end_of(each.node)
            gap_us = int(each.utc_us[0]) - last_us
            follows &= (each.boot, each.first_index) == (boot, index) and 0 < gap_us < BROKEN_US
            self._held.append(each)
            self._held_samples += len(each.utc_us)
            self._held_us = max(self._held_us, int(each.utc_us[-1]))
        return follows

    def _end_of(self, node: str) -> tuple[int | None, int, int]:
        """Return boot, next index and time of the newest sample of a node, held or evaluated."""
        for each in reversed(self._held):
            if each.node == node:
                return each.boot, each.first_index + len(each.utc_us), int(each.utc_us[-1])
        track = self._state.tracks[node]
        return track.boot, track.next_index, track.last_utc_us or 0

    def take_held(self, seen: Callable[[Evaluation], None] = _ignore) -> int:
        """Evaluate what is held; return how many samples that were."""
        samples, self._held, self._light = self._held, [], None
        taken, self._held_samples, self._held_us = self._held_samples, 0, 0
        if samples:
            self.take(samples, seen)
        return taken

    def take(self, samples: Sequence[NodeSamples], seen: Callable[[Evaluation], None] = _ignore) -> bool:
        """Evaluate new samples; True if any were this rig's. `seen` gets what is final by them, in order."""
        mine = [each for each in samples if each.node in self.params.columns]
        if not mine:
            return False
        mine = [*self._waiting, *mine]
        while self._changes:
            before, after = _cut(mine, self._changes[0].from_us)
            self._evaluate(before, seen)
            if not self._reached(self._changes[0].from_us, after):
                self._waiting = after
                return True
            self._apply(self._changes.popleft(), seen)
            mine = after
        self._waiting = []
        self._evaluate(mine, seen)
        return True

    def _reached(self, at_us: int, after: Sequence[NodeSamples]) -> bool:
        """Tell whether no node has anything more to say of the time before a change, or is waited for."""
        if not after:
            return False
        there = {each.node for each in after}
        newest_us = max(int(each.utc_us[-1]) for each in after)
        return there.issuperset(self.params.nodes) or newest_us - at_us > HOLD_US

    def change(self, from_us: int, params: RigParameters, applied: Callable[[], None]) -> None:
        """Use other parameters for samples stamped `from_us` or later.

        The samples before are settled with the old ones first, so the record can repeat it exactly.
        """
        self._changes.append(_Change(from_us, params, applied))

    def go_on(
        self,
        params: RigParameters,
        changes: Sequence[tuple[int, RigParameters, Callable[[], None]]],
        samples: Sequence[NodeSamples],
        seen: Callable[[Evaluation], None],
    ) -> None:
        """Take up, before any sample, what an earlier run of the host had stored; the page's trend has it."""
        self.params, self._state, self._light = params, evaluate.start(params), None
        for change in changes:
            self.change(*change)
        self.take(samples, seen)
        self._trend.clear()

    def settle(self, now_us: int, seen: Callable[[Evaluation], None] = _ignore) -> None:
        """Begin changes for which no sample came."""
        while self._changes and now_us - self._changes[0].from_us > CHANGE_WITHIN_US:
            self._apply(self._changes.popleft(), seen)
            if not self._changes:
                waiting, self._waiting = self._waiting, []
                self._evaluate(waiting, seen)

    def provisional(self) -> Evaluation:
        """Return the newest samples before they are final, without those that may yet be spikes."""
        return evaluate.provisional(self._state, self.params)

    def flush(self, seen: Callable[[Evaluation], None]) -> None:
        """Settle what is undecided: the end of a recording."""
        if self._state.newest_utc_us is not None:
            self._state, rest = evaluate.flush(self._state, self.params)
            self._saw(rest, seen)

    def _evaluate(self, samples: list[NodeSamples], seen: Callable[[Evaluation], None]) -> None:
        if samples:
            self._state, evaluation = evaluate.advance(self._state, samples, self.params)
            self._saw(evaluation, seen)

    def _saw(self, evaluation: Evaluation, seen: Callable[[Evaluation], None]) -> None:
        self._light = None
        self._add_trend(evaluation)
        seen(evaluation)

    def _apply(self, change: _Change, seen: Callable[[Evaluation], None]) -> None:
        self.flush(seen)
        self.params, self._light = change.params, None
        change.applied()

    def figure(self, now_us: int) -> Figure:
        """Return what to show at `now_us` (Unix microseconds)."""
        self._figure = figure(self._state, self.params, now_us, self._figure)
        return self._figure

    def envelope(self, now_us: int, nodes: Mapping[str, Node]) -> dict[str, Any]:
        """Return what the page gets: the figure, the trend points since the last call, the newest samples."""
        shown = self.figure(now_us)
        if shown.validity == Validity.STALE.label and now_us - self._trend_us > TREND_HOLE_US:
            self._trend_us = now_us
            self._trend.append((now_us // 1000, None, None))
        trend = list(self._trend)
        self._trend.clear()
        newest = {
            name: {"boot": nodes[name].boot, "index": nodes[name].newest}
            for name in self.params.nodes
            if name in nodes and nodes[name].newest is not None
        }
        return {"rig": self.name, "figure": shown, "trend": trend, "newest": newest}

    def display(self, server: str, alarm: Any, now_us: int) -> Display:
        """Return what the rig's nodes show with their lights; `alarm` is the level of alarm."""
        shown = glance(self._lit_now(), self.params, now_us)
        return Display(
            server=server,
            validity=shown.validity,
            alarm=alarm,
            fraction=shown.fraction,
            band=shown.band,
            age_s=None if shown.age_s is None else max(0.0, shown.age_s),
            session=self.params.in_session,
        )

    def _lit_now(self) -> Light:
        """Return what is known to the light, samples held included."""
        if self._light is None:
            self._light, self._lit = light(self._state, self.params), 0
        for each in self._held[self._lit :]:
            self._light = moved_on(self._light, each, self.params)
        self._lit = len(self._held)
        return self._light

    def _add_trend(self, evaluation: Evaluation) -> None:
        """Take a point every TREND_STEP_US from the final rows; no number where no figure was valid."""
        times_us = evaluation.utc_us
        if not len(times_us):
            return
        if times_us[0] < self._trend_us:  # the clock was set back: the trend begins anew from here
            self._trend_us = np.iinfo(np.int64).min
        slots = times_us // TREND_STEP_US
        before = min(self._trend_us, int(times_us[0])) // TREND_STEP_US
        for row in np.flatnonzero(np.diff(slots, prepend=before))[-TREND_POINTS:].tolist():
            utc_us = int(times_us[row])
            client_n = float(evaluation.client_n[row])
            good = evaluation.validity[row] <= SHOWN_UP_TO and isfinite(client_n)
            load = round(client_n, 1) if good else None
            spread = round(2.0 * float(evaluation.u_client_n[row]), 1) if good else None
            self._trend.append((utc_us // 1000, load, spread))
        self._trend_us = int(times_us[-1])


def _cut(samples: list[NodeSamples], from_us: int) -> tuple[list[NodeSamples], list[NodeSamples]]:
    """Return the samples stamped before `from_us`, and the others."""
    before, after = [], []
    for item in samples:
        count = int(np.searchsorted(item.utc_us, from_us))
        if count:
            head = (item.node, item.boot, item.first_index)
            before.append(NodeSamples(*head, item.utc_us[:count], item.counts[:count], item.calibration))
        if count < len(item.utc_us):
            after.append(item.since(item.first_index + count))
    return before, after
