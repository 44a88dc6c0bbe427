"""The node's configuration: every mistake is named with what was expected and what came, and the node starts
anyway."""

import copy
import json

import pytest
from firmware_paths import FIRMWARE, import_firmware
from hypothesis import given
from hypothesis import strategies as st

import_firmware()

from barnode import boards, config  # noqa: E402 - importable only from here on

GOOD = {
    "studio": "north-room",
    "node": "bars-1",
    "broker": {"host": "broker.local", "port": 1883, "user": "bars", "password": "secret"},
    "wifi": {"ssid": "room", "password": "long enough"},
    "cells": [
        {"name": name, "capacity_n": 1961.33}
        for name in ("left-head", "left-foot", "right-head", "right-foot")
    ],
    "calibration": {
        "id": 3,
        "by": "bench",
        "unix_s": 1790000000,
        "cells": [{"zero_count": 84213, "span_n_per_count": 0.000234}] * 4,
    },
}
BOARD = json.loads((FIRMWARE / "barnode/boards/esp32-hx711-4.json").read_text())


def test_a_good_configuration_has_no_problems():
    checked = config.Config(copy.deepcopy(GOOD))
    assert checked.problems == []
    assert (checked.studio, checked.node, checked.broker["port"], checked.rate_hz) == (
        "north-room",
        "bars-1",
        1883,
        80,
    )


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("studio", "North Room", "studio: a name of 1 to 32 characters"),
        ("node", "", "node: a name"),
        ("node", "x" * 33, "node: a name"),
        ("broker", None, "broker: an object"),
        ("broker", {"host": 5}, "broker.host: a host name"),
        ("broker", {"host": "b", "port": 70000}, "broker.port: 1 to 65535 expected, 70000 came"),
        ("broker", {"host": "b", "protocol": 5}, "broker.protocol"),
        ("wifi", {"password": "x"}, "wifi: ssid"),
        ("samples_per_frame", 0, "samples_per_frame: 1 to 255 expected, 0 came"),
        ("samples_per_frame", True, "samples_per_frame"),
        ("backlog_frames", -1, "backlog_frames"),
        ("cells", GOOD["cells"][:3], "cells: 4 cells with different names"),
        ("cells", [GOOD["cells"][0]] * 4, "cells: 4 cells with different names"),
        ("calibration", {"id": 0}, "calibration: id 1 to 65535"),
        ("calibration", {"id": 1, "cells": [{"zero_count": 1, "span_n_per_count": 0}] * 4}, "calibration"),
        ("board", "no-such-board", "board: board file"),
    ],
)
def test_a_mistake_is_named_and_its_default_stands_in(field, value, expected):
    checked = config.Config({**copy.deepcopy(GOOD), field: value})
    assert len(checked.problems) == 1, checked.problems
    assert expected in checked.problems[0]


def test_a_mistaken_certificate_file_is_no_leave_to_speak_in_the_clear():
    checked = config.Config({**copy.deepcopy(GOOD), "broker": {"host": "b", "ca_file": 5}})
    assert "broker.ca_file" in checked.problems[0]
    assert checked.broker["ca_file"] is not None


def test_a_password_never_stands_in_a_problem():
    checked = config.Config(
        {**GOOD, "broker": {"host": "b", "password": 12345678}, "wifi": {"ssid": 1, "password": "hidden"}}
    )
    assert len(checked.problems) == 2
    assert "12345678" not in str(checked.problems)
    assert "hidden" not in str(checked.problems)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(sorted(GOOD)) | st.text(max_size=5), inner)
        ),
        max_leaves=10,
    )
)
def test_any_json_is_a_configuration_that_starts(given_value):
    config.Config(given_value)


def test_a_file_that_cannot_be_read_is_an_empty_configuration_with_the_reason(tmp_path):
    (tmp_path / "config.json").write_text("{")
    for path in (tmp_path / "config.json", tmp_path / "none.json"):
        assert "could not be read" in config.load(str(path)).problems[0]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"light_pin": 18}, "used twice"),
        ({"data_pins": [18, 18]}, "used twice"),
        ({"clock_pin": 34}, "can only read"),
        ({"clock_pin": 6}, "the flash hangs on it"),
        ({"clock_pin": 12}, "flash voltage"),
        ({"data_pins": [1]}, "the console"),
        ({"data_pins": [40]}, "a pin of the ESP32 expected"),
        ({"data_pins": []}, "1 to 4 data_pins"),
        ({"data_pins": "18"}, "a list of pins"),
    ],
)
def test_a_board_with_a_pin_that_cannot_be_is_refused(change, expected):
    with pytest.raises(ValueError, match=expected):
        boards.check({**BOARD, **change})


def test_the_shipped_board_is_sound():
    boards.check(BOARD)
