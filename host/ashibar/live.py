"""The live side of one rig: samples through the load model, and what the page and the node's light are told.

It holds the newest state only; the record is the journal's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ashibar.core import evaluate
from ashibar.core.figure import Figure, figure
from ashibar.core.messages import Display
from ashibar.core.validity import Validity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ashibar.core.evaluate import Evaluation
    from ashibar.core.rig import RigParameters, Zero
    from ashibar.core.track import NodeSamples
    from ashibar.ingest import Node

TREND_STEP_US: Final = 100_000  # of the page's trend: 600 points a minute
TREND_HOLE_US: Final = 1_000_000  # without samples for so long the line is broken
SHOWN_UP_TO: Final = int(Validity.CALIBRATION_OVERDUE)

Point = tuple[int, float | None, float | None]


class LiveRig:
    """One rig as it is now. One thread."""

    def __init__(self, name: str, params: RigParameters) -> None:
        self.name = name
        self.params = params
        self._state = evaluate.start(params)
        self._trend: list[Point] = []
        self._trend_us = np.iinfo(np.int64).min
        self._figure: Figure | None = None

    def take(self, samples: Sequence[NodeSamples]) -> bool:
        """Evaluate new samples; True if any were this rig's."""
        mine = [each for each in samples if each.node in self.params.columns]
        if not mine:
            return False
        self._state, evaluation = evaluate.advance(self._state, mine, self.params)
        self._add_trend(evaluation)
        return True

    def set_zero(self, zero: Zero | None) -> None:
        """Use another session zero from the next sample on; None: that of the calibration."""
        self.params = replace(self.params, zero=zero)

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
        trend, self._trend = self._trend, []
        newest = {
            name: {"boot": nodes[name].boot, "index": nodes[name].newest}
            for name in self.params.nodes
            if name in nodes and nodes[name].newest is not None
        }
        return {"rig": self.name, "figure": shown, "trend": trend, "newest": newest}

    def display(self, server: str) -> Display:
        """Return what the rig's nodes show with their lights, from the newest figure."""
        shown = self._figure
        if shown is None:
            return Display(server, Validity.STALE.label)
        bands: dict[str | None, Any] = {each: each for each in ("below", "in", "above", "over")}
        has_figure = shown.client is not None
        return Display(
            server=server,
            validity=shown.validity,
            fraction=shown.fraction if has_figure else None,
            band=bands.get(shown.band) if has_figure else None,
            age_s=None if shown.age_s is None else max(0.0, shown.age_s),
        )

    def _add_trend(self, evaluation: Evaluation) -> None:
        """Take a point every TREND_STEP_US from the final rows; no number where no figure was valid."""
        utc_us = evaluation.utc_us
        if not len(utc_us):
            return
        if int(utc_us[0]) < self._trend_us:  # the clock was set back: the trend begins anew from here
            self._trend_us = np.iinfo(np.int64).min
        slots = utc_us // TREND_STEP_US
        first = np.flatnonzero(np.diff(slots, prepend=min(self._trend_us, int(utc_us[0])) // TREND_STEP_US))
        for row in first.tolist():
            good = evaluation.validity[row] <= SHOWN_UP_TO and np.isfinite(evaluation.client_n[row])
            load = round(float(evaluation.client_n[row]), 1) if good else None
            spread = round(2.0 * float(evaluation.u_client_n[row]), 1) if good else None
            self._trend.append((int(utc_us[row]) // 1000, load, spread))
        self._trend_us = int(utc_us[-1])
