"""Measures the journal: packing, reading, building the series, queries at every zoom. Prints a table.

Run: .venv/bin/python tests/bench/journal.py [hours]; it asserts nothing.
"""

import resource
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "io")]

from ashibar.io.journal import Batch, Committer, Journal, Reader  # noqa: E402
from ashibar.io.journal.packed import cold_blocks, make_block  # noqa: E402
from ashibar.io.journal.stats import stats_of  # noqa: E402
from ashibar.series import SeriesReader  # noqa: E402
from ashibar.series_build import SeriesBuilder  # noqa: E402
from journal_samples import FRAME_US, RIG, STUDIO, T0_US, known, rows  # noqa: E402 (the path above)

STEP = 4800  # frames stored at a time: ten minutes


def timed(do):
    """Return seconds and result."""
    begin = time.perf_counter()
    result = do()
    return time.perf_counter() - begin, result


def line(what, seconds, count, unit):
    """Print a row of the table."""
    print(f"| {what} | {seconds:.3f} s | {count / max(seconds, 1e-9):,.0f} {unit}/s |", flush=True)


def main():
    """Fill a journal with so many hours of one rig and measure."""
    hours = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    frames = round(hours * 3600 * 8) // STEP * STEP
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "journal.sqlite"
        journal = Journal(path)
        journal.commit(known(Path(place)))
        committer = Committer(journal)
        committer.start()
        reader = Reader(path)
        now_us = T0_US + frames * FRAME_US + 10**13
        stored = packed = built = 0.0
        builder = SeriesBuilder(committer, STUDIO, [RIG], lambda: now_us)
        for first in range(0, frames, STEP):
            batch = Batch(frames=rows(STEP, first=first, seed=first))
            stored += timed(lambda batch=batch: journal_store(committer, batch))[0]
            built += timed(lambda: builder.build(reader, threading.Event()))[0]
            packed += timed(lambda: pack(committer, reader, now_us))[0]
        print(f"{frames} frames, {frames * 40} cell samples, {hours:g} h of one rig\n")
        print("| step | time | rate |\n|---|---|---|")
        line("store", stored, frames, "frames")
        line("build series", built, frames, "frames")
        line("pack, verify and swap", packed, frames, "frames")
        line("read all back", timed(lambda: read_all(reader))[0], frames, "frames")
        series = SeriesReader(path, STUDIO, [RIG])
        for span_s in (10, 300, 3600, 86_400, 31_536_000):
            seconds, found = timed(
                lambda span_s=span_s: series.series(RIG, "client_load_n", T0_US, T0_US + span_s * 10**6, 1000)
            )
            line(f"query {span_s} s in {len(found.start_us)} steps", seconds, 1, "queries")
        found = stats_of(path)
        print(f"\nbytes a cell sample: {found['bytes_per_cell_sample']}")
        print(f"series / cell samples: {found['series_bytes'] / frames / 40:.3f}")
        print(f"file / cell samples: {found['used_bytes'] / frames / 40:.3f}")
        print(f"most memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
        reader.close()
        committer.stop()


def journal_store(committer, batch):
    """Store a batch and wait for the disk."""
    committer.submit(batch)
    committer.flush(60)


def pack(committer, reader, now_us):
    """Pack all there is."""
    while ripe := cold_blocks(reader.connection, now_us):
        for node, boot in ripe:
            block = make_block(reader.connection, node, boot, now_us)
            committer.between(lambda journal, block=block: journal.pack(block))


def read_all(reader):
    """Read every frame through a cursor."""
    cursor = 0
    while found := reader.frames_after(cursor, 500):
        cursor = found[-1].id


if __name__ == "__main__":
    main()
