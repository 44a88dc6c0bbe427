"""The lane beside the record: the newest figure while the broker still hands out what came before."""

import json

import numpy as np
import pytest
from ashibar.core.config import check
from ashibar.fresh import CATCHING_UP, REASON, REST_S, FreshLane
from ashibar.ingest import Ingest
from ashibar.io.journal import Journal, Reader
from ashibar.io.mqtt import Inbound
from ashibar.live import LiveRig
from ashibar.rigs import configured
from nodes import SPAN_N_PER_COUNT, ZERO_COUNT, about, document, frame

START_US = 1_790_000_000_000_000
FRAME_US = 125_000
COUNT = 21_000  # each cell: 20 N
AWAY = 4800  # frames: ten minutes
WEIGHT_N = 60 * 9.80665
TOPIC = "ashibar/v1/quiet-room/bars-1/"


class Lane:
    """A link whose messages the test hands in."""

    def __init__(self):
        self.waiting, self.stopped = [], False

    def start(self):
        pass

    def stop(self):
        self.stopped = True

    def receive(self, _most, _timeout_s):
        taken, self.waiting = self.waiting, []
        return taken


def message(kind, payload, at_us, qos=1):
    return Inbound(TOPIC + kind, payload, 1, qos, False, at_us, at_us, 1)


def samples(seq, at_us=None, *, boot=7, qos=1, **fields):
    at_us = START_US + (seq + 1) * FRAME_US if at_us is None else at_us
    payload = frame(boot, seq, counts=np.full(40, COUNT), **fields)
    return message("samples", payload, at_us, qos)


def said(**changes):
    return json.dumps(json.loads(about(7, unix_s=START_US / 1e6)) | changes).encode()


class Studio:
    """A record that ends ten minutes ago, and a lane that is open."""

    def __init__(self, directory):
        config = check(document(1, directory / "journal.sqlite"))
        self.journal = Journal(directory / "journal.sqlite")
        self.reader = Reader(directory / "journal.sqlite")
        self.ingest = Ingest("quiet-room", ["bars-1"], self.reader)
        self.rig = LiveRig("room-1", configured(config, config.rigs[0], START_US))
        self.link = Lane()
        self.lane = FreshLane("quiet-room", self.ingest, [self.rig], lambda _: self.link)
        before = [message("about", said(), START_US), *(samples(seq) for seq in range(24))]
        self.rig.take(self.ingest.take(before).samples)
        self.lane.open(0.0)

    def hear(self, *messages, now_s=0.0):
        self.link.waiting += messages
        return self.lane.turn(0, now_s)

    def shown(self, seq, now_s=0.0):
        """Return what the page gets right after a frame was taken."""
        now_us = START_US + (seq + 1) * FRAME_US + 10_000
        beside = {
            "alarm_level": "none",
            "alarms": [listed("fall", "error"), listed("no-data", "unacknowledged")],
        }
        return self.lane.shown(self.rig.envelope(now_us, self.ingest.nodes) | beside, now_us, now_s)


def listed(key, state):
    return {"key": key, "state": state, "note": "no fresh sample"}


@pytest.fixture
def studio(tmp_path):
    made = Studio(tmp_path)
    yield made
    made.reader.close()
    made.journal.close()


def test_the_newest_samples_are_shown_while_the_record_is_minutes_behind(studio):
    news = [message("about", said(), START_US), *(samples(seq, qos=0) for seq in range(AWAY, AWAY + 10))]
    assert studio.hear(*news) == ["room-1"]
    envelope = studio.shown(AWAY + 9)
    figure = envelope["figure"]
    assert figure.client.value_n == pytest.approx(WEIGHT_N - 4 * (COUNT - ZERO_COUNT) * SPAN_N_PER_COUNT)
    assert figure.age_s == pytest.approx(0.01, abs=1e-3)
    assert envelope["newest"] == {"bars-1": {"boot": 7, "index": (AWAY + 10) * 10 - 1}}
    assert figure.peak is None  # the record knows it


def test_meanwhile_alarms_are_said_to_be_catching_up(studio):
    studio.hear(message("about", said(), START_US), samples(AWAY, qos=0))
    envelope = studio.shown(AWAY)
    assert envelope["alarm_level"] == CATCHING_UP
    assert envelope["alarms"] == [{"key": "fall", "state": "error", "note": CATCHING_UP}]


def test_what_the_lane_shows_is_in_no_account(studio):
    before = studio.ingest.accounting.summary()
    studio.hear(message("about", said(), START_US), *(samples(seq, qos=0) for seq in range(AWAY, AWAY + 20)))
    assert studio.shown(AWAY + 19)["figure"].client is not None
    assert studio.ingest.accounting.summary() == before
    assert studio.rig.newest_us < START_US + 25 * FRAME_US


@pytest.mark.parametrize(
    "changes",
    [
        {"calibration": json.loads(said())["calibration"] | {"id": 2}},
        {"zeros": {"session": {"counts": [1500] * 4, "unix_s": START_US / 1e6}}},
        {"boot": 8},
    ],
    ids=["calibration", "zero", "boot"],
)
def test_what_the_record_does_not_know_of_a_node_gives_words_and_no_number(studio, changes):
    studio.hear(message("about", said(**changes), START_US), samples(AWAY, qos=0))
    figure = studio.shown(AWAY)["figure"]
    assert (figure.client, figure.bar, figure.reason) == (None, None, REASON)


def test_a_node_that_has_not_said_what_it_is_gives_words_and_no_number(studio):
    studio.hear(samples(AWAY, qos=0))
    assert (studio.shown(AWAY)["figure"].client, studio.shown(AWAY)["figure"].reason) == (None, REASON)


def test_a_node_that_began_anew_meanwhile_is_shown_by_the_arrival_of_its_frames(studio):
    now_us = START_US + (AWAY + 1) * FRAME_US
    news = [samples(seq, now_us - (39 - seq) * FRAME_US, boot=9, qos=0) for seq in range(30, 40)]
    studio.hear(message("about", said(boot=9), START_US), *news)
    figure = studio.shown(AWAY)["figure"]
    assert figure.client.value_n == pytest.approx(WEIGHT_N - 80)
    assert figure.age_s < 0.1


def test_a_backlog_of_the_node_is_not_taken_for_now(studio):
    studio.hear(message("about", said(), START_US), samples(AWAY, flags=1, qos=0))
    assert studio.shown(AWAY)["figure"].age_s > 500


def test_where_the_record_is_fresh_its_own_figure_is_shown(studio):
    studio.rig.take(studio.ingest.take([samples(seq) for seq in range(24, 30)]).samples)
    studio.hear(message("about", said(), START_US), *(samples(seq, qos=0) for seq in range(24, 30)))
    envelope = studio.shown(29)
    assert envelope["alarm_level"] == "none"
    assert envelope["newest"]["bars-1"]["index"] == 299


def test_the_lane_ends_once_the_record_has_been_level_for_a_while(studio):
    studio.lane.turn(500, 10.0)  # a queue is being handed out
    studio.lane.turn(0, 10.0 + REST_S)
    assert studio.lane.is_open
    studio.lane.turn(0, 10.1 + REST_S)
    assert not studio.lane.is_open


def test_without_a_connection_of_the_record_the_lane_stays_open(studio):
    for now_s in (1.0, 10.0, 20.0):
        studio.lane.turn(-1, now_s)
    assert studio.lane.is_open
