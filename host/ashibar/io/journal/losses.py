"""What the accounts have as stored and the journal has not, after frames of a damaged one were taken over.

It reads only. Accounts and frames are of one commit, so that they can be held against each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ashibar.core import decoding
from ashibar.core.accounting import BootRecord
from ashibar.core.frame import stands_for
from ashibar.core.sequence import IntervalSet, holes

if TYPE_CHECKING:
    import sqlite3

    from ashibar.core.sequence import Interval
    from ashibar.io.journal.batch import FrameRow
    from ashibar.io.journal.reader import Reader

LOOK_BACK: Final = (1, 64, 2**15)  # frames: the one before, or the decimated one that stands for it


class Lost(NamedTuple):
    """Sequences of a boot that were stored and cannot be read; `beside`: the stored frames next to them."""

    node: int
    boot: int
    spans: tuple[Interval, ...]
    frames: int
    samples: int
    beside: tuple[FrameRow, ...]


def lost(reader: Reader) -> list[Lost]:
    """Return what is missing of each boot that the journal has an account of."""
    with reader.frames.snapshot():
        found = []
        for row in reader.boots():
            record = decoding.from_json(row.counts, BootRecord)
            there = _there(reader.connection, row.node, row.boot)
            spans = [span for first, last in record.stored for span in holes(first, last, there)]
            if spans:
                found.append(_of_boot(reader, row.node, row.boot, record, spans))
    return [each for each in found if each.spans]


def _there(connection: sqlite3.Connection, node: int, boot: int) -> IntervalSet:
    """Return the sequences of a boot that are stored, or were until retention took them."""
    runs = (
        "SELECT min(seq), max(seq) FROM (SELECT seq, seq - row_number() OVER (ORDER BY seq) AS run"
        " FROM frames WHERE node = ?1 AND boot = ?2) GROUP BY run"
        " UNION ALL SELECT first_seq, last_seq FROM packed WHERE node = ?1 AND boot = ?2"
        " UNION ALL SELECT first_seq, last_seq FROM shed WHERE node = ?1 AND boot = ?2 ORDER BY 1"
    )
    return IntervalSet(connection.execute(runs, (node, boot)))


def _of_boot(reader: Reader, node: int, boot: int, record: BootRecord, spans: list[Interval]) -> Lost:
    beside: dict[int, FrameRow] = {}
    left: list[Interval] = []
    for first, last in spans:
        before = _before(reader, node, boot, first)
        begin = first
        if before is not None:
            beside[before.seq] = before
            begin = max(first, before.seq + int(stands_for(np.array([before.flags]))[0]))
        if begin > last:  # nothing is missing: a decimated frame stands for these
            continue
        left.append((begin, last))
        beside |= {frame.row.seq: frame.row for frame in reader.frames_of(node, boot, last + 1, last + 1)}
    frames, samples = _totals(reader.connection, node, boot)
    return Lost(
        node,
        boot,
        tuple(left),
        max(0, record.frames - frames),
        max(0, record.samples - samples),
        tuple(beside[seq] for seq in sorted(beside)),
    )


def _before(reader: Reader, node: int, boot: int, seq: int) -> FrameRow | None:
    """Return the last frame stored before a sequence, None where there is none near."""
    for count in LOOK_BACK:
        found = reader.frames_of(node, boot, max(0, seq - count), seq - 1) if seq else []
        if found:
            return found[-1].row
    return None


def _totals(connection: sqlite3.Connection, node: int, boot: int) -> tuple[int, int]:
    """Return frames and samples of a boot that were ever stored and can be read, or went by retention."""
    row = connection.execute(
        "SELECT sum(n), sum(s) FROM (SELECT count(*) AS n, coalesce(sum(samples), 0) AS s FROM frames"
        " WHERE node = ?1 AND boot = ?2"
        " UNION ALL SELECT coalesce(sum(frames), 0), coalesce(sum(samples), 0) FROM blocks"
        " WHERE node = ?1 AND boot = ?2"
        " UNION ALL SELECT coalesce(sum(frames), 0), coalesce(sum(samples), 0) FROM shed"
        " WHERE node = ?1 AND boot = ?2)",
        (node, boot),
    ).fetchone()
    return int(row[0]), int(row[1])
