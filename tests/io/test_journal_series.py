"""Series of the journal: the same answers as InfluxQL, at any zoom, after any correction."""

import asyncio
import threading
from types import SimpleNamespace
from unittest.mock import patch

import httpx
import msgspec
import numpy as np
import pytest
from ashibar.core import pyramid
from ashibar.core.pyramid import LEVELS, SeriesError
from ashibar.io.influx import InfluxWriter
from ashibar.io.journal import Batch, Committer, Journal, Reader
from ashibar.points import Points
from ashibar.series import CURSOR, SeriesReader
from ashibar.series_build import SeriesBuilder
from ashibar.web.app import create_app
from ashibar.web.feed import Feed
from ashibar.web.series import series_router
from journal_samples import RIG, STUDIO, T0_US, known, parameters, rows

S = 1_000_000
QUANTITIES = ("client_load_n", "bar_load_n", "left_head_n", "left_foot_n", "right_head_n", "right_foot_n")


class Bench:
    """A journal with its committer, builder and reader."""

    def __init__(self, tmp_path):
        self.path = tmp_path / "journal.sqlite"
        self.journal = Journal(self.path)
        self.journal.commit(known(tmp_path))
        self.committer = Committer(self.journal)
        self.committer.start()
        self.reader = Reader(self.path)
        self.series = SeriesReader(self.path, STUDIO, [RIG])
        self.builder = SeriesBuilder(self.committer, STUDIO, [RIG], lambda: T0_US + 10**11)

    def store(self, batch):
        self.committer.submit(batch)
        assert self.committer.flush(10)

    def build(self):
        self.builder.build(self.reader, threading.Event())

    def tables(self, step_s, to_s):
        """Return every table of a level over a span, by quantity."""
        found = self.series.series(RIG, "client_load_n", T0_US, T0_US + to_s * S, to_s // step_s)
        assert found.step_us == step_s * S
        return found

    def close(self):
        self.reader.close()
        self.committer.stop()


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def answers(found):
    columns = (found.count, found.rows, found.min_n, found.max_n, found.mean_n)
    return np.stack([column.astype(float) for column in columns])


@pytest.mark.parametrize(("step_s", "points"), [(0.5, 400), (1, 200), (10, 20), (60, 4), (300, 1)])
def test_the_journal_answers_as_influxql_does(bench, influx, step_s, points):
    frames = rows(1600)
    del frames[700:740]  # a gap of five seconds
    bench.store(Batch(frames=frames))
    writer = InfluxWriter(influx.url, "-", influx.database, "")
    writer.write(Points(STUDIO, [RIG])(bench.reader.frames_after(0, 9000), bench.reader))
    writer.close()
    bench.build()
    for quantity in QUANTITIES:
        found = bench.series.series(RIG, quantity, T0_US, T0_US + 200 * S, points)
        assert found.step_us == step_s * S
        where = f"time >= {T0_US * 1000} AND time < {(T0_US + 300 * S) * 1000} AND rig = '{RIG}'"
        stored = influx.query(
            f"SELECT count({quantity}), min({quantity}), max({quantity}), mean({quantity}) FROM load"
            f" WHERE {where} GROUP BY time({round(step_s * 1000)}ms) fill(none)"
        )
        mine = np.flatnonzero(found.count)
        assert [row["time"] for row in stored] == found.start_us[mine].tolist()
        assert [row["count"] for row in stored] == found.count[mine].tolist()
        for name, values in (("min", found.min_n), ("max", found.max_n), ("mean", found.mean_n)):
            assert [row[name] for row in stored] == pytest.approx(values[mine].tolist(), abs=1e-3)


def test_a_step_without_samples_is_a_gap_and_one_without_known_values_is_not(bench):
    frames = rows(240)
    del frames[120:160]
    bench.store(Batch(frames=frames))
    bench.build()
    found = bench.series.series(RIG, "bar_load_n", T0_US, T0_US + 30 * S, 30)
    assert found.gaps_us() == [(T0_US + 15 * S, T0_US + 20 * S)]
    assert (found.rows[0], found.count[0]) == (80, 0)  # a cell was dead: on record, not known
    assert np.isnan(found.mean_n[0])
    assert found.count[1] == 80
    assert found.states.sum(axis=0).tolist() == found.rows.tolist()


def test_frames_at_hand_are_those_the_journal_would_give_for_a_span(bench):
    chance = np.random.default_rng(5)
    frames = rows(3000)
    late = sorted(chance.choice(3000, 40, replace=False).tolist())
    end_us = frames[-1].received_us
    order = [frame for number, frame in enumerate(frames) if number not in late]
    order += [frames[k]._replace(received_us=end_us) for k in late]
    for first in range(0, 3000, 250):
        bench.store(Batch(frames=order[first : first + 250]))
    points, read = Points(STUDIO, [RIG]), 0
    for _ in range(60):
        after, count = int(chance.integers(0, 2900)), int(chance.integers(1, 900))
        around = points.around(bench.reader, after, count)
        begin_us = T0_US + int(chance.integers(-5, 380)) * S
        span = (begin_us, begin_us + int(chance.integers(1, 90)) * S)
        read += not around.holds(*span, [1])
        last_id = around.frames[-1].id  # what is stored later is another piece's
        there = [f for f in bench.reader.frames_between(*span) if f.id <= last_id]
        assert [f for f in points.of_time(bench.reader, around, *span) if f.id <= last_id] == there
    assert 0 < read < 60


def test_however_frames_are_cut_and_ordered_the_steps_are_the_same(bench, tmp_path):
    frames = rows(6000)
    bench.store(Batch(frames=frames))
    bench.build()
    other_path = tmp_path / "other"
    other_path.mkdir()
    other = Bench(other_path)
    late = frames[2000:2500]
    for part in (frames[:1000], frames[1000:2000], frames[2500:4100], late[::2], late[1::2], frames[4100:]):
        other.store(Batch(frames=part))
        other.build()
    try:
        for step_s, quantity in zip((1, 2, 10, 60, 600, 3600), QUANTITIES, strict=True):
            asked = (RIG, quantity, T0_US, T0_US + max(step_s, 750) * S, max(1, 750 // step_s))
            assert answers(bench.series.series(*asked)) == pytest.approx(
                answers(other.series.series(*asked)), nan_ok=True
            )
    finally:
        other.close()


def test_a_span_is_evaluated_once_for_all_rigs(bench):
    rigs = [RIG, "room-8", "room-9"]
    builder = SeriesBuilder(bench.committer, STUDIO, rigs, lambda: T0_US + 10**11)
    bench.store(Batch(frames=rows(240)))
    with patch.object(Points, "evaluations", autospec=True, side_effect=Points.evaluations) as evaluated:
        builder.build(bench.reader, threading.Event())
    assert [call.args[3] for call in evaluated.call_args_list] == [
        None,
        RIG,
    ]
    assert bench.tables(1, 30).rows.sum() == 2400


def test_the_newest_chunks_are_plain_and_the_full_ones_coded(bench):
    bench.store(Batch(frames=rows(5600)))  # 700 s: a chunk of seconds is full, another grows
    bench.build()
    stored = bench.reader.connection.execute(
        "SELECT data FROM pyramid WHERE level_s = 1 ORDER BY start_us"
    ).fetchall()
    assert [msgspec.msgpack.decode(data)[0] for (data,) in stored] == [pyramid.CODED, pyramid.PLAIN]


def test_every_level_agrees_with_the_finest(bench):
    bench.store(Batch(frames=rows(6000)))
    bench.build()
    fine = bench.tables(1, 720)
    for step_s in (10, 60):
        coarse = bench.tables(step_s, 720)
        assert coarse.count.tolist() == fine.count.reshape(-1, step_s).sum(axis=1).tolist()
        assert coarse.max_n == pytest.approx(np.nanmax(fine.max_n.reshape(-1, step_s), axis=1))


def test_what_is_newer_than_the_pyramid_is_in_the_answer_too(bench):
    bench.store(Batch(frames=rows(800)))
    bench.build()
    bench.store(Batch(frames=rows(400, first=800)))
    found = bench.series.series(RIG, "bar_load_n", T0_US, T0_US + 150 * S, 150)
    assert found.rows.tolist() == [80] * 150
    assert found.complete_to_us == T0_US + 150 * S
    assert bench.reader.cursor(CURSOR) == 800


def test_a_corrected_weight_rebuilds_its_span_and_no_other(bench, tmp_path):
    bench.store(Batch(frames=rows(4000)))
    bench.build()
    before = bench.series.series(RIG, "client_load_n", T0_US, T0_US + 500 * S, 500)
    bar = answers(bench.series.series(RIG, "bar_load_n", T0_US, T0_US + 500 * S, 500))
    heavier, as_before = (parameters(tmp_path, T0_US + at * S, kg=kg) for at, kg in ((100, 70), (300, 60)))
    bench.store(Batch(parameters=[heavier, as_before]))
    bench.build()
    after = bench.series.series(RIG, "client_load_n", T0_US, T0_US + 500 * S, 500)
    known_at = np.flatnonzero(after.count)
    change = np.rint((after.mean_n - before.mean_n) / 9.80665)[known_at]
    assert change.tolist() == [10 if 100 <= second < 300 else 0 for second in known_at]
    again = answers(bench.series.series(RIG, "bar_load_n", T0_US, T0_US + 500 * S, 500))
    assert again == pytest.approx(bar, nan_ok=True)
    coarse = bench.series.series(RIG, "client_load_n", T0_US, T0_US + 500 * S, 1)
    assert coarse.count.sum() == after.count.sum()


def test_packed_frames_give_the_same_series(bench):
    from ashibar.io.journal.packed import make_block  # noqa: PLC0415

    bench.store(Batch(frames=rows(4800)))
    at = (RIG, "left_head_n", T0_US, T0_US + 20 * S, 200)
    before = answers(bench.series.series(*at))
    block = make_block(bench.reader.connection, 1, 7, T0_US + 10**12)
    assert bench.committer.between(lambda journal: journal.pack(block))
    assert answers(bench.series.series(*at)) == pytest.approx(before, nan_ok=True)
    bench.build()
    assert bench.series.series(RIG, "left_head_n", T0_US, T0_US + 600 * S, 600).rows.tolist() == [80] * 600


def test_a_question_that_makes_no_sense_is_refused_in_words(bench):
    for asked in [
        ("other", "bar_load_n", 0, 10, 5),
        (RIG, "bar_load_n", 10, 10, 5),
        (RIG, "bar_load_n", 0, 10, 0),
    ]:
        with pytest.raises(SeriesError, match="expected"):
            bench.series.series(*asked)
    bench.store(Batch(frames=rows(80)))
    bench.build()
    with pytest.raises(SeriesError, match="left_head_n"):
        bench.series.series(RIG, "no_such_n", T0_US, T0_US + 10 * S, 5)
    assert set(bench.series.quantities(RIG)) == set(QUANTITIES)


def test_any_span_comes_in_at_most_as_many_points_as_asked(bench):
    bench.store(Batch(frames=rows(80)))
    bench.build()
    for span_s in (0.03, 1, 7, 299, 301, 4000, 10**5, 10**7, 5 * 10**8):
        for points in (1, 7, 1000):
            found = bench.series.series(RIG, "bar_load_n", T0_US + 3, T0_US + 3 + round(span_s * S), points)
            assert 1 <= len(found.start_us) <= points
            assert found.start_us[0] <= T0_US + 3
            assert found.start_us[-1] + found.step_us >= T0_US + 3 + round(span_s * S)


def test_the_page_gets_a_series_as_json_with_null_for_unknown(bench):
    bench.store(Batch(frames=rows(80)))
    app = create_app(Feed(), SimpleNamespace(rigs=list))
    app.include_router(series_router(bench.series))

    def get(path, params):
        async def ask():
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://page") as client:
                return await client.get(path, params=params)

        return asyncio.run(ask())

    at = {"rig": RIG, "quantity": "bar_load_n", "from": T0_US / 1e6, "to": T0_US / 1e6 + 12, "points": 12}
    said = get("/api/v1/series", at).json()
    assert said["step_s"] == 1.0
    assert said["rows"] == [80] * 10 + [0, 0]
    assert said["mean"][0] is None
    assert said["min"][5] < said["mean"][5] < said["max"][5]
    assert said["gaps_unix_s"] == [[T0_US / 1e6 + 10, T0_US / 1e6 + 12]]
    refused = get("/api/v1/series", at | {"rig": "nowhere"})
    assert refused.status_code == 422
    assert RIG in refused.json()["expected"]
    assert get("/api/v1/series/quantities", {"rig": RIG}).json() == ["client_load_n", "bar_load_n"]


def test_a_stored_chunk_takes_little_room(bench):
    bench.store(Batch(frames=rows(4800)))
    bench.build()
    size = bench.reader.connection.execute(
        "SELECT sum(length(data)) FROM pyramid WHERE level_s = 1"
    ).fetchone()[0]
    assert size / 600 < 80  # bytes a second of six quantities; the frames of it take about 330
    assert {
        level for (level,) in bench.reader.connection.execute("SELECT DISTINCT level_s FROM pyramid")
    } == set(LEVELS)


@pytest.mark.parametrize("grows", [False, True])
def test_a_chunk_comes_back_as_it_was_stored(grows):
    rng = np.random.default_rng(1)
    values = rng.integers(-(10**6), 10**6, (2, 500))
    values[0, ::7] = pyramid.UNKNOWN
    chunk = pyramid.of_samples(
        np.sort(rng.integers(0, 600 * S, 500)),
        values,
        rng.integers(0, 4, 500).astype(np.uint8),
        ["a", "b"],
        step_us=S,
        start_us=0,
        buckets=600,
    )
    again = pyramid.from_bytes(pyramid.to_bytes(chunk, grows=grows), 1, 0)
    for name in ("count", "low", "high", "total", "states"):
        assert getattr(again, name).tolist() == getattr(chunk, name).tolist()
    with pytest.raises(pyramid.ChunkError, match="rebuild"):
        pyramid.from_bytes(b"nothing", 1, 0)
