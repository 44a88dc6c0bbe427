"""Samples that may wait are those that change no alarm: the room against the alarms themselves."""

import numpy as np
from alarm_signals import KG, PLAN, QUICK, START_US, WEIGHT_N, run, seconds, signal
from ashibar.core.alarm_bank import advance
from ashibar.core.calibration import NodeCalibration
from ashibar.core.quiet import room, span
from ashibar.core.rig import Cell, RigParameters, Zero
from hypothesis import given, settings
from hypothesis import strategies as st

U_N = 1.5 * KG


def room_after(block):
    bank, _ = run(block)
    return bank, room(PLAN, bank, block.force_n[-1].tolist(), WEIGHT_N, U_N)


@settings(max_examples=60, **QUICK)
@given(st.integers(0, 2**32 - 1), st.floats(5, 120), st.floats(-60, 60), st.sampled_from([1, 8, 20, 39]))
def test_no_alarm_changes_while_the_forces_stay_in_the_room(seed, load_kg, trend_kg, size):
    chance = np.random.default_rng(seed)
    loads = load_kg + np.linspace(trend_kg, 0, 160) + chance.normal(0, 0.3, 160)
    block = signal(loads)
    bank, found = room_after(block)
    if found is None:
        return
    edge = np.where(chance.random((size, 4)) < 0.5, -found.down_n, found.up_n)
    share = np.where(chance.random((size, 1)) < 0.3, 1.0, chance.random((size, 4)))
    force_kg = (block.force_n[-1] + 0.999 * share * edge) / KG
    times_us = block.utc_us[-1] + 12_500 * np.arange(1, size + 1)
    held = times_us < found.until_us
    after, lines = advance(PLAN, bank, signal(force_kg[held], times_us=times_us[held], ripple_n=0.0))
    assert not lines
    assert not after.last_true.any()


def test_a_rig_at_work_within_its_limits_has_room():
    _, found = room_after(signal(seconds((40, 3))))
    assert found.up_n > 3 * KG
    assert found.down_n > 3 * KG


def test_there_is_no_room_where_an_alarm_stands_or_its_delay_runs():
    assert room_after(signal(seconds((40, 2), (5, 1))))[1] is None
    assert room_after(signal(seconds((40, 2), (5, 0.1))))[1] is None
    assert room_after(signal(seconds((40, 2), (5, 1), (40, 0.5))))[1] is None


def test_there_is_no_room_near_a_limit():
    near_kg = 70 - 60 + 1.5  # of the client's limit with its uncertainty
    assert room_after(signal(seconds((near_kg + 0.3, 3))))[1] is None
    assert room_after(signal(seconds((near_kg + 5, 3))))[1] is not None


def test_the_room_ends_before_a_verdict_on_noise_and_before_a_sample_counts_as_missing():
    block = signal(seconds((40, 3)))
    bank, found = room_after(block)
    assert found.until_us <= START_US // 5_000_000 * 5_000_000 + 5_000_000
    assert found.until_us <= bank.last_us + 500_000


@given(st.floats(0.0001, 0.01), st.booleans(), st.integers(-10_000, 10_000))
def test_the_span_in_counts_is_the_room_in_newtons(per, reversed_cell, zero):
    per = -per if reversed_cell else per
    cells = tuple(
        Cell(name, "bars-1", channel, 2000.0) for channel, name in enumerate(("left-head", "right-head"))
    )
    calibration = NodeCalibration(
        id=3, at_us=0, zero_count=(0.0, 0.0), span_n_per_count=(per, per), by="test"
    )
    params = RigParameters(cells, zero=Zero("session", (float(zero), 0.0), 0))
    _, found = room_after(signal(seconds((40, 3))))
    counts = span(found, params, "bars-1", calibration, [100.0, -3.0])
    assert counts.calibration_id == 3
    for channel, force_n, offset in ((0, 100.0, zero), (1, -3.0, 0)):
        ends = [(count - offset) * per for count in (counts.low[channel], counts.high[channel])]
        assert min(ends) >= force_n - found.down_n - 1e-6
        assert max(ends) <= force_n + found.up_n + 1e-6
    assert span(found, params, "bars-1", None, [100.0, -3.0]) is None
