"""Writing to InfluxDB when it refuses, stalls or is somebody else: nothing lost, nothing shown."""

import json
import logging
import threading
import time

import numpy as np
import pytest
from ashibar.core.line_protocol import Field, lines
from ashibar.io.influx import InfluxWriter, PausedError, SinkError
from ashibar.io.influx import writer as module
from ashibar.io.influx.lanes import Lanes
from ashibar.io.influx.sink import RETRY_MAX_S, InfluxSink, _delay_s
from hypothesis import given
from hypothesis import strategies as st
from influx_http import Between

TOKEN = "s3cret-t0ken"


@pytest.fixture
def between(influx):
    between = Between(influx.url)
    yield between
    between.stop()


@pytest.fixture
def writer(between, influx):
    writer = InfluxWriter(between.url, "-", influx.database, TOKEN)
    yield writer
    writer.close()


def numbered(count, first=0):
    return lines("m", {"rig": "r"}, [Field("x", np.arange(count) + first)], np.arange(count) + first + 1)


def stored(influx):
    rows = influx.query("SELECT count(x) FROM m")
    return rows[0]["count"] if rows else 0


def test_wrong_lines_are_taken_out_and_the_rest_is_stored(writer, influx):
    good = numbered(300).splitlines(keepends=True)
    body = b"".join([*good[:99], b"nonsense\n", *good[99:250], b'm,rig=r x="text" 7000\n', *good[250:]])
    written = writer.write(body)
    assert [each.line for each in written.rejected] == [b"nonsense\n", b'm,rig=r x="text" 7000\n']
    assert "unable to parse" in written.rejected[0].reason
    assert "field type conflict" in written.rejected[1].reason
    assert written.points == 300
    assert stored(influx) == 300


def refusing(requests, status=400):
    """Answer so many writes with a refusal of the whole, then pass them on."""
    left = [requests]

    def answer(_method, path, _query, _body):
        left[0] -= path == "/api/v2/write"
        return (status, {}, b'{"message":"injected"}') if left[0] >= 0 else None

    return answer


def patiently(writer, body):
    """Write until it is done, as the sink does."""
    while True:
        try:
            return writer.write(body)
        except SinkError:
            continue


@pytest.mark.parametrize("requests", [1, 9, 10, 11, 12, 13, 40])
@pytest.mark.parametrize("status", [400, 422])
def test_refusals_that_pass_cost_no_line(between, writer, influx, requests, status):
    writer.write(numbered(100))
    between.answer = refusing(requests, status)
    written = patiently(writer, numbered(400, first=100))
    assert written.rejected == []
    assert stored(influx) == 500


def test_refusals_of_the_very_first_write_cost_no_line(between, writer, influx):
    between.answer = refusing(60)
    written = patiently(writer, numbered(40))
    assert written.rejected == []
    assert stored(influx) == 40


def test_a_wrong_line_alone_is_told_from_a_server_that_refuses_everything(between, writer):
    writer.write(numbered(10))
    assert [each.line for each in writer.write(b"nonsense\n").rejected] == [b"nonsense\n"]
    between.answer = refusing(10**6)
    with pytest.raises(SinkError, match="not the lines"):
        writer.write(b"nonsense\n")


def test_a_line_taken_before_that_is_beyond_the_retention_now_still_tells(writer, influx):
    writer.write(numbered(10))
    influx.retain(3600)
    assert [each.line for each in writer.write(b"nonsense\n").rejected] == [b"nonsense\n"]


def test_a_bucket_that_refuses_everything_pauses_with_the_reason(writer):
    writer.write(b'm,rig=r x="text" 1\n')
    with pytest.raises(PausedError, match=r"field type conflict.*not the lines"):
        writer.write(numbered(500))
    assert writer.requests < 400


def test_points_older_than_the_retention_are_counted_and_not_tried_again(writer, influx):
    influx.retain(3600)
    written = writer.write(numbered(20))
    assert (written.points, written.too_old, written.rejected) == (0, 20, [])
    assert writer.requests == 1


def test_of_a_write_that_reaches_beyond_the_retention_what_is_younger_counts_as_written(writer, influx):
    influx.retain(3600)
    now_us = time.time_ns() // 1000
    young = lines("m", {"rig": "r"}, [Field("x", np.arange(100))], now_us + np.arange(100))
    written = writer.write(numbered(20) + young)
    assert (written.points, written.too_old, written.rejected) == (100, 20, [])
    assert writer.requests == 1
    assert stored(influx) == 100


# What 1.8.3 and 2.7.8 say, and 1.13.2 and 2.8.0, with names of points as long as they may be.
TOO_OLD = (
    "partial write: points beyond retention policy dropped=3",
    "partial write: dropped 3 points outside retention policy of duration 12h0m0s - oldest point m,rig=r at"
    " 1970-01-01T00:00:00Z dropped because it violates a Retention Policy Lower Bound at"
    " 2026-11-28T09:00:00Z, newest point" + " m,rig=r" * 40 + " dropped=3",
)


