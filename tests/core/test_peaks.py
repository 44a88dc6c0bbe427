"""Peaks at the full rate."""

import numpy as np
import pytest
from ashibar.core.peaks import NO_PEAKS
from loads import KG, rig, run, samples, steady


def test_a_blow_of_two_samples_keeps_its_full_height():
    force_n = steady([5] * 4, 100)
    force_n[50:52] += 25 * KG
    state, _ = run(rig(), samples(force_n))
    assert state.peaks.bar_max_n == pytest.approx(120 * KG, abs=0.01)


def test_the_greatest_client_load_comes_from_the_least_bar_load():
    force_n = steady([5] * 4, 100)
    force_n[50:52] -= 10 * KG
    state, _ = run(rig(), samples(force_n))
    assert state.peaks.client_max_n(70 * KG) == pytest.approx(90 * KG, abs=0.01)


def test_reset_forgets():
    state, _ = run(rig(), samples(steady([5] * 4)))
    assert state.reset_peaks().peaks == NO_PEAKS
    assert NO_PEAKS.client_max_n(700.0) is None


def test_unknown_samples_are_no_peaks():
    unknown = np.full(3, np.nan)
    assert NO_PEAKS.with_rows(unknown) == NO_PEAKS
    known = NO_PEAKS.with_rows(np.array([np.nan, 3.0]))
    assert (known.bar_max_n, known.bar_min_n) == (3.0, 3.0)
    assert known.with_rows(np.array([2.0])).bar_min_n == 2.0
