"""Zeros by hand and by themselves: when, when never, how far in all, and what the log says of them."""

import pytest
from ashibar.core import requests
from ashibar.service.desk import ConflictError
from bars import KG

AUTO = {"body_weight_kg": 60, "auto_zero": True}
MEI = {"by": "Mei", "from": "page", "therapist": "Mei", "client_code": "A-17"}
DRIFTED = (0.6, 0, 0, 0)


@pytest.fixture
def auto(start_virtual):
    return start_virtual(session=AUTO)


def bar_kg(host):
    host.rig.look(host.now_us)
    return host.rig.live.figure(host.now_us).bar.value_n / KG


def test_unloaded_bars_are_zeroed_by_themselves_and_the_log_says_automatic_by_host(auto):
    auto.play(70, DRIFTED)
    assert bar_kg(auto) == pytest.approx(0, abs=0.05)
    entries = auto.log("zero")
    assert len(entries) == 1  # and none for nothing
    assert {(entry.who, entry.data["automatic"], entry.data["from"]) for entry in entries} == {
        ("host", True, "host")
    }


def test_no_bar_is_zeroed_by_itself_where_the_studio_does_not_say_so(virtual):
    virtual.play(40, DRIFTED)
    assert virtual.log("zero") == []


def test_no_zero_is_taken_by_itself_while_a_session_runs(auto):
    auto.play(1)
    session = auto.ask(requests.SessionStart, **MEI)
    auto.play(40, DRIFTED)
    assert auto.log("zero") == []
    assert bar_kg(auto) == pytest.approx(0.6, abs=0.05)
    auto.ask(requests.SessionEnd, by="Mei", id=session["id"])
    auto.play(35, DRIFTED)
    assert [entry.data["session"] for entry in auto.log("zero")] == [None]


def test_zeros_by_themselves_never_swallow_more_than_1_kg_from_the_calibration(auto):
    for _ in range(4):  # 1.6 kg in steps of which each would pass
        first = auto.rig.live.params.zero
        reached = 0.0 if first is None else (first.counts[0] - 1000) * 0.001 / KG
        auto.play(33, (reached + 0.4, 0, 0, 0))
    drifts = [entry.data["drift_n"][0] / KG for entry in auto.log("zero")]
    assert len(drifts) >= 2
    assert max(drifts) <= 1.0
    assert bar_kg(auto) == pytest.approx(0.4, abs=0.05)


def test_a_load_hung_on_slowly_is_not_zeroed_away(auto):
    auto.play(90, (0, 0, 0, 0), (3, 0, 0, 0))
    assert bar_kg(auto) > 1.9


def test_a_hang_test_is_not_zeroed_away(auto):
    auto.play(1)
    auto.ask(requests.HangTestStart, by="Mei", therapist="Mei")
    auto.play(35, DRIFTED)
    assert auto.log("zero") == []


def test_bars_are_zeroed_by_hand_at_rest_and_refused_under_load(virtual):
    virtual.play(2, DRIFTED)
    with pytest.raises(ConflictError, match="Less than 5 seconds"):
        virtual.ask(requests.ZeroNow, by="Mei")
    virtual.play(4, DRIFTED)
    told = virtual.ask(requests.ZeroNow, by="Mei")
    assert (told["automatic"], told["offset_n"][0]) == (False, pytest.approx(0.6 * KG, abs=0.3))
    virtual.play(1, DRIFTED)
    assert bar_kg(virtual) == pytest.approx(0, abs=0.05)
    virtual.play(6, (20, 0, 0, 0))
    with pytest.raises(ConflictError, match=r"19\.4 kg"):
        virtual.ask(requests.ZeroNow, by="Mei")
    assert [(entry.who, entry.data["automatic"]) for entry in virtual.log("zero")] == [("Mei", False)]
