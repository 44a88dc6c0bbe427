"""The InfluxDB sink behind the journal's cursor, against the real engine, read back by InfluxQL."""

import json
import urllib.request

import numpy as np
import pytest
from ashibar.core import chain, requests
from ashibar.core.config import check
from ashibar.daemon import Daemon
from ashibar.io.influx import InfluxWriter, RejectedError, SinkError
from ashibar.io.journal import Reader, SafetyReader
from ashibar.points import Points
from nodes import TestNode, document
from servers import wait_until


@pytest.fixture
def host(mosquitto, influx, tmp_path):
    (tmp_path / "token").write_text("any")
    (tmp_path / "token").chmod(0o600)
    section = {"url": influx.url, "bucket": influx.database, "token_file": str(tmp_path / "token")}
    daemon = Daemon(check(document(mosquitto.port, tmp_path / "journal.sqlite", influx=section)))
    daemon.start()
    assert daemon.link.wait_connected(10)
    daemon.reader = Reader(tmp_path / "journal.sqlite")
    yield daemon
    daemon.reader.close()
    daemon.stop()


@pytest.fixture
def node(mosquitto, host):
    assert host.link.connected
    node = TestNode(mosquitto.port)
    yield node
    node.stop()


def caught_up(host):
    newest = host.reader.highest_frame_id()
    return newest and host.reader.cursor("influx") == newest


def points(influx):
    return influx.query("SELECT count(client_load_n) FROM load")[0]["count"]


def test_every_sample_is_one_line_with_the_forces_of_its_counts(host, node, influx):
    rng = np.random.default_rng(1)
    counts = {}
    for seq in range(60):
        counts[seq] = rng.integers(1000, 200_000, 8).astype("<i4")
        node.play(1, first=seq, counts=counts[seq])
    wait_until(lambda: node.upto == 59 and caught_up(host), "the sink to catch up")
    rows = influx.query("SELECT * FROM load ORDER BY time")
    forces = (np.concatenate([counts[seq].reshape(2, 4) for seq in range(60)]) - 1000) * 0.001
    stored = np.array(
        [
            [row[f"{name}_n"] for name in ("left_head", "left_foot", "right_head", "right_foot")]
            for row in rows
        ]
    )
    assert stored == pytest.approx(forces, abs=6e-4)  # written in mN
    assert [row["bar_load_n"] for row in rows] == pytest.approx(forces.sum(axis=1).tolist(), abs=6e-4)
    loads = 60 * 9.80665 - forces.sum(axis=1)
    assert [row["client_load_n"] for row in rows] == pytest.approx(loads.tolist(), abs=6e-4)
    assert {(row["studio"], row["rig"]) for row in rows} == {("quiet-room", "room-1")}
    assert all(row["client_load_u_n"] > 0 and row["validity"] in ("valid", "motion") for row in rows)


def test_the_last_point_is_the_live_figure_of_that_sample(host, node, influx):
    node.play(60, counts=np.tile([21_000, 31_000, 41_000, 51_000], 2))
    shown = host.feed.snapshot("room-1")["figure"]
    wait_until(lambda: node.upto == 59 and caught_up(host), "the sink to catch up")
    row = influx.query("SELECT * FROM load ORDER BY time DESC LIMIT 1")[0]
    assert row["client_load_n"] == pytest.approx(shown["client"]["value_n"], abs=6e-4)
    assert 2 * row["client_load_u_n"] == pytest.approx(shown["client"]["u_n"], abs=0.5)
    stamp = host.reader.frames_of(1, 7)[-1].row.utc_last_us
    assert row["time"] == stamp


def test_influxdb_down_for_some_seconds_loses_and_doubles_nothing(host, node, influx):
    node.play(60)
    influx.kill()
    node.play(120, first=60)
    wait_until(lambda: any("InfluxDB" in reason for reason in host.ready()[1]), "readiness to say so")
    assert not host.ready()[0]
    influx.start()
    node.play(20, first=180)
    wait_until(lambda: node.upto == 199 and caught_up(host), "the sink to catch up", within_s=30)
    assert points(influx) == 400
    times = [row["time"] for row in influx.query("SELECT client_load_n FROM load")]
    assert len(set(times)) == 400