@pytest.mark.parametrize("words", TOO_OLD, ids=["beyond", "outside"])
def test_points_too_old_are_known_by_the_words_of_every_server(between, writer, words):
    between.answer = lambda *_: (400, {}, json.dumps({"error": words}).encode())
    written = writer.write(numbered(10))
    assert (written.points, written.too_old, written.rejected, writer.requests) == (7, 3, [], 1)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_only_a_person_can_mend_pauses_at_once(between, writer, status):
    between.answer = lambda *_: (status, {}, b'{"message":"no"}')
    with pytest.raises(PausedError, match=str(status)):
        writer.write(numbered(100))
    assert writer.requests == 1


def test_a_request_too_large_is_halved_until_it_fits(between, writer, influx):
    between.answer = lambda _m, _p, _q, body: (413, {}, b"too large") if len(body) > 3000 else None
    assert writer.write(numbered(1000)).points == 1000
    assert stored(influx) == 1000
    assert max(len(body) for body in between.writes[-3:]) <= 3000


def test_a_server_too_slow_for_large_writes_gets_smaller_ones(between, influx, monkeypatch):
    monkeypatch.setattr(module, "ANSWER_TIMEOUT_MS", 300)
    writer = InfluxWriter(between.url, "-", influx.database, TOKEN)
    gate = threading.Event()

    def answer(_method, _path, _query, body):
        if body.count(b"\n") > 300:
            gate.wait(1.0)

    between.answer = answer
    assert writer.write(numbered(1000)).points == 1000
    gate.set()
    writer.close()
    assert stored(influx) == 1000


def test_retry_after_is_honoured_as_number_and_as_date(between, writer):
    between.answer = lambda *_: (429, {"Retry-After": "17"}, b"slow down")
    with pytest.raises(SinkError, match="429") as caught:
        writer.write(numbered(1))
    assert caught.value.retry_after_s == 17
    assert _delay_s(caught.value, 1) == 17
    between.answer = lambda *_: (503, {"Retry-After": "Fri, 31 Dec 2100 23:59:59 GMT"}, b"")
    with pytest.raises(SinkError) as caught:
        writer.write(numbered(1))
    assert caught.value.retry_after_s == 3600


@given(st.integers(1, 10_000))
def test_waiting_doubles_within_bounds(failures):
    assert 0.125 <= _delay_s(SinkError("no"), failures) <= RETRY_MAX_S


def test_the_token_is_in_no_message_and_no_log(between, influx, caplog):
    caplog.set_level(logging.DEBUG)
    between.answer = lambda *_: (500, {}, f"Authorization: Token {TOKEN} failed".encode())
    writer = InfluxWriter(between.url, "-", influx.database, TOKEN)
    with pytest.raises(SinkError) as caught:
        writer.write(numbered(1))
    assert "***" in str(caught.value)
    assert caught.value.__cause__ is None
    writer.close()
    sink = InfluxSink(influx.directory, writer, None, lambda _: None)
    sink._look = lambda _: None
    sink._complain(ValueError(f"Invalid header value b'Token {TOKEN}'"), None)
    with pytest.raises(PausedError, match="printable") as caught:
        InfluxWriter(between.url, "-", "b", f"{TOKEN}\nX: y")
    assert TOKEN not in "".join([caplog.text, str(caught.value), str(sink.problem)])
    assert any(headers.get("Authorization") == f"Token {TOKEN}" for _, _, _, headers, _ in between.seen)


steps = st.lists(
    st.tuples(st.sampled_from(["grow", "live", "old", "restart"]), st.integers(1, 9000)), max_size=40
)


@given(steps)
def test_the_two_lanes_write_every_frame_once_whatever_the_order(moves):
    lanes, newest, written = Lanes(0), 0, []
    for what, count in moves:
        if what == "grow":
            newest += count
            lanes.follow(newest)
        elif what == "live" and lanes.live < newest:
            last = min(lanes.live + count, newest)
            written.append((lanes.live, last))
            lanes.wrote_live(last)
        elif what == "old" and lanes.hole is not None:
            first, end = lanes.hole
            last = min(first + count, end)
            written.append((first, last))
            lanes.wrote_old(last)
        else:
            lanes = Lanes.restored(lanes.cursor, lanes.state)
        assert lanes.behind(newest) == newest - sum(last - first for first, last in written)
    while lanes.hole is not None:
        first, end = lanes.hole
        written.append((first, end))
        lanes.wrote_old(end)
    ends = 0
    for first, last in sorted(each for each in written if each[0] < each[1]):
        assert first == ends
        ends = last
    assert ends == lanes.cursor
