"""When the pipeline looks at samples, in time of the test's own: never what they come to."""

import time

import msgspec
import numpy as np
import pytest
from ashibar.core.codes import Code
from ashibar.core.quiet import HELD_US
from ashibar.core.requests import SessionStart
from ashibar.live import TREND_POINTS
from ashibar.pipeline import BEAT_S, FIGURE_AGAIN_S
from ashibar.service.rig_service import MOST_HELD
from nodes import SPAN_N_PER_COUNT, ZERO_COUNT, frame
from virtual import KG, ROOT, SAMPLES, Inbound

SESSION = msgspec.convert({"by": "Mei", "therapist": "Mei", "client_code": "A-17"}, SessionStart)


@pytest.fixture
def working(virtual):
    """A host with somebody at work on room-1 for some seconds, whom nobody watches."""
    virtual.play(3, (8, 8, 8, 8))
    virtual.pipeline._evaluate("room-1", virtual.now_us)
    return virtual


def next_frame(host, samples=10, kg=8, *, unreadable=False):
    """Move time on by a frame that changes no alarm; return its message. Its last sample may be bad."""
    host.index = getattr(host, "index", host.seq * SAMPLES)
    force_n = kg * KG + np.random.default_rng(host.seq).normal(0, 0.3, (samples, 4))
    counts = np.rint(force_n / SPAN_N_PER_COUNT).astype("<i4") + ZERO_COUNT
    if unreadable:
        counts[-1, 0] = Code.NOT_READY
    device_us = host.index * 12_500
    payload = frame(
        host.boot, host.seq, samples=samples, counts=counts.reshape(-1), index=host.index, device_us=device_us
    )
    host.seq, host.index, host.now_us = host.seq + 1, host.index + samples, host.now_us + samples * 12_500
    return Inbound(f"{ROOT}/samples", payload, 0, 1, False, host.now_us, host.now_us, 0)


def evaluated(host):
    return host.pipeline.samples_evaluated


def light(host):
    return host.daemon.side.service.display(host.daemon.rigs_live[0], "server", host.now_us)


def test_samples_that_change_nothing_wait_for_each_other_until_the_room_ends(working):
    before, now_s = evaluated(working), time.monotonic()
    room_us = working.rig._room.until_us
    while working.now_us + 125_000 < room_us:
        working.pipeline.turn([next_frame(working)], now_s)
        working.pipeline.turn([], now_s + BEAT_S)
        assert evaluated(working) == before
    assert room_us - working.rig.alarms.last_us <= HELD_US
    working.pipeline.turn([next_frame(working)], now_s + 2 * BEAT_S)
    assert evaluated(working) >= before + 10


def test_samples_held_are_evaluated_when_no_more_of_them_come(working):
    before, now_s = evaluated(working), time.monotonic()
    working.pipeline.turn([next_frame(working)], now_s)
    working.now_us = working.rig._room.until_us
    working.pipeline.turn([], now_s + BEAT_S)
    assert evaluated(working) == before + 10


def test_the_light_goes_on_with_samples_that_wait_as_if_they_were_evaluated(working):
    for number in range(3):
        working.pipeline.turn([next_frame(working, kg=8 + number / 20)], time.monotonic())
    held = light(working)
    assert working.daemon.rigs_live[0].held == 30
    working.rig.look(working.now_us)
    looked = light(working)
    assert held.fraction == pytest.approx(looked.fraction, abs=1e-3)
    assert (held.validity, held.age_s, held.band) == (looked.validity, looked.age_s, looked.band)


def test_no_data_is_not_told_while_samples_come_and_wait(working):
    for _ in range(12):
        working.pipeline.turn([next_frame(working)], time.monotonic())
    assert working.rig._truths(working.now_us)["no-data"] is False


def test_a_frame_that_does_not_follow_the_one_before_does_not_wait(working):
    before = evaluated(working)
    working.pipeline.turn([next_frame(working)], time.monotonic())
    next_frame(working)  # lost on its way
    working.pipeline.turn([next_frame(working)], time.monotonic())
    assert evaluated(working) == before + 20


def test_the_frame_after_an_unreadable_sample_is_looked_at_at_once(working):
    before = evaluated(working)
    working.pipeline.turn([next_frame(working, unreadable=True)], time.monotonic())
    assert evaluated(working) == before + 10
    assert light(working).validity == "fault"
    working.pipeline.turn([next_frame(working)], time.monotonic())
    assert evaluated(working) == before + 20
    assert light(working).validity == "valid"


def test_samples_are_evaluated_before_what_somebody_asks_is_done(working):
    before = evaluated(working)
    working.pipeline.turn([next_frame(working)], time.monotonic())
    answer = working.daemon.side.desk.ask(SESSION)
    working.pipeline.turn([], time.monotonic())
    assert evaluated(working) == before + 10
    assert answer.result(timeout=10)


def test_many_samples_do_not_wait(working):
    before = evaluated(working)
    working.pipeline.turn([next_frame(working) for _ in range(MOST_HELD // 10)], time.monotonic())
    assert evaluated(working) == before + MOST_HELD


def test_a_figure_that_comes_too_soon_for_the_page_is_shown_as_soon_as_it_may(working):
    assert working.daemon.feed.snapshot("room-1") is not None  # whoever asks watches for a while
    working.pipeline.turn([next_frame(working)], time.monotonic())
    working.pipeline.turn([next_frame(working)], time.monotonic())
    seen = working.daemon.feed.snapshot("room-1")["newest"]["bars-1"]["index"]
    wait_s = working.pipeline._wait_s(time.monotonic())
    assert wait_s <= FIGURE_AGAIN_S
    working.pipeline.turn([], time.monotonic() + wait_s)
    assert working.daemon.feed.snapshot("room-1")["newest"]["bars-1"]["index"] == seen + 10


def test_of_a_backlog_of_minutes_only_what_the_page_draws_waits_as_points(working):
    for _ in range(4):
        working.pipeline.turn([next_frame(working, samples=250) for _ in range(32)], time.monotonic())
    rig = working.daemon.rigs_live[0]
    times_ms = [point[0] for point in rig.envelope(working.now_us, working.daemon.ingest.nodes)["trend"]]
    assert 600 <= len(times_ms) <= TREND_POINTS
    assert 0 <= rig.newest_us // 1000 - times_ms[-1] <= 200
    assert times_ms[-1] - times_ms[0] >= 60_000
    assert rig.envelope(working.now_us, working.daemon.ingest.nodes)["trend"] == []
