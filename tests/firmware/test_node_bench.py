"""`ashibar node diagnose` and `ashibar node calibrate`, for the installer on the ladder: against the real
firmware, and their arithmetic."""

import json
import time

import click
import pytest
from ashibar.cli import main
from ashibar.node import calibrating, virtual_rig
from ashibar.node.errors import NodeError
from click.testing import CliRunner
from device_tools import CELLS, Device

BENCH = (
    ("CAPTURE_S = 10", "CAPTURE_S = 2"),
    (
        "self.not_ready * 100 > samples * 2",
        "self.not_ready * 100 > samples * 60",
    ),  # a busy machine reads late
    ("self.desync * 100 > samples:", "self.desync * 100 > samples * 60:"),
)
KG = 9.80665
FREE = [84000.0, -20000.0, 5.0, 100.0]


@pytest.fixture
def device(micropython, mosquitto, tmp_path):
    device = Device(micropython, tmp_path / "device", mosquitto.port, calibrated=False)
    path = device.flash / "barnode/diagnose.py"
    for old, new in BENCH:
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
    with device:
        device.wait_boots(1)
        yield device


@pytest.fixture
def node(device, mosquitto):  # noqa: ARG001 - what it speaks to
    """Call `ashibar node COMMAND` for the device."""

    def call(command, *words):
        place = ["bars", "--broker", f"127.0.0.1:{mosquitto.port}", "--studio", "studio"]
        return CliRunner().invoke(main, ["node", command, *place, *words], env={"COLUMNS": "200"})

    return call


def test_diagnose_shows_each_cell_with_its_verdict_and_fails_while_one_is_not_sound(device, node):
    told = node("diagnose")
    lines = told.output.splitlines()
    assert told.exit_code == (0 if all(line.endswith("sound") for line in [lines[0], *lines[2:]]) else 1), (
        lines
    )
    assert [line.split()[0] for line in lines[2:]] == list(CELLS)
    assert "samples a second" in lines[0]
    device.tell(do="fault", fault="wire_off", cell=1, for_s=60)
    again = node("diagnose", "--json")
    found = json.loads(again.output)
    assert again.exit_code == 1
    assert found["cells"][1]["not_ready"] > 0
    assert found["cells"][1]["verdict"] != "sound"
    assert isinstance(found["cells"][0]["mean"], int)


def test_a_broker_that_is_not_there_is_named():
    told = CliRunner().invoke(
        main, ["node", "diagnose", "bars", "--broker", "127.0.0.1:1", "--studio", "studio"]
    )
    assert told.exit_code == 1
    assert "expected a broker at 127.0.0.1:1" in told.output


def test_a_rig_is_calibrated_cell_by_cell_to_what_the_weights_are(device, node, monkeypatch):
    said = []

    def prompt(text, **_options):
        said.append(text)
        on = next((i for i, name in enumerate(CELLS) if f" kg on {name}," in text), None)
        device.tell(do="force", mn=[round(100 * KG * 1000) if i == on else 0 for i in range(4)])
        time.sleep(1)  # a hand hangs the weight before it presses Enter

    monkeypatch.setattr(click, "prompt", prompt)
    told = node("calibrate", "--weight", "100", "--by", "Mei Lin")
    assert told.exit_code == 0, told.output
    assert len(said) == 6
    record = json.loads(told.output)
    assert (record["id"], record["by"]) == (1, "Mei Lin")
    for made, true in zip(record["cells"], virtual_rig.draw_cells(CELLS, 1), strict=True):
        assert made["span_n_per_count"] == pytest.approx(true.span_n_per_count, rel=2e-4)
        assert made["zero_count"] == pytest.approx(true.zero_count, abs=30)
    again = node("calibrate", "--weight", "100", "--by", "Mei Lin", "--id", "1")
    assert again.exit_code == 1
    assert "calibration.id: above 1 expected, 1 came" in again.output


def test_a_span_is_the_weight_over_what_it_moved_the_cell():
    loaded = [FREE[0], FREE[1] - 200_000, FREE[2], FREE[3]]
    assert calibrating.span_n_per_count(CELLS, 1, FREE, loaded, 50.0) == pytest.approx(-50 * KG / 200_000)


def test_a_weight_that_moves_nothing_or_another_cell_gives_no_span():
    with pytest.raises(NodeError, match="left-head: a change of at least 2000 counts expected, 300 came"):
        calibrating.span_n_per_count(CELLS, 0, FREE, [FREE[0] + 300, *FREE[1:]], 50.0)
    with pytest.raises(NodeError, match="left-head: the greatest change expected, left-foot moved more"):
        calibrating.span_n_per_count(CELLS, 0, FREE, [FREE[0], FREE[1] + 90_000, *FREE[2:]], 50.0)


def test_a_cell_that_does_not_come_back_to_what_it_read_is_named():
    spans = [0.0005] * 4
    calibrating.expect_return(CELLS, FREE, [FREE[0] + 4000, *FREE[1:]], spans, 50.0)
    with pytest.raises(NodeError, match=r"left-head: .* 0\.306 kg off came"):
        calibrating.expect_return(CELLS, FREE, [FREE[0] + 6000, *FREE[1:]], spans, 50.0)


def test_no_mean_is_taken_of_a_cell_that_is_not_sound():
    cells = [{"name": "left-head", "verdict": "it is noisy", "readings": 800, "mean": 5}]
    found = calibrating.read({"samples": 800, "verdict": "sound", "cells": cells})
    assert not found.sound
    with pytest.raises(NodeError, match="left-head: a sound cell expected, this came: it is noisy"):
        found.means()
    with pytest.raises(NodeError, match="update the node"):
        calibrating.read({"samples": 800})
