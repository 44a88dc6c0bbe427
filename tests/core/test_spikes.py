"""The spike rule: what is dropped, and everything that is not."""

import numpy as np
import pytest
from ashibar.core import spikes
from loads import KG, T0, column, cut, rig, run, samples, stamps, steady

AT = 20


def blow(cell, kg, at=AT, count=40, cells=4):
    force_n = steady([5] * cells, count)
    force_n[at, cell] += kg * KG
    return force_n


def dropped(force_n, params=None, utc_us=None):
    state, parts = run(params or rig(), samples(force_n, utc_us=utc_us))
    assert len(column(parts, "utc_us")) == len(force_n) - state.spikes_dropped
    return state.spikes_dropped


@pytest.mark.parametrize("kg", [5.5, -5.5, 80])
def test_one_sample_of_one_cell_far_off_among_quiet_neighbours_is_dropped(kg):
    assert dropped(blow(1, kg)) == 1


def test_the_record_says_which_cell_when_and_what_it_read():
    _, parts = run(rig(), samples(blow(2, 30)))
    (spike,) = parts[0].spikes
    assert (spike.hanger, spike.utc_us) == ("right-head", stamps(40)[AT])
    assert spike.force_n == pytest.approx(35 * KG, abs=0.01)


def test_less_than_five_kilograms_stays():
    assert dropped(blow(1, 4.9)) == 0


def test_what_one_cell_sees_twice_is_load():
    force_n = blow(1, 20)
    force_n[AT + 1, 1] += 20 * KG
    assert dropped(force_n) == 0


@pytest.mark.parametrize("other", [0, 2])
@pytest.mark.parametrize("kg", [20, 1, -1])
def test_what_another_cell_sees_too_is_load(other, kg):
    force_n = blow(1, 20)
    force_n[AT, other] += kg * KG
    assert dropped(force_n) == 0


@pytest.mark.parametrize("step", [-2, -1, 1, 2])
def test_neighbours_that_do_not_agree_within_a_kilogram_keep_it(step):
    force_n = blow(1, 20)
    force_n[AT + step, 1] += 1.5 * KG
    assert dropped(force_n) == 0


def test_a_step_of_the_load_stays_whole():
    force_n = steady([5] * 4, 40)
    force_n[AT:, 1] += 20 * KG
    assert dropped(force_n) == 0


@pytest.mark.parametrize("at", [0, 1, 38, 39])
def test_a_sample_without_two_neighbours_on_each_side_stays(at):
    assert dropped(blow(1, 20, at=at)) == 0


def test_a_sample_beside_a_hole_in_the_data_stays():
    whole = samples(blow(1, 20))
    first, _, last = cut(whole, [AT + 1, AT + 2])
    state, _ = run(rig(), [first, last])
    assert state.spikes_dropped == 0


def test_a_sample_beside_a_pause_stays():
    utc_us = stamps(40)
    utc_us[AT + 1 :] += 200_000
    assert dropped(blow(1, 20), utc_us=utc_us) == 0


def test_an_unknown_cell_cannot_vouch_for_the_others():
    made = samples(blow(1, 20))
    made.counts[AT, 3] = -0x800001
    state, _ = run(rig(), made)
    assert state.spikes_dropped == 0


def test_a_lonely_cell_keeps_every_sample():
    assert dropped(blow(0, 20, cells=1), rig(nodes=("bars",), names=("left-head",))) == 0


def test_a_bar_whose_other_end_is_on_another_node_keeps_every_sample():
    params = rig(nodes=("a", "b", "a", "b"))
    state, _ = run(params, [samples(blow(0, 20, cells=2), node="a"), samples(blow(0, 0, cells=2), node="b")])
    assert state.spikes_dropped == 0


def test_a_spike_on_one_of_two_nodes_leaves_the_rig_a_value_between_its_neighbours():
    params = rig(nodes=("a", "a", "b", "b"))
    first, second = samples(blow(0, 0, cells=2), node="a"), samples(blow(0, 30, cells=2), node="b")
    state, parts = run(params, [first, second])
    assert state.spikes_dropped == 1
    assert column(parts, "bar_n") == pytest.approx(np.full(40, 20 * KG), abs=0.01)


def test_spikes_are_no_peaks_and_no_motion():
    state, parts = run(rig(), samples(blow(1, 60)))
    assert state.peaks.bar_max_n == pytest.approx(20 * KG, abs=0.01)
    assert not column(parts, "motion").any()


def test_nothing_to_judge_is_no_spike():
    assert spikes.find(np.zeros((3, 4)), stamps(3, from_us=T0), np.ones(3, bool)) is None
    assert spikes.withheld(np.zeros((1, 4))).tolist() == [False]
