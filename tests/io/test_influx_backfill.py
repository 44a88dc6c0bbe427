"""InfluxDB that comes late, goes away and is corrected, against the real engine: counts and sums hold."""

import json
import logging
import threading
import time
import urllib.request

import numpy as np
import pytest
from ashibar.core.chain import append, to_line
from ashibar.io.influx import InfluxSink, InfluxWriter, lanes, sink
from ashibar.io.influx.corrections import affected
from ashibar.io.influx.progress import progress_of
from ashibar.io.journal import Batch, Committer, Journal, Reader, SafetyReader, safety, sinks
from ashibar.points import Points
from ashibar.rigs import to_json
from influx_http import Between
from records import DAY_US, SPAN, T0, ZERO, calibration_record, first_batch, frame_rows, load, params
from servers import wait_until

KG = 9.80665


class House:
    """A journal being written, and a sink behind it."""

    def __init__(self, tmp_path):
        self.path = tmp_path / "journal.sqlite"
        self.journal = Journal(self.path)
        self.committer = Committer(self.journal)
        self.committer.start()
        self.reader = Reader(self.path)
        self.said, self.sinks = [], []
        self.store(first_batch("room-1"))

    def store(self, batch):
        self.committer.submit(batch)
        assert self.committer.flush(20)

    def sink(self, url, database, points=None):
        writer = InfluxWriter(url, "-", database, "")
        new = InfluxSink(
            self.path, writer, points or Points("studio"), self.committer.submit, studio="studio",
            tell=lambda kind, data: self.said.append((kind, data)),
        )  # fmt: skip
        self.committer.on_commit(new.wake)
        self.sinks.append(new)
        new.start()
        return new

    def caught_up(self):
        newest = self.reader.highest_frame_id()
        return self.reader.cursor("influx") == newest

    def close(self):
        for each in self.sinks:
            each.stop()
        self.reader.close()
        self.committer.stop()


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path)
    yield house
    house.close()


@pytest.fixture
def between(influx):
    between = Between(influx.url)
    yield between
    between.stop()


def week(house, seconds=60.0):
    """Seven days with a stretch of samples each; forces as they were stored, [S, 4]."""
    forces, seq = [], 0
    for day in range(7):
        force = load(seconds, seed=day)
        rows = list(frame_rows(force, from_us=T0 + day * DAY_US, first_seq=seq))
        house.store(
            Batch(frames=rows, parameters=[("room-1", T0 + day * DAY_US, to_json(params(T0 + day * DAY_US)))])
        )
        seq += len(rows)
        forces.append(np.rint(force / SPAN + ZERO) * SPAN - ZERO * SPAN)
    return np.concatenate(forces)


def one(influx, what, where=""):
    rows = influx.query(f"SELECT {what} FROM load {where}")
    return next(iter({k: v for k, v in rows[0].items() if k != "time"}.values())) if rows else 0


def check_week(influx, forces):
    assert one(influx, "count(index_bars)") == len(forces)
    assert one(influx, "count(client_load_n)") == len(forces)
    assert one(influx, "sum(bar_load_n)") == pytest.approx(forces.sum(), abs=0.0005 * len(forces))
    assert one(influx, "sum(left_foot_n)") == pytest.approx(forces[:, 1].sum(), abs=0.0005 * len(forces))
    expected = 70 * KG * len(forces) - forces.sum()
    assert one(influx, "sum(client_load_n)") == pytest.approx(expected, abs=0.0005 * len(forces))
    assert one(influx, "max(bar_load_n)") == pytest.approx(forces.sum(axis=1).max(), abs=0.0006)


def test_a_hole_waits_for_frames_whose_stamps_are_provisional(house, influx, monkeypatch):
    monkeypatch.setattr(lanes, "SPLIT_FRAMES", 20)
    house.store(Batch(parameters=[("room-1", T0, to_json(params(T0)))]))
    rows = list(frame_rows(load(15.0), from_us=T0))
    copy = house.sink(influx.url, influx.database)
    house.store(Batch(frames=rows[:10]))
    wait_until(house.caught_up, "the first frames to be written")
    waiting = [row._replace(fit=None) for row in rows[10:15]]
    house.store(Batch(frames=waiting + rows[15:]))
    wait_until(lambda: copy.status.old, "the sink to begin a lane at the newest")
    with pytest.raises(AssertionError):
        wait_until(lambda: not copy.status.old, "a hole to be passed over", within_s=3)
    stamps = [(row.utc_us, row.utc_last_us, rows[0].fit, row.node, row.boot, row.seq) for row in waiting]
    house.store(Batch(restamps=stamps))
    wait_until(house.caught_up, "the rest to be written")
    assert one(influx, "count(index_bars)") == sum(row.samples for row in rows)


def test_a_week_without_influxdb_is_caught_up_to_the_journals_counts_and_sums(house, influx, between):
    between.answer = lambda *_: (503, {}, b"away")
    copy = house.sink(between.url, influx.database)
    forces = week(house)
    wait_until(lambda: copy.problem, "the sink to notice")
    assert house.reader.cursor("influx") == 0
    between.answer = lambda *_: None
    wait_until(house.caught_up, "the sink to catch up", within_s=60)
    check_week(influx, forces)
    assert influx.asked() == len(forces)  # nothing was written twice
    assert copy.problem is None
    found = progress_of(house.path)
    assert (found.behind, found.points, found.rejected) == (0, len(forces), 0)