def test_a_write_done_again_changes_nothing(host, node, influx):
    node.play(60)
    wait_until(lambda: node.upto == 59 and caught_up(host), "the sink to catch up")
    before = influx.query("SELECT * FROM load")
    lines = Points("quiet-room")(host.reader.frames_after(0, 1000), host.reader)
    writer = InfluxWriter(influx.url, "-", influx.database, "any")
    assert writer.write(lines).points == 120
    writer.close()
    assert influx.query("SELECT * FROM load") == before


def test_a_corrected_body_weight_is_in_influxdb_and_in_the_log(host, node, influx):
    given = requests.WeightGiven(value_n=60 * 9.80665, source="scale")
    start = requests.SessionStart(by="A", therapist="A", client_code="C1", weight=given)
    node.play(4)
    host.side.desk.ask(start).result(10)
    node.play(280, first=4)
    wait_until(lambda: node.upto == 283 and caught_up(host), "the sink to catch up")
    log = SafetyReader(host.journal.path)
    weight = chain.from_line(log.log_of(kinds=("weight",))[0])
    fix = requests.CorrectionGiven(by="A", seq=weight.seq, why="misread", data={"value_n": 62 * 9.80665})
    host.side.desk.ask(fix).result(10)
    wait_until(lambda: log.log_of(kinds=("influxdb-recomputed",)), "the log to say so")
    log.close()
    rows = influx.query("SELECT client_load_n, bar_load_n, session FROM load WHERE session != ''")
    assert len(rows) > 500
    sums = {round((row["client_load_n"] + row["bar_load_n"]) / 9.80665, 2) for row in rows[5:]}
    assert sums == {62.0}
    with pytest.raises(ValueError, match="body weight"):
        host.side.desk.ask(
            requests.CorrectionGiven(by="A", seq=weight.seq, why="no", data={"value_n": 5.0})
        ).result(10)


def test_a_calibration_corrected_through_the_service_is_in_influxdb_and_in_the_log(host, node, influx):
    counts = np.tile([11_000, 21_000, 31_000, 41_000], 2)
    node.play(420, counts=counts)  # 10.5 s
    wait_until(lambda: node.upto == 419 and caught_up(host), "the sink to catch up")
    before = influx.query("SELECT count(left_head_n), max(left_head_n), max(bar_load_n) FROM load")[0]
    assert (before["count"], before["max"], before["max_1"]) == (840, 10.0, 100.0)
    cells = [{"zero_count": 1000, "span_n_per_count": 0.00102}] * 4  # 2 % more than was entered
    content = {
        "by": "A", "seq": 0, "why": "the reference mass was weighed again",
        "data": {"calibration": {"node": "bars-1", "id": 1, "cells": cells}},
    }  # fmt: skip
    request = urllib.request.Request(f"{host.url}api/v1/log/corrections", json.dumps(content).encode())
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=10) as answer:
        entry = json.load(answer)
    assert (entry["kind"], entry["data"]["corrects"]) == ("correction", 0)
    log = SafetyReader(host.journal.path)
    (line,) = wait_until(lambda: log.log_of(kinds=("influxdb-recomputed",)), "the log to say so")
    log.close()
    said = chain.from_line(line).data
    assert (said["rig"], said["why"], said["points"]) == ("room-1", "calibration 1 of bars-1", 840)
    wait_until(lambda: caught_up(host) and host.sink.status.recomputing == 0, "the rest")
    after = influx.query(
        "SELECT count(left_head_n), min(left_head_n), min(bar_load_n), max(bar_load_n) FROM load"
    )[0]
    assert (after["count"], after["min"]) == (840, pytest.approx(10.2))
    assert (after["min_1"], after["max"]) == (pytest.approx(102.0), pytest.approx(102.0))


def test_the_account_says_how_far_influxdb_is(host, node):
    node.play(60)
    wait_until(lambda: node.upto == 59 and caught_up(host), "the sink to catch up")
    wait_until(lambda: host.accounting()["influxdb"]["behind"] == 0, "the status")
    assert host.accounting()["influxdb"]["points"] >= 120  # and alarms, as points of their own


def test_a_wrong_line_is_refused_with_the_servers_words(influx):
    writer = InfluxWriter(influx.url, "-", influx.database, "")
    with pytest.raises(RejectedError, match="unable to parse"):
        writer.post(b"load nothing")
    writer.close()


def test_a_server_that_is_not_there_is_named():
    writer = InfluxWriter("http://127.0.0.1:9", "-", "b", "")
    with pytest.raises(SinkError, match="is it running"):
        writer.write(b"load x=1 1")
    writer.close()
