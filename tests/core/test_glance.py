"""What a light shows: what the figure says, also of samples that were not evaluated yet."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from ashibar.core.evaluate import advance, start
from ashibar.core.figure import figure
from ashibar.core.glance import glance, light, moved_on
from ashibar.core.rig import Target, Zero
from hypothesis import given, settings
from hypothesis import strategies as st
from loads import HOUR_US, KG, T0, ZERO, rig, samples, stamps, steady

TARGET = Target(low=0.3, high=0.6, limit=0.9)


def evaluated(params, whole):
    return advance(start(params), [whole], params)[0]


def parts(force_n, held):
    """All samples, and the last `held` of them in frames of ten."""
    whole = samples(force_n)
    edges = [*range(len(force_n) - held, len(force_n), 10), len(force_n)]
    later = [
        replace(whole, first_index=a, utc_us=whole.utc_us[a:b], counts=whole.counts[a:b])
        for a, b in pairwise(edges)
    ]
    before = replace(whole, utc_us=whole.utc_us[: edges[0]], counts=whole.counts[: edges[0]])
    return whole, before, later


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([10, 40, 120]))
def test_a_light_moved_on_shows_what_it_shows_once_all_is_evaluated(seed, held):
    chance, params = np.random.default_rng(seed), rig(target=TARGET)
    sway = 30 * np.sin(np.arange(320)[:, None] / chance.uniform(20, 80, 4)) + chance.normal(0, 0.3, (320, 4))
    whole, before, later = parts(60 + sway, held)
    moved = light(evaluated(params, before), params)
    for each in later:
        moved = moved_on(moved, each, params)
    now_us = int(whole.utc_us[-1]) + 50_000
    shown = glance(moved, params, now_us)
    same = glance(light(evaluated(params, whole), params), params, now_us)
    assert shown.fraction == pytest.approx(same.fraction, abs=2e-3)
    assert (shown.age_s, shown.band) == (same.age_s, same.band)


CASES = {
    "valid": {},
    "no body weight": {"weight_kg": None},
    "not in session": {"session_required": True},
    "calibration overdue": {"calibration_due_us": T0},
    "not zeroed": {"zero": Zero("factory", (float(ZERO),) * 4, T0 - HOUR_US)},
}


@pytest.mark.parametrize("label", CASES)
def test_a_light_says_what_the_figure_says(label):
    params = rig(target=TARGET, **CASES[label])
    state = evaluated(params, samples(steady([10, 5, 8, 7])))
    now_us = int(stamps(200)[-1]) + 80_000
    full, shown = figure(state, params, now_us), glance(light(state, params), params, now_us)
    assert (shown.validity, shown.band, shown.age_s) == (full.validity, full.band, full.age_s)
    assert shown.validity == label
    if full.fraction is None:
        assert shown.fraction is None
    else:
        assert shown.fraction == pytest.approx(full.fraction, abs=1e-9)


def test_a_cell_that_is_not_known_leaves_no_fraction():
    params, force_n = rig(), steady([10, 5, 8, 7])
    whole = samples(force_n)
    whole.counts[-6:, 2] = -0x800002
    state, now_us = evaluated(params, whole), int(whole.utc_us[-1]) + 80_000
    shown = glance(light(state, params), params, now_us)
    assert (shown.validity, shown.fraction) == ("fault", None)


def test_samples_without_a_calibration_leave_no_fraction():
    params = rig()
    whole, before, later = parts(steady([10, 5, 8, 7]), 10)
    moved = moved_on(light(evaluated(params, before), params), replace(later[0], calibration=None), params)
    assert glance(moved, params, int(whole.utc_us[-1])).fraction is None


def test_an_old_light_has_no_figure():
    params, whole = rig(target=TARGET), samples(steady([10, 5, 8, 7]))
    shown = glance(light(evaluated(params, whole), params), params, int(whole.utc_us[-1]) + 1_100_000)
    assert (shown.validity, shown.fraction, shown.band) == ("stale", None, None)


def test_the_filter_is_that_of_the_figure():
    params = rig()
    whole = samples(np.tile(np.linspace(10, 200, 160)[:, None] / 4 * KG, 4))
    state, now_us = evaluated(params, whole), int(whole.utc_us[-1])
    full = figure(state, params, now_us)
    assert glance(light(state, params), params, now_us).fraction == pytest.approx(full.fraction, abs=1e-9)
