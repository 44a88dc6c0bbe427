"""Which messages wait for others: frames within their span of rigs nobody watches, and nothing else."""

import numpy as np
import pytest
from ashibar.core.alarm_conditions import FALL_RISE_N
from ashibar.core.quiet import Edges, Span
from ashibar.urgency import Urgency
from nodes import frame

CELLS = (0, 1, 2, 3)
SPAN = Span(1, CELLS, (Edges(0, 9000, 1000, 2000, 0.1),) * 4, FALL_RISE_N)
CALM = np.tile([1100, 1900], 20)
FRAME_US = 125_000


@pytest.fixture
def urgency():
    made = Urgency("quiet-room", {"room-1": ("bars-1",), "room-2": ("bars-1", "bars-2")})
    made.say("room-1", {"bars-1": SPAN})
    made.say("room-2", {"bars-1": SPAN, "bars-2": None})
    return made


def judged(urgency, payload, node="bars-1", kind="samples", utc_us=1_000_000):
    return urgency.judge(f"ashibar/v1/quiet-room/{node}/{kind}", payload, utc_us)


def of(counts, **more):
    counts = np.asarray(counts).reshape(10, 4) + np.arange(10)[:, None]
    return frame(7, 0, counts=counts.reshape(-1), **more)


def calm(**more):
    return of(CALM, **more)


def test_a_frame_within_the_span_waits(urgency):
    assert judged(urgency, calm()) == (False, ())


@pytest.mark.parametrize(("at", "count"), [(0, -1), (39, 9001), (17, -0x800003)])
def test_one_count_outside_hurries_every_rig_on_the_node(urgency, at, count):
    for number in range(4):
        assert not judged(urgency, calm(), utc_us=1_000_000 + number * FRAME_US).urgent
    counts = (CALM.reshape(10, 4) + np.arange(10)[:, None]).reshape(-1)
    counts[at] = count
    late_us = 1_000_000 + 4 * FRAME_US
    assert judged(urgency, frame(7, 0, counts=counts), utc_us=late_us) == (True, ("room-1", "room-2"))


def moving(urgency, steps):
    """Tell of each frame whether it is urgent; the cells move by `steps` counts from frame to frame."""
    found, level = [], 1500
    for number, step in enumerate(steps):
        level += step
        payload = of(np.full(40, level), calibration=1)
        found.append(judged(urgency, payload, utc_us=500_000 + number * FRAME_US).urgent)
    return found


def test_a_load_that_moves_slowly_beyond_its_still_range_waits(urgency):
    assert moving(urgency, [0] * 4 + [150] * 6) == [False] * 10


def test_a_rise_that_may_be_a_fall_does_not_wait(urgency):
    counts = round(FALL_RISE_N / 4 / 0.1)
    assert moving(urgency, [0] * 4 + [counts // 2, counts // 2, 0])[4:] == [False, True, True]
    assert moving(urgency, [0] * 4 + [counts])[-1]


def test_what_was_before_is_to_be_known_where_it_matters(urgency):
    assert moving(urgency, [600, 0, 0, 0, 0]) == [True, True, True, False, False]


def test_a_cell_that_reads_one_value_only_does_not_wait(urgency):
    assert judged(urgency, frame(7, 0, counts=CALM)).urgent


def test_a_frame_whose_node_has_no_span_does_not_wait(urgency):
    assert judged(urgency, calm(), node="bars-2") == (True, ("room-2",))


def test_a_span_does_not_outlive_its_calibration_or_the_live_stream(urgency):
    assert judged(urgency, calm(calibration=2)).urgent
    assert judged(urgency, calm(flags=1)).urgent


def test_what_somebody_watches_does_not_wait(urgency):
    urgency.watch(frozenset({"room-2"}))
    assert judged(urgency, calm()) == (True, ("room-2",))
    urgency.watch(frozenset())
    assert not judged(urgency, calm()).urgent


@pytest.mark.parametrize("payload", [b"", b"AB", calm()[:40], calm()[:-4], bytes(200)])
def test_what_is_no_frame_does_not_wait(urgency, payload):
    assert judged(urgency, payload).urgent


def test_weight_and_health_wait_and_other_messages_do_not(urgency):
    assert not judged(urgency, b"{}", kind="weight").urgent
    assert not judged(urgency, b"{}", kind="health").urgent
    assert judged(urgency, b"{}", kind="state") == (True, ())
    assert judged(urgency, b"{}", kind="about", node="unheard-of").urgent
    assert judged(urgency, b"{}", kind="samples", node="unheard-of").urgent


def test_what_is_not_looked_at_hurries_every_rig_on_the_node(urgency):
    assert urgency.unjudged("ashibar/v1/quiet-room/bars-1/samples") == (True, ("room-1", "room-2"))
    assert urgency.unjudged("ashibar/v1/quiet-room/bars-1/about") == (True, ())
