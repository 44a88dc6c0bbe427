"""Motion: by how much the load changed within the last second."""

import numpy as np
import pytest
from ashibar.core import motion
from ashibar.core.motion import spread
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from loads import KG, column, rig, run, samples, stamps, steady

loads_n = arrays(float, st.integers(1, 60), elements=st.one_of(st.floats(-1000, 1000), st.just(float("nan"))))


@given(loads_n, st.integers(1, 2_000_000), st.integers(0, 59), st.integers(0, 99))
def test_the_change_is_that_of_every_window_counted_by_hand(value, window_us, start, seed):
    utc_us = np.cumsum(np.random.default_rng(seed).integers(1, 90_000, len(value)))
    start = min(start, len(value))
    means = [known_of(value, utc_us, at, motion.RECENT_US) for at in range(len(value))]
    means = np.array([mean.mean() if mean.size else np.nan for mean in means])
    _, before = spread(utc_us[:start], value[:start], window_us)
    found, after = spread(utc_us, value, window_us, before)
    assert len(found) == len(value) - start
    assert np.array_equal(after, spread(utc_us, value, window_us)[1], equal_nan=True)
    for at in range(start, len(value)):
        seen = [*known_of(value, utc_us, at, motion.RECENT_US), *known_of(means, utc_us, at, window_us)]
        expected = max(seen) - min(seen) if seen else 0.0
        assert found[at - start] == pytest.approx(expected, abs=1e-6)


def known_of(value, utc_us, at, window_us):
    window = value[: at + 1][utc_us[: at + 1] > utc_us[at] - window_us]
    return window[~np.isnan(window)]


def moving(force_n, **changes):
    _, parts = run(rig(**changes), samples(force_n))
    return column(parts, "motion")


def test_a_still_load_does_not_move():
    assert not moving(steady([5] * 4)).any()


@pytest.mark.parametrize(("kg", "moves"), [(2.2, True), (1.8, False), (-2.2, True)])
def test_a_step_moves_from_two_kilograms_on_and_for_a_second_or_little_more(kg, moves):
    force_n = steady([5] * 4, 320)
    force_n[100:, 0] += kg * KG
    found = moving(force_n)
    assert found[100] == moves
    assert not found[:100].any()
    assert not found[100 + 80 + 21 :].any()


def test_the_threshold_is_a_parameter():
    force_n = steady([5] * 4, 200)
    force_n[100:, 0] += 2.2 * KG
    assert not moving(force_n, motion_n=3 * KG).any()


def test_a_slow_change_of_less_than_two_kilograms_a_second_is_statics():
    ramp = np.linspace(0, 4, 320)[:, None] * [KG, 0, 0, 0]
    assert not moving(ramp).any()


def test_unknown_loads_are_left_out():
    load_n = np.array([np.nan, 100.0, np.nan, 101.0, np.nan])
    assert spread(stamps(5), load_n, 1_000_000)[0].tolist() == [0, 0, 0, 1, 1]
