"""The figures of a session, against numbers worked out by hand and against other cuts of the same stream."""

from dataclasses import replace
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from alarm_signals import CELLS, KG, QUICK, START_US, WEIGHT_N, missing, seconds, signal, wild_signals
from ashibar.core.bodyweight import BodyWeight
from ashibar.core.session import Terms
from ashibar.core.session_summary import (
    BIN_N,
    Account,
    Bands,
    Summary,
    bands_of,
    begin,
    finish,
    fold,
    with_bands,
)
from ashibar.core.validity import Validity
from hypothesis import given, settings
from hypothesis import strategies as st

BANDS = Bands(target_low_n=20 * KG, target_high_n=40 * KG, limit_n=60 * KG, body_weight_n=WEIGHT_N)
ACCOUNT = Account(expected=800, stored=800, missing=0)


def summary(block, *, bands=BANDS, ended_us=None, cuts=()):
    state = begin(CELLS, bands, START_US - 12_500)
    edges = [0, *sorted(cuts), len(block.utc_us)]
    for start, stop in pairwise(edges):
        state = fold(state, block.part(start, stop), ["bars:3"], ["session@1"])
    return finish(state, int(block.utc_us[-1]) if ended_us is None else ended_us, ACCOUNT, incidents=2)


def test_time_is_divided_into_bands_that_add_up_to_the_whole():
    told = summary(signal(seconds((60, 1), (40, 2), (20, 3), (5, 4)), ripple_n=0.0))
    assert (told.below_s, told.in_target_s, told.above_target_s, told.over_limit_s) == (
        1.0,
        2.0,
        3.0,
        (4.0, 4.0),
    )
    assert told.duration_s == told.known_s == 10.0
    assert told.unknown_s == 0.0


def test_time_above_the_limit_is_a_range_where_the_load_was_not_known():
    load = seconds((20, 2), (5, 1), (20, 3))
    told = summary(signal(load, fault=missing(len(load), 2, 4, 5.5)))
    assert told.over_limit_s == (1.0, 2.5)
    assert told.validity_share["fault"] == 1.5 / 6


def test_a_hole_in_the_record_and_a_missing_end_count_as_unknown():
    times = START_US + np.concatenate([np.arange(80), np.arange(320, 400)]) * 12_500
    told = summary(signal(np.full(160, 20.0), times_us=times), ended_us=int(times[-1]) + 2_000_000)
    assert told.unknown_s == pytest.approx(3.0125 + 2.0)
    assert told.known_s + told.unknown_s == told.duration_s
    assert told.validity_share["no data"] == told.unknown_s / told.duration_s


def test_without_limits_time_is_not_divided_and_nothing_is_invented():
    told = summary(signal(seconds((20, 2))), bands=Bands())
    assert (told.below_s, told.in_target_s, told.above_target_s, told.over_limit_s) == (
        None,
        None,
        None,
        None,
    )
    assert told.hangs == 0


def test_peaks_are_those_of_single_samples_with_their_times():
    load = seconds((20, 5))
    load[100], load[200] = -11, 90
    told = summary(signal(load, ripple_n=0.0))
    assert told.client_max.value_n == pytest.approx(81 * KG)
    assert told.client_max.at_us == told.bar_min.at_us == START_US + 100 * 12_500
    assert told.bar_max.value_n == pytest.approx(90 * KG)
    assert told.bar_max.at_us == told.cell_max["right-foot"].at_us == START_US + 200 * 12_500


def test_percentiles_are_of_time_and_never_below_the_true_ones():
    rng = np.random.default_rng(3)
    block = signal(rng.uniform(5, 60, 4000))
    told = summary(block)
    for percent, value_n in told.percentiles_n.items():
        true_n = np.percentile(block.client_n, int(percent), method="inverted_cdf")
        assert true_n <= value_n <= true_n + BIN_N


