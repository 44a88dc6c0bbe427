"""A board that says another calibration under an id on record: no figure is made of it, live or later."""

import json

import pytest
from ashibar.core import requests
from ashibar.replay.run import derive_span
from ashibar.replay.verify import verify_span
from bars import KG
from nodes import about

RIG = "room-1"


def rebooted(virtual, boot, *, number=1, span=0.0011):
    """Begin anew, as a board with cells of another span that answers to the same name."""
    virtual.boot, virtual.seq, virtual.began_us = boot, 0, virtual.now_us
    said = json.loads(about(boot, unix_s=virtual.began_us / 1e6 - 60))
    said["calibration"]["id"] = virtual.calibration = number
    for cell in said["calibration"]["cells"]:
        cell["span_n_per_count"] = span
    virtual.say_about(json.dumps(said).encode())


def node(virtual):
    (told,) = virtual.api.get("nodes")
    return told


def bar_n(virtual):
    virtual.rig.look(virtual.now_us)
    figure = virtual.rig.live.figure(virtual.now_us)
    return None if figure.bar is None else figure.bar.value_n


def test_another_calibration_under_a_known_id_gives_no_figure_and_says_what_to_do(virtual):
    virtual.play(8)
    virtual.ask(requests.ZeroNow, by="Mei")
    virtual.play(2, (3, 3, 3, 3))
    assert bar_n(virtual) == pytest.approx(12 * KG, abs=3)
    rebooted(virtual, 8)
    virtual.play(2, (3, 3, 3, 3))
    virtual.rig.look(virtual.now_us)
    figure = virtual.rig.live.figure(virtual.now_us)
    assert (figure.validity, figure.bar, figure.client) == ("fault", None, None)
    assert "not calibrated" in figure.reason
    assert "under a new id" in node(virtual)["problems"][0]
    rebooted(virtual, 9, number=2)
    virtual.play(8)
    virtual.ask(requests.ZeroNow, by="Mei")
    virtual.play(2, (3, 3, 3, 3))
    assert bar_n(virtual) == pytest.approx(12 * KG * 1.1, abs=3)
    assert node(virtual)["problems"] == []


def test_the_same_record_said_again_by_a_new_boot_is_taken(virtual):
    virtual.play(8)
    virtual.ask(requests.ZeroNow, by="Mei")
    rebooted(virtual, 8, span=0.001 * (1 + 1e-8))  # printed with other digits
    virtual.play(2, (3, 3, 3, 3))
    assert bar_n(virtual) == pytest.approx(12 * KG, abs=3)
    assert node(virtual)["problems"] == []


def test_what_was_refused_live_is_refused_when_the_record_is_derived_again(virtual):
    begun_us = virtual.now_us
    virtual.play(8)
    virtual.ask(requests.ZeroNow, by="Mei")
    virtual.play(2, (3, 3, 3, 3))
    rebooted(virtual, 8)
    virtual.play(5, (20, 20, 20, 20))  # a load of 80 kg by the wrong calibration: no fall, nobody knows
    virtual.wait(5)
    virtual.daemon.committer.submit(virtual.daemon.ingest.settle_idle(virtual.now_us + 3_600_000_000))
    assert virtual.daemon.committer.flush(5)
    derived = derive_span(virtual.safety, RIG, begun_us, virtual.now_us)
    assert derived.samples > 1000
    raised = [line for line in derived.alarms if line.cause == "raise"]
    assert {line.key.partition(":")[0] for line in raised} == {"cell-fault"}
    report = verify_span(virtual.safety, RIG, begun_us, virtual.now_us, now_us=virtual.now_us)
    assert report.differences == ()
