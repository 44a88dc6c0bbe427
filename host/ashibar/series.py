"""Series of the record for pages, reports and export: from the pyramid where it suits, else from the frames.

The values are those every sink writes. It builds nothing; `upkeep` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ashibar.core import pyramid, quantities
from ashibar.core.pyramid import LEVELS, US, Chunk, SeriesError
from ashibar.core.validity import Validity
from ashibar.io.journal import Reader
from ashibar.points import Points

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ashibar.core.evaluate import Evaluation
    from ashibar.core.rig import RigParameters
    from ashibar.io.journal import StoredFrame

CURSOR: Final = "series"  # the pyramid has every frame up to this cursor
FRAMES_AT_ONCE: Final = 6000  # more than ten nodes send in a round of upkeep: each piece costs its margins
MAX_POINTS: Final = 5000
RAW_SPAN_S: Final = 300.0  # up to here a step may be below 1 s: so many samples are evaluated in an instant
TAIL_FRAMES: Final = 6000  # newer than the pyramid, evaluated when asked: more only when it is being rebuilt
STEPS_US: Final = (
    *(10_000, 20_000, 50_000, 100_000, 200_000, 500_000),
    *(
        seconds * US
        for seconds in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800)
    ),
    *(days * 86_400 * US for days in (1, 2, 7, 28, 91, 364, 3640)),
)


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One quantity in B steps of `step_us`; a step without a known value has count 0 and nan.

    `start_us` int64[B]; `count` samples with a known value, `rows` samples on record, int64[B]; `min_n`,
    `max_n`, `mean_n` float64[B]; `states` int64[V, B]: samples by validity. Every settled frame up to
    `complete_to_us` is in.
    """

    rig: str
    quantity: str
    step_us: int
    start_us: NDArray[np.int64]
    count: NDArray[np.int64]
    rows: NDArray[np.int64]
    min_n: NDArray[np.float64]
    max_n: NDArray[np.float64]
    mean_n: NDArray[np.float64]
    states: NDArray[np.int64]
    complete_to_us: int

    def gaps_us(self) -> list[tuple[int, int]]:
        """Return the spans of steps without any sample on record, each from and to."""
        bare = np.flatnonzero(np.diff(np.concatenate([[0], (self.rows == 0).astype(np.int8), [0]])))
        edges = np.append(self.start_us, self.start_us[-1:] + self.step_us)
        return [(int(edges[first]), int(edges[last])) for first, last in bare.reshape(-1, 2).tolist()]


