"""Samples of one rig through the load model to the lines InfluxDB gets. It reads no journal.

The schema and its reasons are in docs/influxdb.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import fields as fields_of
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from ashibar.core import quantities
from ashibar.core.evaluate import Evaluation
from ashibar.core.line_protocol import Field, lines
from ashibar.core.replay_signal import evaluations
from ashibar.core.track import forces
from ashibar.core.validity import CellFault, Validity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from ashibar.core.replay_signal import InForce
    from ashibar.core.rig import RigParameters
    from ashibar.core.track import NodeSamples

MEASUREMENT: Final = "load"
LABELS: Final = tuple(Validity(number).label for number in range(len(Validity)))
FAULTS: Final = tuple(CellFault(number).label for number in range(len(CellFault)))
FIGURES: Final = (
    (quantities.CLIENT_LOAD, "client_n"),
    (quantities.CLIENT_LOAD_U, "u_client_n"),
    (quantities.BAR_LOAD, "bar_n"),
    (quantities.BAR_LOAD_U, "u_bar_n"),
)


COLUMNS: Final = tuple(each.name for each in fields_of(Evaluation) if each.name not in {"spikes", "late"})


class Figures(NamedTuple):
    """Columns of results by name, in order of time, and the times of the samples dropped."""

    values: dict[str, NDArray[Any]]
    spikes_us: NDArray[np.int64]


class Sessions(NamedTuple):
    """Sessions of a rig by their start: from and to (microseconds, both included) and their ids."""

    from_us: NDArray[np.int64]
    to_us: NDArray[np.int64]
    ids: tuple[str, ...]

    def at(self, utc_us: NDArray[np.int64]) -> NDArray[np.intp]:
        """Return which session runs at each time, as a number of `words`."""
        number = np.searchsorted(self.from_us, utc_us, side="right")
        ended = np.concatenate([[np.iinfo(np.int64).min], self.to_us])
        return np.where(utc_us <= ended[number], number, 0)

    @property
    def words(self) -> tuple[str, ...]:
        """The ids, '' for no session before them."""
        return ("", *self.ids)


@dataclass(frozen=True, slots=True)
class Part:
    """Samples of one node under one set of parameters, those of the lines to write only."""

    node: str
    params: RigParameters
    hangers: tuple[str, ...]
    utc_us: NDArray[np.int64]
    index: NDArray[np.int64]
    force_n: NDArray[np.float64]
    fault: NDArray[np.uint8]


class Chosen:
    """Which samples get a line: the frames given, whatever else is there to compute with."""

    def __init__(self) -> None:
        self._spans: dict[tuple[str, int], list[tuple[int, int]]] = {}

    def add(self, node: str, boot: int, first: int, count: int) -> None:
        """Choose the samples of a frame."""
        self._spans.setdefault((node, boot), []).append((first, first + count))

    def among(self, samples: NodeSamples) -> NDArray[np.bool_]:
        """Tell which of `samples` are chosen."""
        edges = np.zeros(len(samples.utc_us) + 1, np.int64)
        first, end = samples.first_index, samples.first_index + len(samples.utc_us)
        for start, stop in self._spans.get((samples.node, samples.boot), ()):
            if start < end and stop > first:
                edges[max(start, first) - first] += 1
                edges[min(stop, end) - first] -= 1
        return np.cumsum(edges[:-1]) > 0


def rig_lines(
    tags: Mapping[str, str],
    samples: Sequence[NodeSamples],
    chosen: Chosen,
    history: Sequence[InForce],
    sessions: Sessions,
) -> bytes:
    """Return a line for each chosen sample of a rig's nodes; `samples` are all there are around them.

    They come in order, as `replay.source.node_samples` gives them.
    """
    parts = _chosen_parts(samples, chosen, history)
    if not parts:
        return b""
    figures = _joined(list(evaluations([samples], history)))
    groups: dict[tuple[str, tuple[str, ...]], list[Part]] = {}
    for part in parts:
        groups.setdefault((part.node, part.hangers), []).append(part)
    return b"".join(_node_lines(tags, group, figures, sessions) for group in groups.values())


def rig_results(
    samples: Sequence[NodeSamples], chosen: Chosen, history: Sequence[InForce]
) -> Iterator[tuple[RigParameters, Evaluation]]:
    """Yield parameters and results at the times of the chosen samples.

    A dropped sample of a rig on one node has its forces, no sum, and counts as a fault.
    """
    parts = _chosen_parts(samples, chosen, history)
    if not parts:
        return
    mine_us = _ascending(np.concatenate([part.utc_us for part in parts]))
    starts = np.array([each.from_us for each in history], np.int64)
    for result in evaluations([samples], history):
        at = np.minimum(mine_us.searchsorted(result.utc_us), len(mine_us) - 1)
        rows = np.flatnonzero(mine_us[at] == result.utc_us)
        if len(rows):
            number = max(int(np.searchsorted(starts, result.utc_us[rows[0]], side="right")) - 1, 0)
            yield history[number].params, _taken(result, rows)
        for spike in result.spikes:
            yield from _spike_row(spike.utc_us, parts)


def _ascending(utc_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return each time once, in order."""
    return utc_us if (np.diff(utc_us) > 0).all() else np.unique(utc_us)


