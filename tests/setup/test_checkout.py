"""Preparing a checkout: old Pythons are told what to do, and a second run installs nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ashibar.setup import environment, python, tools

ROOT = Path(__file__).parents[2]


def test_a_python_too_old_is_told_what_it_needs_and_how_to_get_it():
    message = python.refusal()
    assert "Python 3.11 or newer is needed" in message
    assert "apt-get install" in message


@pytest.mark.parametrize(
    ("version", "fits"), [((3, 8), False), ((3, 10), False), ((3, 11), True), ((3, 13), True)]
)
def test_the_least_python_is_three_eleven(version, fits):
    assert python.new_enough(version) is fits


def test_a_program_that_is_no_python_has_no_version(tmp_path):
    shim = tmp_path / "python3.12"
    shim.write_text("#!/bin/sh\necho 'command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    assert python.version_of(str(shim)) == ()
    assert python.version_of(sys.executable) == sys.version_info[:2]


def test_an_environment_that_fits_is_left_alone(tmp_path, monkeypatch):
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    fingerprint = environment._fingerprint(tmp_path, tmp_path / ".venv" / "bin" / "python")
    (tmp_path / ".venv" / "ashibar-test").write_text(fingerprint)
    monkeypatch.setattr(environment, "_create", lambda *_: pytest.fail("made again"))
    environment.prepare(tmp_path, "test", sys.executable)
    environment.prepare(tmp_path, "demo", sys.executable)
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert not environment._current(tmp_path, "test", tmp_path / ".venv" / "bin" / "python")


def test_the_checkouts_own_program_comes_before_the_systems(tmp_path, monkeypatch):
    for folder in (tmp_path / ".tools" / "bin", tmp_path / "system"):
        folder.mkdir(parents=True)
        (folder / "mosquitto").write_text("#!/bin/sh\n")
        (folder / "mosquitto").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "system"))
    assert tools.find("mosquitto", tmp_path) == str(tmp_path / ".tools" / "bin" / "mosquitto")
    assert tools.find("mosquitto", tmp_path / "nowhere") == str(tmp_path / "system" / "mosquitto")


def test_a_micropython_too_old_counts_as_missing(tmp_path):
    tool = next(tool for tool in tools.TOOLS if tool.program == "micropython")
    script = tmp_path / ".tools" / "bin" / "micropython"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\nexit 1\n")
    script.chmod(0o755)
    assert not tools.present(tool, tmp_path)
    assert tools.present(tool, ROOT)


def test_the_remedy_is_one_command_with_every_missing_package():
    remedy = tools.remedy(list(tools.TOOLS))
    assert "\n" not in remedy
    assert all(tool.packages[0] in remedy for tool in tools.TOOLS)


def test_a_wrong_stage_is_refused_with_the_right_ones():
    environment_variables = {**os.environ, "PYTHONPATH": str(ROOT / "host")}
    done = subprocess.run(
        [sys.executable, "-m", "ashibar.setup", "everything"],
        capture_output=True, text=True, check=False, env=environment_variables,
    )  # fmt: skip
    assert done.returncode == 2
    assert "demo|test|check" in done.stderr
