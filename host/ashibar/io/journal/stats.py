"""What the journal holds and what room it takes, for people and scripts. It changes nothing."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from ashibar.io.journal.reader import Reader
from ashibar.io.journal.retain import kept_spans, room, shed_totals

if TYPE_CHECKING:
    from pathlib import Path


def stats_of(path: Path) -> dict[str, Any]:
    """Return counts, bytes, bytes for each packed cell sample, time spanned, cursors and kept spans."""
    reader = Reader(path)
    with closing(reader), reader.frames.snapshot():
        one = reader.connection.execute
        frames, samples = reader.totals()
        blocks, packed, cells, size = one(
            "SELECT count(*), coalesce(sum(frames), 0), coalesce(sum(cell_samples), 0),"
            " coalesce(sum(bytes), 0) FROM blocks"
        ).fetchone()
        series = one("SELECT coalesce(sum(length(data)), 0) FROM pyramid").fetchone()[0]
        first, last = one(
            "SELECT min(a), max(b) FROM (SELECT min(first_us) AS a, max(last_us) AS b FROM blocks"
            " UNION ALL SELECT min(utc_us), max(utc_last_us) FROM frames)"
        ).fetchone()
        gone_frames, gone_samples = shed_totals(reader.connection)
        used = room(reader.connection, path)
        return {
            "file_bytes": path.stat().st_size,
            "used_bytes": used.used_bytes,
            "free_bytes": used.free_bytes,
            "frames": frames,
            "samples": samples,
            "hot_frames": frames - packed,
            "blocks": blocks,
            "block_bytes": size,
            "bytes_per_cell_sample": round(size / cells, 3) if cells else None,
            "series_bytes": series,
            "from_unix_s": None if first is None else first / 1e6,
            "to_unix_s": None if last is None else last / 1e6,
            "gaps": len(reader.gaps()),
            "shed_frames": gone_frames,
            "shed_samples": gone_samples,
            "kept_spans": len(kept_spans(reader.connection)),
            "newest_frame_id": reader.highest_frame_id(),
            "cursors": dict(one("SELECT sink, frame_id FROM cursors ORDER BY sink").fetchall()),
        }
