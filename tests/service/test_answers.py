"""What can still be answered once a session is over, and what is shown of alarms that warn of nothing."""

import numpy as np
import pytest
from ashibar.core import requests
from ashibar.replay.verify import verify_span
from ashibar.service.actions import alarm_answers
from records import DAY_US, T0
from studio import RIG, Studio, act, end, in_order, start

UNTIL_US = T0 + 30_000_000


@pytest.fixture
def over(tmp_path):
    """A host whose session ended while the load on the client was near and over its limit."""
    force_n = np.random.default_rng(2).normal(0, 0.3, (24 * 80, 4))
    force_n[6 * 80 : 10 * 80] += 40.0
    studio = Studio(tmp_path / "j.sqlite")
    studio.about()
    studio.play(in_order(force_n), [(T0 + 5_003_000, start()), (T0 + 14_000_000, end())], UNTIL_US)
    yield studio
    studio.close()


def states(studio):
    views = studio.service.rigs[RIG].alarms.views(studio.now_us)
    return {view.key: view.state for view in views}


@pytest.mark.parametrize("key", ["client-near-limit", "client-over-limit"])
def test_an_alarm_of_a_session_is_listed_and_answered_after_it_ended(over, key):
    page = over.service.rigs[RIG].page(over.now_us)
    assert states(over)[key] == "returned-unacknowledged"
    assert key in {alarm["key"] for alarm in page["alarms"]}
    act(key)(over)
    assert states(over)[key] == "not-armed"
    page = over.service.rigs[RIG].page(over.now_us)
    assert key not in {alarm["key"] for alarm in page["alarms"]}
    over.sum_up()
    assert verify_span(over.reader, RIG, T0, UNTIL_US, now_us=over.now_us).differences == ()


def test_a_rating_nobody_entered_is_neither_an_error_nor_normal(over):
    rig = over.service.rigs[RIG]
    (view,) = [each for each in rig.alarms.views(over.now_us) if each.key == "rig-over-rating"]
    assert (view.state, view.armed) == ("not-armed", False)
    assert "no rating entered: enter one" in view.note
    assert "rig-over-rating" not in {alarm["key"] for alarm in rig.page(over.now_us)["alarms"]}


def test_calibration_and_inspection_are_listed_with_the_day_they_are_due(over):
    due_us = over.now_us + 30 * DAY_US
    rig = over.service.rigs[RIG]
    calibration_us = T0 - 3_600_000_000 + 365 * DAY_US
    assert dues(rig, over.now_us) == {"calibration-due": calibration_us, "inspection-due": None}
    for subject in ("rig", *rig.live.params.names):
        given = {"subject": subject, "passed": True, "finding": "sound", "due_us": due_us}
        over.ask(requests.InspectionGiven(by="Ana", source="cli", **given))
        due_us += DAY_US
    rated = {"rating_n": 4000.0, "document": "r-1", "due_us": due_us}
    over.ask(requests.RatingGiven(by="Ana", source="cli", **rated))
    assert dues(rig, over.now_us)["inspection-due"] == over.now_us + 30 * DAY_US


def dues(rig, now_us):
    told = {each["key"]: each["due_us"] for each in alarm_answers(rig, now_us)}
    shown = {each["key"]: each["due_us"] for each in rig.page(now_us)["alarms"]}
    assert shown.items() <= told.items()
    assert set(told.values()) >= {None}
    return {key: told[key] for key in ("calibration-due", "inspection-due")}


def test_the_light_shows_no_limit_exceeded_before_the_first_load_of_a_session(tmp_path):
    force_n = np.random.default_rng(2).normal(0, 0.3, (24 * 80, 4))
    force_n[10 * 80 : 14 * 80] += 40.0
    studio = Studio(tmp_path / "j.sqlite")
    studio.about()
    studio.play(in_order(force_n), [(T0 + 5_003_000, start()), (T0 + 9_000_000, see), (T0 + 20_000_000, see)])
    assert studio.seen == [None, "over"]
    studio.close()


def see(studio):
    studio.live.envelope(studio.now_us, studio.ingest.nodes)
    studio.seen = [*getattr(studio, "seen", []), studio.service.display(studio.live, "s", studio.now_us).band]
