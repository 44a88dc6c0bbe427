"""Which messages wait for others: frames within their span of rigs nobody watches, and nothing else."""

import numpy as np
import pytest
from ashibar.core.quiet import Span
from ashibar.io.mqtt import Inbound
from ashibar.urgency import Urgency
from nodes import frame

SPAN = Span(1, (0, 1, 2, 3), (1000,) * 4, (2000,) * 4, 2_000_000)
CALM = np.tile([1100, 1900], 20)


@pytest.fixture
def urgency():
    made = Urgency("quiet-room", {"room-1": ("bars-1",), "room-2": ("bars-1", "bars-2")})
    made.say("room-1", {"bars-1": SPAN})
    made.say("room-2", {"bars-1": SPAN, "bars-2": None})
    return made


def message(payload, node="bars-1", kind="samples", utc_us=1_000_000):
    return Inbound(f"ashibar/v1/quiet-room/{node}/{kind}", payload, 1, 1, False, utc_us, utc_us, 1)


def calm(**more):
    counts = CALM.reshape(10, 4) + np.arange(10)[:, None]
    return frame(7, 0, counts=counts.reshape(-1), **more)


def test_a_frame_within_the_span_waits(urgency):
    assert urgency.hurried(message(calm())) == []
    assert not urgency.is_urgent(message(calm()))


@pytest.mark.parametrize(("at", "count"), [(0, 999), (39, 2001), (17, -0x800003)])
def test_one_count_outside_hurries_every_rig_on_the_node(urgency, at, count):
    counts = (CALM.reshape(10, 4) + np.arange(10)[:, None]).reshape(-1)
    counts[at] = count
    assert urgency.hurried(message(frame(7, 0, counts=counts))) == ["room-1", "room-2"]


def test_a_cell_that_reads_one_value_only_does_not_wait(urgency):
    assert urgency.is_urgent(message(frame(7, 0, counts=CALM)))


def test_a_frame_whose_node_has_no_span_does_not_wait(urgency):
    assert urgency.hurried(message(calm(), node="bars-2")) == ["room-2"]


def test_a_span_does_not_outlive_its_time_its_calibration_or_the_live_stream(urgency):
    assert urgency.is_urgent(message(calm(), utc_us=2_000_000))
    assert urgency.is_urgent(message(calm(calibration=2)))
    assert urgency.is_urgent(message(calm(flags=1)))


def test_what_somebody_watches_does_not_wait(urgency):
    urgency.watch(frozenset({"room-2"}))
    assert urgency.hurried(message(calm())) == ["room-2"]
    urgency.watch(frozenset())
    assert not urgency.is_urgent(message(calm()))


@pytest.mark.parametrize("payload", [b"", b"AB", calm()[:40], calm()[:-4], bytes(200)])
def test_what_is_no_frame_does_not_wait(urgency, payload):
    assert urgency.is_urgent(message(payload))


def test_weight_and_health_wait_and_other_messages_do_not(urgency):
    assert not urgency.is_urgent(message(b"{}", kind="weight"))
    assert not urgency.is_urgent(message(b"{}", kind="health"))
    assert urgency.is_urgent(message(b"{}", kind="state"))
    assert urgency.is_urgent(message(b"{}", kind="about", node="unheard-of"))
    assert urgency.is_urgent(message(b"{}", kind="samples", node="unheard-of"))