def test_influxdb_killed_in_mid_write_ends_up_with_every_sample_once(house, influx, between):
    forces = week(house)
    killed = threading.Event()

    def answer(_method, path, _query, _body):
        if path == "/api/v2/write" and len(between.writes) == 3 and not killed.is_set():
            influx.kill()
            killed.set()

    between.answer = answer
    house.sink(between.url, influx.database)
    assert killed.wait(30)
    influx.start()
    wait_until(house.caught_up, "the sink to catch up", within_s=60)
    check_week(influx, forces)


def test_an_answer_that_is_lost_makes_no_second_point(house, influx, between):
    forces = week(house, seconds=20.0)
    lost = []

    def answer(_method, path, query, body):
        if path == "/api/v2/write" and len(lost) < 3:
            lost.append(1)
            request = urllib.request.Request(
                f"{influx.url}{path}?bucket={query['bucket']}&org=-&precision={query['precision']}", body
            )
            urllib.request.urlopen(request, timeout=10).close()
            return 500, {}, b"who knows"
        return None

    between.answer = answer
    house.sink(between.url, influx.database)
    wait_until(house.caught_up, "the sink to catch up", within_s=60)
    assert len(lost) == 3
    check_week(influx, forces)


def test_new_samples_do_not_wait_for_old_ones_and_both_survive_a_restart(house, influx, between, monkeypatch):
    monkeypatch.setattr(lanes, "SPLIT_FRAMES", 100)
    monkeypatch.setattr(sink, "FRAMES_PER_WRITE", 40)
    forces = week(house, seconds=20.0)
    between.slow_s = 0.15
    copy = house.sink(between.url, influx.database)
    wait_until(lambda: copy.status.old > 0 and copy.cursor > 0, "backfill to begin")
    now_us = time.time_ns() // 1000
    new = load(2.0, seed=99)
    house.store(Batch(frames=[row._replace(received_us=now_us) for row in frame_rows(
        new, from_us=now_us - 2_000_000, boot=78)]))  # fmt: skip
    wait_until(
        lambda: one(influx, "count(index_bars)", f"WHERE time > {now_us - 3_000_000}u") == 160, "new points"
    )
    assert copy.status.old > 0
    copy.stop()
    before = progress_of(house.path)
    assert before.old > 0
    between.slow_s = 0.0
    again = house.sink(between.url, influx.database)
    wait_until(house.caught_up, "the rest", within_s=60)
    assert one(influx, "count(index_bars)") == len(forces) + 160
    wait_until(lambda: again.status.old == 0, "the status to say so")
    assert influx.asked() <= len(forces) + 160 + 400  # at most the write under way at the stop


def test_a_corrected_body_weight_is_written_over_and_the_log_says_so(house, influx):
    forces = week(house, seconds=20.0)
    house.sink(influx.url, influx.database)
    wait_until(house.caught_up, "the sink to catch up", within_s=60)
    second = T0 + DAY_US
    house.store(Batch(parameters=[("room-1", second, to_json(params(second, weight_kg=72.0)))]))
    wait_until(lambda: house.said, "the log to say so", within_s=30)
    day = f"WHERE time >= {second}u AND time < {second + DAY_US}u"
    part = forces[1600:3200]
    assert one(influx, "sum(client_load_n)", day) == pytest.approx(72 * KG * 1600 - part.sum(), abs=1)
    rest = np.delete(forces, np.s_[1600:3200], axis=0)
    total = 70 * KG * len(rest) - rest.sum() + 72 * KG * 1600 - part.sum()
    assert one(influx, "sum(client_load_n)") == pytest.approx(total, abs=7)
    assert one(influx, "count(index_bars)") == len(forces)
    kind, data = house.said[0]
    assert kind == "influxdb-recomputed"
    assert (data["rig"], data["from_us"], data["to_us"], data["points"]) == (
        "room-1",
        second,
        second + DAY_US,
        1600,
    )


def test_a_corrected_calibration_is_written_over(house, influx):
    forces = week(house, seconds=10.0)
    house.sink(influx.url, influx.database)
    wait_until(house.caught_up, "the sink to catch up", within_s=60)
    text = calibration_record().replace(str(SPAN), str(1.01 * SPAN))
    house.store(Batch(statements=[(sinks.CORRECT_CALIBRATION, [(1, 1, T0, text)])]))
    wait_until(lambda: house.said, "the log to say so", within_s=30)
    assert one(influx, "sum(bar_load_n)") == pytest.approx(1.01 * forces.sum(), abs=0.001 * len(forces))
    assert one(influx, "count(index_bars)") == len(forces)
    assert house.said[0][1]["why"] == "calibration 1 of bars"


