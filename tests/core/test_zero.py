"""When the bars may be zeroed."""

import numpy as np
import pytest
from ashibar.core.evaluate import NodeSamples
from ashibar.core.rig import Zero
from ashibar.core.zero import propose
from loads import KG, T0, calibration, cut, rig, samples, stamps, steady

END_US = int(stamps(420)[-1])


def asked(kg, params=None, noise_kg=0.05, **how):
    random = np.random.default_rng(4)
    force_n = steady(kg, 420) + random.normal(0, noise_kg * KG, (420, len(kg)))
    return propose([samples(force_n)], params or rig(), END_US, **how)


def test_unloaded_and_still_gives_a_session_zero_of_the_counts():
    answer = asked([0.2, -0.1, 0.1, 0.0])
    assert answer.zero.kind == "session"
    assert answer.zero.at_us == END_US
    expected = 1000 + np.array([0.2, -0.1, 0.1, 0.0]) * KG / 0.001
    assert answer.zero.counts == pytest.approx(expected, abs=60)
    assert sum(answer.offset_n) / KG == pytest.approx(0.2, abs=0.03)


def test_zeroing_makes_the_bars_read_nothing():
    answer = asked([0.3, 0.3, 0.3, 0.3])
    again = asked([0.3, 0.3, 0.3, 0.3], rig(zero=answer.zero))
    assert again.offset_n == pytest.approx([0.0] * 4, abs=0.01)
    assert sum(again.drift_n) / KG == pytest.approx(1.2, abs=0.05)


@pytest.mark.parametrize("kg", [[0.6, 0.6, 0.6, 0.6], [-2.1, 0, 0, 0], [3, -3, 0, 0], [14, 14, 14, 14]])
def test_more_than_two_kilograms_are_refused_with_the_reading_and_a_remedy(kg):
    answer = asked(kg)
    assert answer.zero is None
    assert "kg, more than 2 kg" in answer.reason
    assert "Take everything off" in answer.remedy


def test_by_itself_only_within_a_kilogram_of_the_calibration():
    assert asked([0.2] * 4, automatic=True).zero is not None
    assert asked([0.3] * 4, automatic=True).zero is None
    moved = rig(zero=Zero("session", (1000 + 0.3 * KG / 0.001,) * 4, T0))
    assert asked([0.3] * 4, moved, automatic=True).zero is None, "repeated zeros must not creep away"
    assert asked([0.3] * 4, moved).zero is not None


def test_never_by_itself_in_a_session():
    answer = asked([0.0] * 4, automatic=True, session_live=True)
    assert (answer.zero, answer.reason) == (None, "A session is running.")
    assert asked([0.0] * 4, session_live=True).zero is not None


def test_a_zero_that_has_wandered_two_percent_of_capacity_asks_for_calibration():
    crept = rig(zero=Zero("session", (1000 + 4.1 * KG / 0.001, 1000, 1000, 1000), T0))
    answer = asked([4.1, 0, 0, 0], crept)
    assert answer.zero is None
    assert "left-head has drifted 2.1%" in answer.reason
    assert "Recalibrate" in answer.remedy
    assert answer.drift_n[0] / KG == pytest.approx(4.1, abs=0.02)


def test_a_swinging_bar_is_refused():
    swing = np.sin(2 * np.pi * 0.6 * np.arange(420) / 80)[:, None] * [0.5 * KG, 0.5 * KG, 0, 0]
    answer = propose([samples(swing)], rig(), END_US)
    assert answer.zero is None
    assert "not still" in answer.reason


def test_noise_of_a_working_cell_is_still():
    assert asked([0.0] * 4, noise_kg=0.15).zero is not None


def test_a_single_spike_does_not_hinder():
    force_n = steady([0] * 4, 420)
    force_n[300, 1] = 50 * KG
    assert propose([samples(force_n)], rig(), END_US).zero is not None


def test_less_than_five_seconds_are_refused():
    part = cut(samples(steady([0] * 4, 420)), [100])[1]
    assert "5 seconds" in propose([part], rig(), END_US).reason


def test_a_hole_in_the_window_is_refused():
    first, _, last = cut(samples(steady([0] * 4, 420)), [200, 250])
    assert "5 seconds" in propose([first, last], rig(), END_US).reason


def test_half_a_second_of_which_nothing_could_be_read_is_refused():
    made = samples(steady([0] * 4, 420))
    kept = np.r_[0:221, 260:420]  # of the half second from sample 220 on there is only that one
    sparse = NodeSamples("bars", 1, 0, made.utc_us[kept], made.counts[kept], made.calibration)
    sparse.counts[220, 2] = -0x800002
    assert "5 seconds" in propose([sparse], rig(), END_US).reason


def test_old_data_are_refused():
    assert propose([samples(steady([0] * 4, 420))], rig(), END_US + 600_000).zero is None


@pytest.mark.parametrize("rows", [slice(410, 411), slice(200, 215), slice(100, 420, 27)])
def test_a_cell_unreadable_for_less_than_a_fifth_of_a_second_does_not_hinder(rows):
    made = samples(steady([0.2, -0.1, 0.1, 0.3], 420))
    made.counts[rows, 3] = -0x800002
    answer = propose([made], rig(), END_US)
    assert answer.reason == ""
    assert answer.zero.counts == pytest.approx(1000 + np.array([0.2, -0.1, 0.1, 0.3]) * KG / 0.001, abs=1)


@pytest.mark.parametrize("rows", [slice(200, 217), slice(100, 420, 10)])
def test_a_faulty_cell_is_refused_by_name(rows):
    made = samples(steady([0] * 4, 420))
    made.counts[rows, 3] = -0x800002
    assert propose([made], rig(), END_US).reason == "right-foot is read with errors."


def test_a_node_without_data_or_calibration_is_refused_by_name():
    params = rig(nodes=("a", "a", "b", "b"))
    one = samples(steady([0, 0], 420), node="a")
    assert propose([one], params, END_US).reason == "right-head and right-foot send no data."
    bare = NodeSamples("b", 1, 0, one.utc_us, one.counts, None)
    assert "not calibrated" in propose([one, bare], params, END_US).reason


def test_two_nodes_are_zeroed_together_in_the_rigs_order():
    params = rig(nodes=("a", "b", "a", "b"))
    one, two = samples(steady([0.1, 0.2], 420), node="a"), samples(steady([0.3, 0.4], 420), node="b")
    answer = propose([one, two], params, END_US)
    expected = 1000 + np.array([0.1, 0.3, 0.2, 0.4]) * KG / 0.001
    assert answer.zero.counts == pytest.approx(expected, abs=1)
    assert calibration().id == 1