def test_a_percentile_at_the_edge_of_a_bin_is_that_edge():
    told = summary(signal(np.full(80, 30.0), ripple_n=0.0))
    assert told.percentiles_n["50"] == pytest.approx(40 * KG, abs=BIN_N + 1e-9)
    assert told.percentiles_n["50"] >= 40 * KG - 1e-9


def test_a_hang_is_a_second_or_more_with_hardly_anything_left_on_the_client():
    told = summary(
        signal(seconds((20, 1), (69, 2.5), (20, 1), (69, 0.9), (20, 1), (68, 1), (20, 1)), ripple_n=0.0)
    )
    assert told.hangs == 2
    assert told.hang_s == 3.5


def test_shares_of_the_bars_follow_the_load_integrated_over_time():
    forces = np.zeros((160, 4))
    forces[:80, :2], forces[80:, 2:] = 15, 5
    assert summary(signal(forces, ripple_n=0.0)).bar_share == pytest.approx(
        {"left": 0.75, "right": 0.25}, abs=1e-5
    )


def test_motion_is_a_share_of_the_time_with_a_figure():
    block = signal(np.full(160, 20.0))
    told = summary(replace(block, motion=np.arange(160) < 40))
    assert told.motion_share == 0.25


def test_the_summary_names_what_it_rests_on():
    told = summary(signal(np.full(80, 20.0)))
    assert (told.calibrations, told.zeros, told.incidents) == (("bars:3",), ("session@1",), 2)
    assert (told.samples, told.samples_evaluated) == (ACCOUNT, 80)
    assert told.validity_share == {Validity.VALID.label: 1.0, "no data": 0.0}


def test_limits_changed_in_mid_session_divide_what_follows():
    block = signal(seconds((20, 2)), ripple_n=0.0)
    state = fold(begin(CELLS, BANDS, START_US - 12_500), block.part(0, 80))
    state = fold(with_bands(state, msgspec.structs.replace(BANDS, limit_n=45 * KG)), block.part(80, 160))
    told = finish(state, int(block.utc_us[-1]), ACCOUNT, 0)
    assert told.over_limit_s == (1.0, 1.0)
    assert told.above_target_s == 1.0


def test_a_target_in_shares_of_body_weight_becomes_a_load():
    weight = BodyWeight(700.0, "scale", 3.0, START_US)
    terms = Terms(body_weight=weight, client_limit_n=600.0, target_low=0.25, target_high=0.5)
    assert bands_of(terms) == Bands(
        target_low_n=175.0, target_high_n=350.0, limit_n=600.0, body_weight_n=700.0
    )
    assert bands_of(Terms(target_low=0.25, target_high=0.5)) == Bands()


def test_a_session_without_a_single_sample_has_a_summary_that_says_so():
    told = finish(
        begin(CELLS, BANDS, START_US),
        START_US + 60_000_000,
        Account(expected=4800, stored=0, missing=4800),
        0,
    )
    assert (told.known_s, told.unknown_s, told.over_limit_s) == (0.0, 60.0, (0.0, 60.0))
    assert told.client_max is told.mean_client_n is told.motion_share is None


def test_samples_out_of_order_or_before_the_start_are_refused():
    block = signal(np.full(80, 20.0))
    with pytest.raises(ValueError, match="in order"):
        fold(begin(CELLS, BANDS, START_US + 1), block)
    with pytest.raises(ValueError, match="in order"):
        fold(fold(begin(CELLS, BANDS, START_US), block), block)


@settings(max_examples=60, **QUICK)
@given(wild_signals(), st.lists(st.integers(0, 2500), max_size=20))
def test_cutting_the_stream_anywhere_changes_no_digit(block, cuts):
    cuts = {cut % (len(block.utc_us) + 1) for cut in cuts}
    assert msgspec.json.encode(summary(block, cuts=cuts)) == msgspec.json.encode(summary(block))


@settings(max_examples=20, **QUICK)
@given(wild_signals())
def test_a_summary_reads_back_from_json_number_by_number(block):
    told = summary(block)
    assert msgspec.json.decode(msgspec.json.encode(told), type=Summary) == told