def _spike_row(utc_us: int, parts: Sequence[Part]) -> Iterator[tuple[RigParameters, Evaluation]]:
    for part in parts:
        at = np.flatnonzero(part.utc_us == utc_us)
        if len(at) and len(part.params.nodes) == 1:
            columns = part.params.columns[part.node]
            force_n, unknown = np.empty((1, len(columns))), np.full(1, np.nan)
            force_n[0, columns] = part.force_n[at[0]]
            fault = np.zeros(force_n.shape, np.uint8)
            no = np.zeros(1, bool)
            yield part.params, Evaluation(
                part.utc_us[at[:1]], force_n, unknown, unknown, unknown, unknown, no,
                np.full(1, Validity.FAULT, np.uint8), fault, unknown, no,
            )  # fmt: skip
            return


def _taken(result: Evaluation, rows: NDArray[np.intp]) -> Evaluation:
    return Evaluation(*(getattr(result, name)[rows] for name in COLUMNS))


def _joined(results: Sequence[Evaluation]) -> Figures:
    """Return all results in order of time."""
    order = np.argsort(np.concatenate([each.utc_us for each in results]), kind="stable")
    values = {
        name: np.concatenate([getattr(each, name) for each in results])[order]
        for name in ("utc_us", "motion", "validity", *(name for _, name in FIGURES))
    }
    spikes = sorted({spike.utc_us for result in results for spike in result.spikes})
    return Figures(values, np.array(spikes, np.int64))


def _chosen_parts(samples: Sequence[NodeSamples], chosen: Chosen, history: Sequence[InForce]) -> list[Part]:
    return [part for each in samples for part in _parts(each, chosen.among(each), history)]


def _parts(samples: NodeSamples, mine: NDArray[np.bool_], history: Sequence[InForce]) -> list[Part]:
    """Return the chosen samples cut where the parameters change; none where the rig has not this node."""
    if not mine.any():
        return []
    starts = np.array([each.from_us for each in history], np.int64)
    number = np.maximum(np.searchsorted(starts, samples.utc_us, side="right") - 1, 0)
    edges = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(number)]
    found = []
    for start, stop in pairwise(edges):
        params = history[int(number[start])].params
        at = np.flatnonzero(mine[start:stop]) + start
        if samples.node in params.columns and len(at):
            found.append(_part(samples, at, params))
    return found


def _part(samples: NodeSamples, at: NDArray[np.intp], params: RigParameters) -> Part:
    force_n, fault = forces(samples.counts[at], samples.calibration, params, samples.node)
    hangers = tuple(params.names[column] for column in params.columns[samples.node].tolist())
    return Part(samples.node, params, hangers, samples.utc_us[at], samples.first_index + at, force_n, fault)


def _node_lines(
    tags: Mapping[str, str],
    parts: Sequence[Part],
    figures: Figures,
    sessions: Sessions,
) -> bytes:
    first = parts[0]
    utc_us = np.concatenate([part.utc_us for part in parts])
    force_n = np.concatenate([part.force_n for part in parts])
    fault = np.concatenate([part.fault for part in parts])
    fields = [
        Field(f"index_{_snake(first.node)}", np.concatenate([part.index for part in parts])),
        *_figure_fields(utc_us, figures, sessions),
    ]
    for column, hanger in enumerate(first.hangers):
        fields.append(Field(quantities.hanger_force(hanger).influx_field, force_n[:, column]))
        faulty = fault[:, column] != CellFault.OK
        if faulty.any():
            fields.append(Field(f"{_snake(hanger)}_fault", fault[:, column], FAULTS, faulty))
    return lines(MEASUREMENT, tags, fields, utc_us)


def _figure_fields(utc_us: NDArray[np.int64], figures: Figures, sessions: Sessions) -> list[Field]:
    """Return what the load model says at these times; at a spike that there is no figure."""
    known = figures.values["utc_us"]
    row = np.minimum(np.searchsorted(known, utc_us), max(len(known) - 1, 0))
    has = known[row] == utc_us if len(known) else np.zeros(len(utc_us), bool)
    spike = np.isin(utc_us, figures.spikes_us) & ~has
    fields = [Field("spike", spike)]
    validity = np.full(len(utc_us), int(Validity.FAULT), np.intp)
    moving = np.zeros(len(utc_us), bool)
    figure = None if has.all() else has
    if len(known):
        validity[has] = figures.values["validity"][row[has]]
        moving[has] = figures.values["motion"][row[has]]
        fields += [
            Field(each.influx_field, figures.values[name][row], None, figure) for each, name in FIGURES
        ]
    said = has | spike
    everywhere = None if said.all() else said
    return [
        *fields,
        Field(quantities.MOTION.influx_field, moving, None, figure),
        Field(quantities.VALIDITY.influx_field, validity, LABELS, everywhere),
        Field("session", sessions.at(utc_us), sessions.words, everywhere),
    ]


def _snake(name: str) -> str:
    return name.replace("-", "_")
