"""What a rig's service asks of the daemon around it: nodes, time fits, store and sink. It decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ashibar.rigs import session_zero

if TYPE_CHECKING:
    from collections.abc import Callable

    from ashibar.core.calibration import NodeCalibration
    from ashibar.core.messages import Command
    from ashibar.core.rig import RigParameters, Zero
    from ashibar.ingest import Ingest


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`store_free` and `sink_lag_s` give None where there is nothing to know; they answer from memory."""

    ingest: Ingest
    store_free: Callable[[], float | None]
    sink_lag_s: Callable[[], float | None]
    send: Callable[[str, Command], bool] = lambda _node, _command: False  # False: there is no way to it now

    def calibration(self, node: str) -> NodeCalibration | None:
        """Return the calibration a node says it has."""
        known = self.ingest.nodes.get(node)
        return None if known is None else known.calibration

    def clock_bound_s(self, nodes: tuple[str, ...]) -> float | None:
        """Return the worst bound of the nodes' time fits, None where one has none."""
        bounds = [self.ingest.clock_bound_us(node) for node in nodes]
        known = [bound for bound in bounds if bound is not None]
        return max(known) / 1e6 if known and len(known) == len(bounds) else None

    def node_zero(self, params: RigParameters) -> Zero | None:
        """Return the session zero the nodes of a rig say, if all of them do."""
        return session_zero(params, self.ingest.nodes, self.ingest.about_utc_us)

    def zero_drift(self, params: RigParameters) -> tuple[float | None, ...]:
        """Return how far each cell's zero has moved since calibration, as a fraction of its capacity."""
        drifts: list[float | None] = []
        for column, cell in enumerate(params.cells):
            calibration = self.calibration(cell.node)
            if calibration is None or cell.channel >= len(calibration.zero_count):
                drifts.append(None)
            elif params.zero is None:
                drifts.append(0.0)
            else:
                moved = params.zero.counts[column] - calibration.zero_count[cell.channel]
                drifts.append(moved * calibration.span_n_per_count[cell.channel] / cell.capacity_n)
        return tuple(drifts)
