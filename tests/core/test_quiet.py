"""Samples that may wait are those that change no alarm: the room against the alarms themselves."""

import numpy as np
from alarm_signals import CELLS, KG, PLAN, QUICK, START_US, WEIGHT_N, run, seconds, signal
from ashibar.core.alarm_bank import advance
from ashibar.core.calibration import NodeCalibration
from ashibar.core.quiet import HELD_US, U_PER_N, VERDICT_SPARE_US, WIDEST_N, room, span
from ashibar.core.rig import Cell, RigParameters, Zero
from ashibar.core.uncertainty import bar_uncertainty, expanded, rig_budget
from ashibar.urgency import Urgency
from hypothesis import event, given, settings
from hypothesis import strategies as st
from nodes import frame

U_N = 1.5 * KG


def room_after(block):
    bank, _ = run(block)
    return bank, room(PLAN, bank, block.force_n[-1].tolist(), WEIGHT_N, U_N)


@settings(max_examples=60, **QUICK)
@given(st.integers(0, 2**32 - 1), st.floats(5, 120), st.floats(-60, 60), st.sampled_from([1, 8, 39, 159]))
def test_no_alarm_changes_while_the_forces_stay_where_they_are(seed, load_kg, trend_kg, size):
    chance = np.random.default_rng(seed)
    loads = load_kg + np.linspace(trend_kg, 0, 160) + chance.normal(0, 0.3, 160)
    block = signal(loads)
    bank, found = room_after(block)
    if found is None:
        return
    down_n, up_n = min(found.still_n, found.down_n), min(found.still_n, found.up_n)
    edge = np.where(chance.random((size, 4)) < 0.5, -down_n, up_n)
    share = np.where(chance.random((size, 1)) < 0.3, 1.0, chance.random((size, 4)))
    force_kg = (block.force_n[-1] + 0.999 * share * edge) / KG
    times_us = block.utc_us[-1] + 12_500 * np.arange(1, size + 1)
    held = times_us < found.until_us
    after, lines = advance(PLAN, bank, signal(force_kg[held], times_us=times_us[held], ripple_n=0.0))
    assert not lines
    assert not after.last_true.any()


PER = 0.01  # newtons a count
CALIBRATION = NodeCalibration(id=1, at_us=0, zero_count=(0.0,) * 4, span_n_per_count=(PER,) * 4, by="test")
RIG = RigParameters(tuple(Cell(name, "bars-1", channel, 2000.0) for channel, name in enumerate(CELLS)))
TOPIC = "ashibar/v1/test/bars-1/samples"


def waits(urgency, force_n, times_us):
    """Tell how many samples come, in frames of ten, before one that does not wait."""
    counts = np.rint(force_n / PER).astype("<i4")
    for start in range(0, len(counts) - 9, 10):
        payload = frame(7, 0, counts=counts[start : start + 10].reshape(-1))
        if urgency.judge(TOPIC, payload, int(times_us[start + 9]) + 20_000).urgent:
            return start
    return len(counts) // 10 * 10


@settings(max_examples=150, **QUICK)
@given(
    st.integers(0, 2**32 - 1), st.floats(12, 90), st.floats(0.01, 3), st.lists(st.floats(-40, 40), max_size=3)
)
def test_no_alarm_changes_in_frames_that_may_wait(seed, load_kg, step_kg, jumps_kg):
    """Moves of each cell within the whole room, slow and quick; what waits changes nothing."""
    chance = np.random.default_rng(seed)
    block = signal(load_kg + chance.normal(0, 0.3, 160))
    bank, found = room_after(block)
    if found is None:
        return
    urgency = Urgency("test", {"room-1": ("bars-1",)})
    newest_n = block.force_n[-1].tolist()
    urgency.say("room-1", {"bars-1": span(found, RIG, "bars-1", CALIBRATION, newest_n)})
    assert waits(urgency, block.force_n[-80:], block.utc_us[-80:]) >= 0
    moves_kg = np.cumsum(chance.normal(0, step_kg, (160, 4)), axis=0) / 4 + chance.normal(0, 0.05, (160, 4))
    for jump_kg in jumps_kg:
        moves_kg[chance.integers(160) :] += jump_kg * chance.dirichlet(np.ones(4))
    force_n = np.rint((block.force_n[-1] + moves_kg * KG) / PER) * PER
    times_us = block.utc_us[-1] + 12_500 * np.arange(1, 161)
    until = int(np.searchsorted(times_us, found.until_us))  # in the beat after that they are looked at anyway
    held = waits(urgency, force_n[:until], times_us[:until])
    event(f"frames that waited: {held // 40 * 4} or more")
    if held:
        after, lines = advance(
            PLAN, bank, signal(force_n[:held] / KG, times_us=times_us[:held], ripple_n=0.0)
        )
        assert not lines
        assert not after.last_true.any()


def test_a_rig_at_work_within_its_limits_has_room():
    _, found = room_after(signal(seconds((40, 3))))
    assert min(found.up_n, found.down_n, found.still_n) > 3 * KG


def test_there_is_no_room_where_an_alarm_stands_or_its_delay_runs():
    assert room_after(signal(seconds((40, 2), (5, 1))))[1] is None
    assert room_after(signal(seconds((40, 2), (5, 0.1))))[1] is None
    assert room_after(signal(seconds((40, 2), (5, 1), (40, 0.5))))[1] is None


def test_there_is_no_room_near_a_limit():
    near_kg = 70 - 60 + 1.5  # of the client's limit with its uncertainty
    assert room_after(signal(seconds((near_kg + 0.3, 3))))[1] is None
    assert room_after(signal(seconds((near_kg + 5, 3))))[1] is not None


def test_the_room_ends_after_a_window_of_noise_and_before_samples_are_held_too_long():
    block = signal(seconds((40, 3)))
    bank, found = room_after(block)
    assert found.until_us <= START_US // 5_000_000 * 5_000_000 + 5_000_000 + VERDICT_SPARE_US
    assert found.until_us <= bank.last_us + HELD_US


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
    made = span(found, params, "bars-1", calibration, [100.0, -3.0])
    assert (made.calibration_id, made.channels) == (3, (0, 1))
    for edges, force_n, offset in zip(made.edges, (100.0, -3.0), (zero, 0), strict=True):
        ends = [(count - offset) * per for count in (edges.low, edges.high)]
        assert min(ends) >= force_n - found.down_n - 1e-6
        assert max(ends) <= force_n + found.up_n + 1e-6
        assert edges.low <= edges.still_low <= edges.still_high <= edges.high
    assert span(found, params, "bars-1", None, [100.0, -3.0]) is None


@given(st.sampled_from(["0.2%", "C3"]), st.integers(0, 2**32 - 1))
def test_the_uncertainty_grows_by_less_than_the_room_allows_for_a_load_that_moves(kind, seed):
    chance = np.random.default_rng(seed)
    budget = rig_budget([(200 * KG, kind)] * 4)
    force_n = chance.uniform(-300, 900, (1, 4))
    moved_n = chance.uniform(-WIDEST_N, WIDEST_N, (1, 4))
    age_s = np.array([chance.uniform(0, 43_200)])
    before, after = (
        expanded(bar_uncertainty(each, age_s, budget)[0]) for each in (force_n, force_n + moved_n)
    )
    assert after - before <= U_PER_N * np.abs(moved_n).sum()
