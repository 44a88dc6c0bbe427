"""Rows of the record for other programs: the signal at its full rate, sessions, alarms. It writes no file.

Names and units of columns come from the one descriptor of each quantity; times are ISO 8601 with offset.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from ashibar.core import decoding, quantities
from ashibar.core.chain import ChainEntry
from ashibar.core.replay_signal import EDGE_US, evaluations
from ashibar.core.validity import Validity
from ashibar.replay.run import MARGIN_US, points, shown_time
from ashibar.replay.source import history, windows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from ashibar.core.evaluate import Evaluation
    from ashibar.io.journal import SafetyReader

TIME: Final = "time"
LABELS: Final = np.array([Validity(number).label for number in range(len(Validity))])
FORCES: Final = (
    quantities.CLIENT_LOAD, quantities.CLIENT_LOAD_U, quantities.BAR_LOAD, quantities.BAR_LOAD_U,
)  # fmt: skip
SUMMARY_COLUMNS: Final = {
    "duration_s": "duration [s]", "known_s": "known [s]", "unknown_s": "unknown [s]",
    "below_s": "below_target [s]", "in_target_s": "in_target [s]", "above_target_s": "above_target [s]",
    "mean_client_n": "mean_client_load [N]",
    "motion_share": "motion_share [1]", "hangs": "hangs", "hang_s": "hang [s]", "incidents": "incidents",
}  # fmt: skip
PEAKS: Final = {"client_max": "client_load_max", "bar_max": "bar_load_max", "bar_min": "bar_load_min"}


class Table(NamedTuple):
    """Columns and blocks of rows; a block has a list for each column, None where nothing is known."""

    columns: tuple[str, ...]
    blocks: Iterator[list[list[Any]]]


def signal(reader: SafetyReader, rig: str, from_us: int, to_us: int) -> Table:
    """Give every sample of a rig from `from_us` to `to_us`, both included. ValueError for an unknown rig."""
    forced = history(reader, rig)
    if not forced:
        raise ValueError(f"{rig}: a rig on record was expected, none of this name is there: check --rig")
    names = forced[-1].params.names
    heads = (
        TIME,
        *(each.csv_header for each in FORCES),
        *(quantities.hanger_force(n).csv_header for n in names),
    )
    columns = (*heads, quantities.MOTION.csv_header, quantities.VALIDITY.csv_header)
    frames = windows(reader, forced[-1].params.nodes, from_us - EDGE_US, to_us + MARGIN_US)
    results = evaluations(frames, points(reader, rig, forced))
    return Table(columns, (_signal_block(each, from_us, to_us) for each in results if len(each)))


def _signal_block(result: Evaluation, from_us: int, to_us: int) -> list[list[Any]]:
    mine = (result.utc_us >= from_us) & (result.utc_us <= to_us)
    forces = [result.client_n, result.u_client_n, result.bar_n, result.u_bar_n, *result.force_n.T]
    times = [shown_time(utc_us) for utc_us in result.utc_us[mine].tolist()]
    numbers = [_numbers(column[mine]) for column in forces]
    return [times, *numbers, result.motion[mine].tolist(), LABELS[result.validity[mine]].tolist()]


def _numbers(column: NDArray[np.float64]) -> list[float | None]:
    rounded = np.round(column, quantities.BAR_LOAD.precision + 1).tolist()
    return [None if value != value else value for value in rounded]  # noqa: PLR0124 - nan: not known


def sessions(reader: SafetyReader, rig: str | None, from_us: int, to_us: int) -> Table:
    """Give the sessions that began within the span, oldest first, with their figures."""
    columns = (
        "session", "rig", "therapist", "client_code", "started", "ended", "ended_by", "end_reason",
        quantities.BODY_WEIGHT.csv_header, "client_limit [N]", "notes", *SUMMARY_COLUMNS.values(),
        "over_limit_least [s]", "over_limit_most [s]", *(f"{name} [N]" for name in PEAKS.values()),
        "samples_expected", "samples_stored", "samples_missing", "calibrations", "zeros",
    )  # fmt: skip
    rows = [_session(row.record, row.summary) for row in reader.sessions(rig, from_us=from_us, to_us=to_us)]
    return Table(columns, iter([_transposed(rows[::-1], len(columns))]))


def _session(record: str, summary: str | None) -> list[Any]:
    told, figures = json.loads(record), json.loads(summary or "{}")
    terms = told["terms"]
    weight = terms["body_weight"]
    over = figures.get("over_limit_s") or (None, None)
    samples = figures.get("samples") or {}
    peaks = [figures.get(name) for name in PEAKS]
    return [
        told["id"], told["rig"], told["therapist"], told["client_code"], shown_time(told["started_us"]),
        None if told["ended_us"] is None else shown_time(told["ended_us"]), told["ended_by"],
        told["end_reason"],
        None if weight is None else weight["value_n"], terms["client_limit_n"], told["notes"],
        *(figures.get(name) for name in SUMMARY_COLUMNS), *over,
        *(None if peak is None else peak["value_n"] for peak in peaks),
        *(samples.get(name) for name in ("expected", "stored", "missing")),
        " ".join(figures.get("calibrations", ())), ", ".join(figures.get("zeros", ())),
    ]  # fmt: skip


def log(
    reader: SafetyReader, rig: str | None, from_us: int, to_us: int, kinds: tuple[str, ...] = ()
) -> Table:
    """Give entries of the safety log, oldest first; `data` as JSON."""
    decoder = decoding.decoder(ChainEntry)
    entries = [decoder.decode(line) for line in reader.log_of(from_us=from_us, to_us=to_us, kinds=kinds)]
    mine = [entry for entry in entries if rig is None or entry.data.get("rig") == rig]
    rows = [
        [e.seq, shown_time(e.utc_us), e.kind, e.who, e.data.get("rig"), e.data.get("session"),
         json.dumps(e.data, ensure_ascii=False), e.hash] for e in mine
    ]  # fmt: skip
    columns = ("seq", TIME, "kind", "who", "rig", "session", "data", "hash")
    return Table(columns, iter([_transposed(rows, len(columns))]))


def alarms(reader: SafetyReader, rig: str | None, from_us: int, to_us: int) -> Table:
    """Give what the alarms did and what people did with them, oldest first."""
    decoder = decoding.decoder(ChainEntry)
    entries = [decoder.decode(line) for line in reader.log_of(from_us=from_us, to_us=to_us, kinds=("alarm",))]
    mine = [entry for entry in entries if rig is None or entry.data.get("rig") == rig]
    names = ("rig", "session", "key", "cause", "before", "after", "priority", "note")
    rows = [[shown_time(e.utc_us), e.who, *(e.data.get(name) for name in names)] for e in mine]
    columns = (TIME, "who", *names)
    return Table(columns, iter([_transposed(rows, len(columns))]))


def _transposed(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    return [[row[number] for row in rows] for number in range(width)]
