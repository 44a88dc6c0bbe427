"""How far the copy is, as the journal has it; for whoever asks from outside the daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ashibar.core import decoding
from ashibar.io.influx.corrections import Correction
from ashibar.io.influx.lanes import Lanes
from ashibar.io.influx.sink import SINK, Counts, Status
from ashibar.io.journal import Reader

if TYPE_CHECKING:
    from pathlib import Path


class Progress(Status, frozen=True):
    """`Status` from the journal, and `share`: the part of all frames that is not written."""

    share: float = 0.0


def progress_of(journal: Path) -> Progress:
    """Return how far the sink is. Raises sqlite3.Error where the journal cannot be read."""
    reader = Reader(journal)
    try:
        state = dict(
            reader.connection.execute("SELECT what, value FROM sink_state WHERE sink = ?", (SINK,)).fetchall()
        )
        lanes, newest = Lanes.restored(reader.cursor(SINK), state.get("lanes")), reader.highest_frame_id()
    finally:
        reader.close()
    counts = decoding.from_json(state.get("counts", "{}"), Counts)
    waiting = decoding.from_json(state.get("corrections", "[]"), list[Correction])
    behind, hole = lanes.behind(newest), lanes.hole
    return Progress(
        cursor=lanes.cursor,
        newest=newest,
        behind=behind,
        old=0 if hole is None else hole[1] - hole[0],
        recomputing=len(waiting),
        points=counts.points,
        rejected=counts.rejected,
        too_old=counts.too_old,
        share=behind / newest if newest else 0.0,
    )
