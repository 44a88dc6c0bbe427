"""Procedures that take seconds to minutes, in time of the test's own: hang tests and forgotten sessions."""

import pytest
from ashibar.core import requests
from bars import KG

MEI = {"by": "Mei", "from": "page", "therapist": "Mei", "client_code": "A-17"}
HANGING = (15.0, 15.0, 16.0, 16.0)


def test_a_forgotten_session_asks_and_closes_itself_and_says_so(virtual):
    phase = lambda: virtual.api.get("sessions/current")["phase"]  # noqa: E731
    virtual.play(1)
    session = virtual.ask(requests.SessionStart, **MEI)
    virtual.wait(895, every_s=5)
    assert phase() == "live"
    virtual.wait(10, every_s=5)
    assert phase() == "asking"
    virtual.ask(requests.SessionKeep, by="Mei", id=session["id"])
    assert phase() == "live"
    virtual.wait(1195, every_s=5)
    assert phase() == "asking"
    virtual.wait(10, every_s=5)
    assert phase() == "ended"
    assert virtual.daemon.committer.flush(5)
    ended = virtual.api.get(f"sessions/{session['id']}")
    assert (ended["ended_by"], "closed by itself" in ended["end_reason"]) == ("host", True)


def test_a_hang_test_passes_and_gives_the_body_weight(virtual):
    virtual.play(1)
    virtual.ask(requests.HangTestStart, by="Mei", therapist="Mei", use=True)
    virtual.play(13, HANGING)
    test = virtual.api.get("hang-test")
    assert (test["phase"], test["used"]) == ("passed", True)
    assert test["median_n"] == pytest.approx(62 * KG, abs=1)
    weight = virtual.ask(requests.SessionStart, **MEI)["terms"]["body_weight"]
    assert (weight["source"], weight["value_n"]) == ("hang", pytest.approx(62 * KG, abs=1))
    assert [entry.data["phase"] for entry in virtual.log("hang-test")] == ["passed"]


def test_a_hang_test_fails_when_the_feet_come_down_and_says_so(virtual):
    virtual.play(1)
    virtual.ask(requests.HangTestStart, by="Mei", therapist="Mei", scale_n=62 * KG)
    virtual.play(5, HANGING)
    assert virtual.api.get("hang-test")["phase"] == "hanging"
    virtual.play(2)
    failed = virtual.api.get("hang-test")
    assert (failed["phase"], "feet came down" in failed["reason"]) == ("failed", True)
    assert failed["remedy"]
    assert [entry.data["phase"] for entry in virtual.log("hang-test")] == ["failed"]
