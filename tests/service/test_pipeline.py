"""When the pipeline looks at samples, in time of the test's own: never what they come to."""

import time

import msgspec
import numpy as np
import pytest
from ashibar.core.requests import SessionStart
from ashibar.pipeline import BEAT_S, FIGURE_AGAIN_S
from nodes import SPAN_N_PER_COUNT, ZERO_COUNT, frame
from virtual import KG, ROOT, SAMPLES, Inbound

SESSION = msgspec.convert({"by": "Mei", "therapist": "Mei", "client_code": "A-17"}, SessionStart)


@pytest.fixture
def working(virtual):
    """A host with somebody at work on room-1 for some seconds, whom nobody watches."""
    virtual.play(3, (8, 8, 8, 8))
    virtual.turn()
    return virtual


def next_frame(host, samples=10):
    """Move time on by a frame that changes no alarm; return its message."""
    host.index = getattr(host, "index", host.seq * SAMPLES)
    force_n = 8 * KG + np.random.default_rng(host.seq).normal(0, 0.3, (samples, 4))
    counts = np.rint(force_n / SPAN_N_PER_COUNT).astype("<i4") + ZERO_COUNT
    device_us = host.index * 12_500
    payload = frame(
        host.boot, host.seq, samples=samples, counts=counts.reshape(-1), index=host.index, device_us=device_us
    )
    host.seq, host.index, host.now_us = host.seq + 1, host.index + samples, host.now_us + samples * 12_500
    return Inbound(f"{ROOT}/samples", payload, 0, 1, False, host.now_us, host.now_us, 0)


def evaluated(host):
    return host.pipeline.samples_evaluated


def test_samples_that_change_nothing_wait_for_the_beat(working):
    before, now_s = evaluated(working), time.monotonic()
    working.pipeline.turn([next_frame(working)], now_s)
    assert evaluated(working) == before
    working.pipeline.turn([], now_s + BEAT_S)
    assert evaluated(working) == before + 10


def test_samples_are_evaluated_before_what_somebody_asks_is_done(working):
    before = evaluated(working)
    working.pipeline.turn([next_frame(working)], time.monotonic())
    answer = working.daemon.side.desk.ask(SESSION)
    working.pipeline.turn([], time.monotonic())
    assert evaluated(working) == before + 10
    assert answer.result(timeout=10)


def test_many_samples_do_not_wait(working):
    before = evaluated(working)
    working.pipeline.turn([next_frame(working) for _ in range(4)], time.monotonic())
    assert evaluated(working) == before + 40


def test_a_figure_that_comes_too_soon_for_the_page_is_shown_as_soon_as_it_may(working):
    assert working.daemon.feed.snapshot("room-1") is not None  # whoever asks watches for a while
    working.pipeline.turn([next_frame(working)], time.monotonic())
    working.pipeline.turn([next_frame(working)], time.monotonic())
    seen = working.daemon.feed.snapshot("room-1")["newest"]["bars-1"]["index"]
    wait_s = working.pipeline._wait_s(time.monotonic())
    assert wait_s <= FIGURE_AGAIN_S
    working.pipeline.turn([], time.monotonic() + wait_s)
    assert working.daemon.feed.snapshot("room-1")["newest"]["bars-1"]["index"] == seen + 10