class SeriesReader:
    """Answers for the rigs of a studio; one thread at a time, a connection for each answer."""

    def __init__(self, journal: Path, studio: str, rigs: Sequence[str]) -> None:
        self._journal = journal
        self._rigs = tuple(rigs)
        self._points = Points(studio, rigs)

    def quantities(self, rig: str) -> list[str]:
        """Return the names that `series` knows for a rig."""
        reader = Reader(self._journal)
        try:
            row = reader.connection.execute(
                "SELECT data, level_s, start_us FROM pyramid WHERE rig = ?"
                " ORDER BY level_s DESC, start_us DESC LIMIT 1",
                (rig,),
            ).fetchone()
        finally:
            reader.close()
        common = (quantities.CLIENT_LOAD.influx_field, quantities.BAR_LOAD.influx_field)
        return list(common if row is None else pyramid.from_bytes(*row).names)

    def series(self, rig: str, quantity: str, from_us: int, to_us: int, max_points: int = 1000) -> Series:
        """Return a quantity (its InfluxDB field name) in at most `max_points` steps that cover the span.

        Steps lie on the epoch's grid, as InfluxQL's GROUP BY time; both ends are whole. Raises SeriesError.
        """
        self._refuse(rig, from_us, to_us, max_points)
        step_us = _step_us(from_us, to_us, max_points)
        start_us = from_us // step_us * step_us
        buckets = -(-(to_us - start_us) // step_us)
        end_us = start_us + buckets * step_us
        reader = Reader(self._journal)
        try:
            with reader.frames.snapshot():
                if step_us < US:
                    frames = list(reader.frames_between(start_us, end_us))
                    parts, complete_us = (
                        self._evaluated(frames, reader, rig, (step_us, start_us, buckets)),
                        end_us,
                    )
                else:
                    parts, complete_us = self._from_pyramid(reader, rig, (step_us, start_us, buckets))
        finally:
            reader.close()
        whole = _fold(parts, rig, quantity, (step_us, start_us, buckets))
        return _series(whole, (rig, quantity), step_us, min(complete_us, end_us))

    def _refuse(self, rig: str, from_us: int, to_us: int, max_points: int) -> None:
        if rig not in self._rigs:
            raise SeriesError(f"one of the rigs {', '.join(self._rigs)}", repr(rig), "choose one of them")
        if not 0 <= from_us < to_us <= 2**53:
            raise SeriesError("from before to, both after 1970", f"{from_us} and {to_us} us", "swap them")
        if not 1 <= max_points <= MAX_POINTS:
            raise SeriesError(
                f"1 to {MAX_POINTS} points", str(max_points), "ask for fewer, or a shorter span"
            )

    def _from_pyramid(self, reader: Reader, rig: str, grid: tuple[int, int, int]) -> tuple[list[Chunk], int]:
        step_us, start_us, buckets = grid
        end_us = start_us + step_us * buckets
        level_s = max(each for each in LEVELS if step_us % (each * US) == 0)
        found = stored_chunks(reader, rig, level_s, start_us, end_us)
        parts = [pyramid.cut(chunk, start_us, end_us) for chunk in found]
        parts = [pyramid.coarser(each, step_us // US, start_us, buckets) for each in parts if len(each)]
        tail = reader.frames_after(reader.cursor(CURSOR), TAIL_FRAMES + 1)
        complete_us = end_us if len(tail) <= TAIL_FRAMES else tail[TAIL_FRAMES].row.utc_us
        tail = [each for each in tail if each.row.utc_last_us >= start_us and each.row.utc_us < end_us]
        return parts + self._evaluated(tail, reader, rig, grid), complete_us

    def _evaluated(
        self, frames: list[StoredFrame], reader: Reader, rig: str, grid: tuple[int, int, int]
    ) -> list[Chunk]:
        step_us, start_us, buckets = grid
        parts = []
        for first in range(0, len(frames), FRAMES_AT_ONCE):
            batch = frames[first : first + FRAMES_AT_ONCE]
            for _, params, result in self._points.evaluations(batch, reader, rig):
                parts.append(in_steps(params, result, step_us, start_us, buckets))
        return parts


def in_steps(params: RigParameters, result: Evaluation, step_us: int, start_us: int, buckets: int) -> Chunk:
    """Return the results of samples in steps; samples outside the span are left out."""
    inside = (result.utc_us >= start_us) & (result.utc_us < start_us + step_us * buckets)
    fields = [quantities.CLIENT_LOAD, quantities.BAR_LOAD, *map(quantities.hanger_force, params.names)]
    values_n = np.vstack([result.client_n, result.bar_n, result.force_n.T])[:, inside]
    return pyramid.of_samples(
        result.utc_us[inside],
        pyramid.millinewtons(values_n),
        result.validity[inside],
        [field.influx_field for field in fields],
        step_us=step_us,
        start_us=start_us,
        buckets=buckets,
    )


def stored_chunks(reader: Reader, rig: str, level_s: int, from_us: int, to_us: int) -> Iterable[Chunk]:
    """Yield the chunks of a level that overlap a span, oldest first; one that cannot be read is left out."""
    rows = reader.connection.execute(
        "SELECT data, start_us FROM pyramid WHERE rig = ? AND level_s = ? AND start_us BETWEEN ? AND ?"
        " ORDER BY start_us",
        (rig, level_s, pyramid.chunk_start_us(level_s, from_us), to_us - 1),
    )
    for data, start_us in rows.fetchall():
        yield pyramid.from_bytes(data, level_s, start_us)


def _step_us(from_us: int, to_us: int, max_points: int) -> int:
    """Return the smallest step that covers the span in that many, the shifted first one included."""
    raw = to_us - from_us <= RAW_SPAN_S * US
    for step_us in STEPS_US:
        if (step_us >= US or raw) and -(-(to_us - from_us // step_us * step_us) // step_us) <= max_points:
            return step_us
    return -(-to_us // STEPS_US[-1]) * STEPS_US[-1]  # one step for all of time


def _fold(parts: list[Chunk], rig: str, quantity: str, grid: tuple[int, int, int]) -> Chunk:
    """Return one quantity of all parts together."""
    step_us, start_us, buckets = grid
    known = sorted({name for part in parts for name in part.names})
    common = (quantities.CLIENT_LOAD.influx_field, quantities.BAR_LOAD.influx_field)
    if quantity not in known and quantity not in common and known:
        names = ", ".join(known)
        raise SeriesError(f"a quantity of rig {rig}, one of {names}", repr(quantity), "choose one of them")
    whole = pyramid.empty(step_us // US, start_us, buckets, (quantity,))
    for part in parts:
        whole = pyramid.merged(whole, _only(part, quantity))
    return whole


def _only(chunk: Chunk, quantity: str) -> Chunk:
    """Return the chunk with that one quantity."""
    if quantity not in chunk.names:
        bare = pyramid.empty(chunk.step_s, chunk.start_us, len(chunk), (quantity,))
        bare.states[:] = chunk.states
        return bare
    row = [chunk.names.index(quantity)]
    count, low, high, total = (table[row] for table in (chunk.count, chunk.low, chunk.high, chunk.total))
    return Chunk(chunk.step_s, chunk.start_us, (quantity,), count, low, high, total, chunk.states)


def _series(chunk: Chunk, what: tuple[str, str], step_us: int, complete_us: int) -> Series:
    count = chunk.count[0]
    known = count > 0
    divisor = np.maximum(count, 1) * 1000.0
    return Series(
        *what,
        step_us,
        chunk.start_us + np.arange(len(chunk)) * step_us,
        count,
        chunk.states.sum(axis=0),
        np.where(known, chunk.low[0] / 1000.0, np.nan),
        np.where(known, chunk.high[0] / 1000.0, np.nan),
        np.where(known, chunk.total[0] / divisor, np.nan),
        chunk.states,
        complete_us,
    )


STATE_LABELS: Final = tuple(Validity(number).label for number in range(pyramid.STATES))
