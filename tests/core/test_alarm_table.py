"""The declarations, the page that shows them, and what the host observes by itself."""

from pathlib import Path

import pytest
from ashibar.core.alarm_table import (
    ALARMS,
    Standing,
    alarms_as_markdown,
    standing_truths,
    transitions_as_markdown,
)

DOC = Path(__file__).parents[2] / "docs" / "alarms.md"
CELLS = ("left-head", "left-foot")
NOW_US = 1_790_000_000_000_000
FINE = Standing(
    in_session=True, last_sample_us=NOW_US, calibration_due_us=NOW_US + 1, inspection_due_us=NOW_US + 1,
    weight_expires_us=NOW_US + 1, clock_bound_s=0.01, store_free_fraction=0.5, sink_lag_s=1.0,
    zero_drift_fraction=(0.0, -0.01),
)  # fmt: skip


@pytest.mark.parametrize(
    "table", [alarms_as_markdown(), transitions_as_markdown()], ids=["alarms", "transitions"]
)
def test_the_page_shows_the_tables_as_they_are_declared(table):
    assert table in DOC.read_text(encoding="utf-8")


def test_no_alarm_on_the_client_is_armed_without_the_studios_limit():
    assert {alarm.limit for alarm in ALARMS if alarm.key.startswith("client")} == {"client_limit_n"}


def test_every_alarm_says_what_to_do_once():
    assert len({alarm.key for alarm in ALARMS}) == len(ALARMS)
    assert all(alarm.message and alarm.what_to_do.endswith(".") and alarm.condition for alarm in ALARMS)


def test_an_alarm_of_danger_to_life_is_never_shelved():
    shelved = {alarm.key for alarm in ALARMS if alarm.kind == "limit" and alarm.shelve_limit_s}
    assert shelved == {"client-near-limit"}


def test_nothing_is_wrong_where_all_is_well():
    assert set(standing_truths(FINE, CELLS, NOW_US).values()) == {False}


def test_every_alarm_of_the_host_is_observed():
    keys = {key.partition(":")[0] for key in standing_truths(FINE, CELLS, NOW_US)}
    assert keys == {alarm.key for alarm in ALARMS if alarm.source == "host"}


@pytest.mark.parametrize(
    ("change", "key", "truth"),
    [
        ({"last_sample_us": NOW_US - 1_000_001}, "no-data", True),
        ({"last_sample_us": NOW_US - 1_000_000}, "no-data", False),
        ({"last_sample_us": None}, "no-data", True),
        ({"last_sample_us": None, "in_session": False}, "no-data", False),
        ({"calibration_due_us": None}, "calibration-due", True),
        ({"calibration_due_us": NOW_US - 1}, "calibration-due", True),
        ({"inspection_due_us": None}, "inspection-due", True),
        ({"weight_expires_us": NOW_US - 1}, "weight-expired", True),
        ({"weight_expires_us": None}, "weight-expired", False),
        ({"clock_bound_s": None}, "clock-unsure", True),
        ({"clock_bound_s": 0.6}, "clock-unsure", True),
        ({"store_free_fraction": 0.09}, "store-full", True),
        ({"store_free_fraction": None}, "store-full", None),
        ({"sink_lag_s": 601.0}, "influxdb-behind", True),
        ({"sink_lag_s": None}, "influxdb-behind", False),
        ({"zero_drift_fraction": (0.0, -0.021)}, "zero-drift:left-foot", True),
        ({"zero_drift_fraction": (None, 0.0)}, "zero-drift:left-head", None),
    ],
)
def test_each_standing_condition_is_judged_by_itself(change, key, truth):
    truths = standing_truths(FINE._replace(**change), CELLS, NOW_US)
    assert truths[key] is truth
    assert [other for other, value in truths.items() if value is not False] == (
        [key] if truth is not False else []
    )