def test_a_line_the_server_refuses_is_kept_aside_and_the_rest_goes_on(house, influx, caplog):
    caplog.set_level(logging.WARNING)
    house.store(Batch(frames=list(frame_rows(load(10.0)))))
    text = f'load,rig=room-1,studio=studio left_head_n="text" {T0 + 5_000_000}'.encode()
    writer = InfluxWriter(influx.url, "-", influx.database, "")
    good = Points("studio")(house.reader.frames_after(0, 1), house.reader)
    writer.write(good)
    writer.close()
    house.sink(influx.url, influx.database, points=Spoiled(Points("studio"), text))
    wait_until(house.caught_up, "the sink to catch up", within_s=30)
    assert one(influx, "count(index_bars)") == 800
    wait_until(house.reader.aside, "the line aside")
    topic, reason, _, payload = house.reader.aside()[0]
    assert (topic, payload.strip()) == ("sink/influx", text)
    assert "field type conflict" in reason
    assert progress_of(house.path).rejected == 1


class Spoiled:
    """A converter with one wrong line."""

    def __init__(self, points, text):
        self._points, self._text = points, text

    def ready(self, *arguments):
        found = self._points.ready(*arguments)
        if found is not None and self._text:
            found, self._text = found._replace(lines=found.lines + self._text + b"\n"), b""
        return found

    def of_span(self, *arguments):
        return self._points.of_span(*arguments)


def test_a_correction_reaches_samples_stamped_before_the_clock_was_set_back(house):
    rows = list(frame_rows(load(10.0)))
    back_us = 8_000_000
    turned = [
        row._replace(utc_us=row.utc_us - back_us, utc_last_us=row.utc_last_us - back_us) for row in rows[60:]
    ]
    house.store(Batch(frames=rows[:60] + turned))
    reader = SafetyReader(house.path)
    written = lanes.Lanes(reader.highest_frame_id())
    _, seen = affected(reader, None, written)
    house.store(Batch(parameters=[("room-1", T0 + 1_000_000, to_json(params(weight_kg=90.0)))]))
    (found,), _ = affected(reader, seen, written)
    reader.close()
    assert (found.from_us, found.to_us) == (T0 + 1_000_000, rows[59].utc_last_us + 1)


def test_sessions_alarms_incidents_and_health_have_measurements_of_their_own(house, influx):
    session = {
        "id": "s-1", "rig": "room-1", "therapist": "A", "client_code": "C7", "started_us": T0,
        "started_by": "A", "started_from": "page", "terms": {}, "ended_us": None,
    }  # fmt: skip
    incident = {"id": "incident-1", "from_us": T0, "to_us": T0 + 25_000_000, "context": {}, "triggers": [
        {"at_us": T0, "key": "fall", "note": ""}]}  # fmt: skip
    entry, head = append(None, utc_us=T0, kind="genesis", who="host", data={})
    entries = [entry]
    for key in ("fall", "overload:left-head"):  # at one moment
        data = {"rig": "room-1", "session": "s-1", "key": key, "cause": "raise", "before": "normal",
                "after": "unacknowledged", "priority": "high", "note": ""}  # fmt: skip
        entry, head = append(head, utc_us=T0 + 5, kind="alarm", who="host", data=data)
        entries.append(entry)
    health = json.dumps(
        {"boot": 7, "uptime_s": 12, "rssi_dbm": -61.0, "samples": 960, "desync": [1, 0, 2, 0]}
    )
    row = ("s-1", "room-1", "A", "C7", T0, None, json.dumps(session))
    house.store(Batch(frames=list(frame_rows(load(2.0))), statements=[
        (safety.SESSION, [row]),
        (safety.LOG, [(each.seq, to_line(each).decode()) for each in entries]),
        (safety.INCIDENT, [("room-1", "i-1", T0, T0 + 25_000_000, 0, "s-1", json.dumps(incident))]),
        (sinks.HEALTH, [(1, T0, health)]),
    ]))  # fmt: skip
    house.sink(influx.url, influx.database)
    wait_until(
        lambda: influx.query("SELECT * FROM health") and influx.query("SELECT * FROM incident"), "points"
    )
    assert [row["key"] for row in influx.query("SELECT * FROM alarm")] == ["fall", "overload:left-head"]
    assert influx.query("SELECT * FROM health")[0]["desync"] == 3
    assert influx.query("SELECT * FROM session")[0]["ended"] is False
    wait_until(house.caught_up, "the samples")
    assert one(influx, "count(index_bars)", "WHERE session = 's-1'") == 160
    ended = (*row[:5], T0 + 60_000_000, json.dumps(session | {"ended_us": T0 + 60_000_000}))
    house.store(Batch(statements=[(safety.SESSION, [ended])]))
    wait_until(lambda: influx.query("SELECT * FROM session")[0]["ended"], "the end of the session")
    rows = influx.query("SELECT * FROM session")
    assert [(row["duration_s"], row["therapist"]) for row in rows] == [(60.0, "A")]
    assert not any("C7" in str(value) for value in rows[0].values())
    tags = {tag for name in ("load", "alarm", "session", "incident", "health")
            for tag in (row["tagKey"] for row in influx.query(f"SHOW TAG KEYS FROM {name}"))}  # fmt: skip
    assert tags == {"studio", "rig"}
