"""The load model over a stream: forces, sums, validity, several nodes, and that cuts change nothing."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from ashibar.core.bodyweight import BodyWeight
from ashibar.core.evaluate import NodeSamples, advance, flush, provisional, start
from ashibar.core.rig import Zero
from ashibar.core.validity import CellFault, Validity
from hypothesis import example, given, settings
from hypothesis import strategies as st
from loads import HOUR_US, KG, T0, calibration, column, counts_of, cut, rig, run, samples, stamps, steady

NAMES = ("utc_us", "force_n", "bar_n", "client_n", "u_bar_n", "u_client_n", "motion", "validity", "fault")


def stream(seed, count=400):
    """Forces with steps, noise, single spikes and blows: something for every rule to chew on."""
    random = np.random.default_rng(seed)
    force_n = random.normal(0, 0.5, (count, 4)) + 50
    force_n[count // 3 :] += random.uniform(0, 100, 4)
    for at in random.integers(3, count - 3, 6):
        force_n[at, random.integers(0, 4)] += 200
    force_n[count // 2] += 120
    return force_n


def with_codes(made, seed):
    random = np.random.default_rng(seed)
    counts = made.counts.copy()
    for at in random.integers(0, len(counts), 5):
        counts[at, random.integers(0, counts.shape[1])] = random.choice(
            [-0x800001, -0x800005, 0x7FFFFF, -0x900000]
        )
    return NodeSamples(made.node, made.boot, made.first_index, made.utc_us, counts, made.calibration)


def same(one, other):
    assert one[0].spikes_dropped == other[0].spikes_dropped
    assert one[0].peaks == other[0].peaks
    for name in NAMES:
        # A vectorised square root may differ in its last bit with the length of the piece.
        np.testing.assert_allclose(column(one[1], name), column(other[1], name), rtol=1e-14, err_msg=name)
    assert [s for p in one[1] for s in p.spikes] == [s for p in other[1] for s in p.spikes]


@settings(max_examples=40)
@given(
    st.integers(0, 1000), st.lists(st.integers(1, 399), max_size=40), st.lists(st.integers(1, 40), max_size=8)
)
def test_cutting_the_stream_of_one_node_anywhere_changes_nothing(seed, edges, batches):
    whole = with_codes(samples(stream(seed)), seed)
    pieces, grouped = cut(whole, edges), []
    for size in batches:
        grouped.append(pieces[:size])
        pieces = pieces[size:]
    grouped.append(pieces)
    same(run(rig(), whole), run(rig(), *grouped))


@settings(max_examples=25)
@given(st.integers(0, 1000), st.lists(st.integers(0, 5_000_000), max_size=15), st.booleans())
@example(0, [1_812_500, 3_037_500], True)  # a batch in which the sum is never known
def test_cutting_the_streams_of_two_nodes_at_any_time_changes_nothing(seed, times, silent):
    params = rig(nodes=("left", "left", "right", "right"))
    force_n = stream(seed)
    left = samples(force_n[:, :2], node="left")
    right_us = stamps(380, 76.3, T0 + 4321)
    right = samples(force_n[:380, 2:], node="right", utc_us=right_us)
    nodes = [left, *cut(right, [100, 250])[:: 2 if silent else 1]]
    batches = []
    limits = [T0 - 1, *sorted(T0 + time for time in times), T0 + 10**9]
    for low, high in pairwise(limits):
        part = []
        for item in nodes:
            a, b = np.searchsorted(item.utc_us, [low, high], side="right")
            if b > a:
                at = slice(a, b)
                part.append(
                    NodeSamples(
                        item.node,
                        1,
                        item.first_index + int(a),
                        item.utc_us[at],
                        item.counts[at],
                        item.calibration,
                    )
                )
        batches.append(part)
    same(run(params, nodes), run(params, *batches))


def test_the_figure_is_body_weight_minus_the_signed_sum():
    _, parts = run(rig(), samples(steady([10, 5, 8, -3])))
    assert column(parts, "bar_n") == pytest.approx(np.full(200, 20 * KG), abs=0.01)
    assert column(parts, "client_n") == pytest.approx(np.full(200, 50 * KG), abs=0.01)
    assert (column(parts, "validity") == Validity.VALID).all()


def test_pushing_up_with_20_kg_puts_body_weight_and_20_kg_on_the_client():
    _, parts = run(rig(), samples(steady([-5, -5, -5, -5])))
    assert column(parts, "client_n")[-1] == pytest.approx(90 * KG, abs=0.01)
    assert column(parts, "validity")[-1] == Validity.VALID


def test_a_hand_outside_the_supports_gives_one_negative_hanger_and_no_error():
    _, parts = run(rig(), samples(steady([14, -4, 0, 0])))
    assert column(parts, "force_n")[-1, 1] == pytest.approx(-4 * KG, abs=0.01)
    assert column(parts, "bar_n")[-1] == pytest.approx(10 * KG, abs=0.01)
    assert (column(parts, "fault") == CellFault.OK).all()
    assert column(parts, "validity")[-1] == Validity.VALID


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        (-0x800001, CellFault.NOT_READY),
        (-0x800002, CellFault.DESYNC),
        (-0x800003, CellFault.SATURATED_HIGH),
        (-0x800004, CellFault.SATURATED_LOW),
        (-0x800005, CellFault.ABSENT),
        (-0x800006, CellFault.UNKNOWN),
        (0x800000, CellFault.UNKNOWN),
        (0x7FFFFF, CellFault.SATURATED_HIGH),
        (-0x800000, CellFault.SATURATED_LOW),
    ],
)
def test_a_code_is_a_fault_and_never_a_weight(code, fault):
    made = samples(steady([5, 5, 5, 5], 20))
    made.counts[10, 2] = code
    _, parts = run(rig(), made)
    assert column(parts, "fault")[10].tolist() == [0, 0, fault, 0]
    assert np.isnan(column(parts, "force_n")[10, 2])
    assert np.isnan(
        [column(parts, name)[10] for name in ("bar_n", "client_n", "u_bar_n", "u_client_n")]
    ).all()
    assert column(parts, "validity").tolist().count(Validity.FAULT) == 1


def test_one_missing_channel_gives_no_number():
    _, parts = run(rig(), samples(steady([5, 5, 5])))
    assert np.isnan(column(parts, "client_n")).all()
    assert (column(parts, "fault")[:, 3] == CellFault.ABSENT).all()


def test_a_node_without_calibration_gives_no_number():
    _, parts = run(rig(), samples(steady([5] * 4), known=False))
    assert (column(parts, "fault") == CellFault.UNCALIBRATED).all()
    assert (column(parts, "validity") == Validity.FAULT).all()


@pytest.mark.parametrize(
    ("changes", "validity"),
    [
        ({}, Validity.VALID),
        ({"calibration_due_us": T0}, Validity.CALIBRATION_OVERDUE),
        ({"body_weight": None, "calibration_due_us": T0}, Validity.NO_BODY_WEIGHT),
        ({"body_weight": BodyWeight(700, "typed", 10, T0 - 13 * HOUR_US)}, Validity.NO_BODY_WEIGHT),
        ({"zero_max_age_s": 60.0, "body_weight": None}, Validity.NOT_ZEROED),
        ({"zero": Zero("session", (1000,) * 4, T0 - 13 * HOUR_US)}, Validity.NOT_ZEROED),
        ({"zero": Zero("factory", (1000,) * 4, T0)}, Validity.NOT_ZEROED),
        ({"session_required": True, "zero_max_age_s": 60.0}, Validity.NOT_IN_SESSION),
        ({"session_required": True, "in_session": True}, Validity.VALID),
    ],
)
def test_the_worst_condition_that_applies_is_the_validity(changes, validity):
    _, parts = run(replace(rig(), **changes), samples(steady([5] * 4)))
    assert set(column(parts, "validity").tolist()) == {validity}


def test_a_session_zero_takes_the_place_of_the_calibrations():
    zero = Zero("session", tuple((1000 + 2000 * np.arange(4)).tolist()), T0)
    _, parts = run(rig(zero=zero), samples(steady([5] * 4)))
    assert column(parts, "force_n")[0] == pytest.approx(5 * KG - 2.0 * np.arange(4), abs=0.01)


def test_results_lag_two_samples_and_the_live_figure_none():
    params = rig()
    state, final = advance(start(params), [samples(steady([5] * 4, 50))], params)
    live = provisional(state, params)
    assert len(final) == 48
    assert live.utc_us.tolist() == stamps(50)[48:].tolist()
    assert live.bar_n[-1] == pytest.approx(20 * KG, abs=0.01)
    assert state.newest_utc_us == stamps(50)[-1]


def test_a_sample_of_one_cell_that_jumps_is_withheld_from_the_live_figure_until_it_is_decided():
    params = rig()
    force_n = steady([5] * 4, 51)
    force_n[50, 1] += 20 * KG
    state, _ = advance(start(params), [samples(force_n)], params)
    assert provisional(state, params).bar_n.tolist() == pytest.approx([20 * KG], abs=0.01)
    again = samples(force_n[50:], first_index=51, utc_us=stamps(52)[51:])
    state, _ = advance(state, [again], params)
    live = provisional(state, params)
    assert live.bar_n.tolist() == pytest.approx([40 * KG, 40 * KG], abs=0.01), "seen twice: it is load"


def test_a_jump_that_two_cells_see_is_live_at_once():
    params = rig()
    force_n = steady([5] * 4, 51)
    force_n[50, :2] += 20 * KG
    state, _ = advance(start(params), [samples(force_n)], params)
    assert provisional(state, params).bar_n[-1] == pytest.approx(60 * KG, abs=0.01)


def test_samples_that_come_late_are_counted_and_change_nothing():
    whole = samples(stream(3))
    first, second, third = cut(whole, [100, 200])
    state, parts = run(rig(), [first, third], [second, first], [third])
    assert state.late == 100 + 100 + 200
    assert (
        np.array_equal(column(parts, "utc_us"), np.delete(whole.utc_us, slice(100, 200))) or parts[0].spikes
    )


def test_a_clock_set_back_begins_a_new_stretch():
    first, second = cut(samples(steady([5] * 4, 100)), [50])
    back = NodeSamples("bars", 1, 50, second.utc_us - HOUR_US, second.counts, second.calibration)
    state, parts = run(rig(), first, back)
    assert len(column(parts, "utc_us")) == 100
    assert state.newest_utc_us == back.utc_us[-1]
    assert state.late == 0


def test_a_restart_of_the_node_goes_on_and_its_earlier_boot_is_late():
    first, second = cut(samples(steady([5] * 4, 100)), [50])
    other = NodeSamples("bars", 2, 0, second.utc_us, second.counts, second.calibration)
    state, parts = run(rig(), [first, other, second])
    assert len(column(parts, "utc_us")) == 100
    assert state.late == 50


def test_samples_of_a_node_the_rig_has_not_are_ignored():
    _, parts = run(rig(), [samples(steady([9] * 4), node="other"), samples(steady([5] * 4))])
    assert column(parts, "bar_n") == pytest.approx(np.full(200, 20 * KG), abs=0.01)


def two_nodes():
    return rig(nodes=("left", "left", "right", "right"))


def test_cells_of_two_nodes_are_read_at_the_same_moment():
    time_s = np.arange(400) / 80
    left = samples(np.outer(time_s * 10 * KG, [1, 1]), node="left")
    later_us = stamps(380, 77, T0 + 6000)
    right = samples(np.outer((later_us - T0) / 1e6 * 10 * KG, [1, 1]), node="right", utc_us=later_us)
    _, parts = run(two_nodes(), [left, right])
    bar_n = column(parts, "bar_n")[5:380]
    true_n = 40 * KG * (column(parts, "utc_us")[5:380] - T0) / 1e6
    assert np.abs(bar_n - true_n).max() < 0.05


def test_a_node_that_falls_silent_is_missing_after_half_a_second_and_never_held():
    left, right = samples(steady([5, 5], 400), node="left"), samples(steady([4, 4], 160), node="right")
    state, parts = run(two_nodes(), [left, right])
    fault = column(parts, "fault")
    assert (fault[:160] == 0).all()
    assert (fault[160:, 2:] == CellFault.MISSING).all()
    assert np.isnan(column(parts, "bar_n")[160:]).all()
    assert column(parts, "force_n")[-1, 0] == pytest.approx(5 * KG, abs=0.01)
    assert state.newest_utc_us == left.utc_us[-1]


def test_the_second_node_gives_the_ticks_when_the_first_falls_silent():
    left, right = samples(steady([5, 5], 80), node="left"), samples(steady([4, 4], 400), node="right")
    _, parts = run(two_nodes(), [left, right])
    utc_us = column(parts, "utc_us")
    assert utc_us[-1] == right.utc_us[-1]
    assert (np.diff(utc_us) > 0).all()
    assert column(parts, "force_n")[-1, 2:] == pytest.approx([4 * KG, 4 * KG], abs=0.01)


def test_the_live_figure_of_two_nodes_uses_what_is_younger_than_half_a_second():
    params = two_nodes()
    left = samples(steady([5, 5], 100), node="left")
    for behind_us, known in ((400_000, True), (600_000, False)):
        right = samples(steady([4, 4], 100), node="right", utc_us=stamps(100) - behind_us)
        state, _ = advance(start(params), [left, right], params)
        live = provisional(state, params)
        assert live.utc_us[-1] == left.utc_us[-1]
        assert np.isfinite(live.bar_n[-1]) == known


def test_flushing_twice_gives_nothing_more():
    params = rig()
    state, _ = advance(start(params), [samples(steady([5] * 4, 10))], params)
    state, rest = flush(state, params)
    assert len(rest) == 2
    assert len(flush(state, params)[1]) == 0


def test_counts_go_through_the_calibration_that_was_in_force():
    made = samples(steady([5] * 4, 100))
    first, second = cut(made, [60])
    coarse = type(calibration())(9, T0 - HOUR_US, (1000.0,) * 4, (0.002,) * 4)
    second = NodeSamples("bars", 1, 60, second.utc_us, second.counts, coarse)
    _, parts = run(rig(), [first, second])
    assert column(parts, "force_n")[59, 0] == pytest.approx(5 * KG, abs=0.01)
    assert column(parts, "force_n")[60, 0] == pytest.approx(10 * KG, abs=0.01)
    assert counts_of([5 * KG])[0] == made.counts[0, 0]
