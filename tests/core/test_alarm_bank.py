"""All alarms of a rig on made signals: when each comes, and that cutting the stream moves none."""

from dataclasses import fields, is_dataclass, replace
from itertools import pairwise
from unittest.mock import patch

import numpy as np
import pytest
from alarm_signals import (
    CELLS,
    KG,
    LIMITS,
    PLAN,
    QUICK,
    START_US,
    WEIGHT_N,
    at_work,
    missing,
    run,
    seconds,
    signal,
    wild_signals,
    works,
)
from ashibar.core import alarm_bank
from ashibar.core.alarm import Act
from ashibar.core.alarm_bank import (
    NOT_ARMED,
    act,
    alarm_level,
    first_bank,
    observe,
    replan,
    set_live,
    states_by_key,
    views,
)
from ashibar.core.alarm_calm import calm
from ashibar.core.alarm_conditions import SignalBlock, plan_alarms
from ashibar.core.alarm_states import Input, Priority, State
from ashibar.core.evaluate import Evaluation
from ashibar.core.records import RefusedError
from ashibar.core.validity import CellFault
from hypothesis import given, settings
from hypothesis import strategies as st


def raised(lines, key):
    """Seconds after the start at which `key` was raised."""
    return [(line.at_us - START_US) / 1e6 for line in lines if line.key == key and line.cause is Input.RAISE]


def state_of(bank, key, plan=PLAN):
    return states_by_key(plan, bank)[key]


def test_a_client_load_above_the_limit_for_0_3_s_raises_the_alarm_then():
    _, lines = run(signal(seconds((20, 2), (5, 1))))
    assert raised(lines, "client-over-limit") == [2.3]


def test_a_client_load_above_the_limit_for_less_raises_nothing():
    _, lines = run(signal(seconds((20, 2), (5, 0.3), (20, 2))))
    assert raised(lines, "client-over-limit") == []


def test_near_counts_the_uncertainty_and_the_limit_itself():
    at_limit = signal(np.full(80, 70 - 60 + 1.5), ripple_n=0.0)
    exact = replace(at_limit, client_n=np.full(80, 60 * KG - 10.0), u_client_n=np.full(80, 10.0))
    below = replace(exact, u_client_n=np.full(80, 9.99))
    assert raised(run(exact)[1], "client-near-limit") == [0.0]
    assert raised(run(below)[1], "client-near-limit") == []


def test_an_alarm_returns_only_2_kg_below_its_limit():
    standing, _ = run(signal(seconds((5, 1), (11.5, 5))))
    returned, _ = run(signal(seconds((5, 1), (12.5, 5))))
    assert state_of(standing, "client-over-limit").name is State.UNACKNOWLEDGED
    assert state_of(returned, "client-over-limit").name is State.RETURNED


def test_thirty_kilograms_more_on_the_bars_within_0_3_s_is_a_fall():
    fast = np.concatenate([np.full(80, 20.0), np.linspace(20, 51, 20), np.full(80, 51.0)])
    slow = np.concatenate([np.full(80, 20.0), np.linspace(20, 51, 40), np.full(80, 51.0)])
    assert len(raised(run(signal(fast))[1], "fall")) == 1
    assert raised(run(signal(slow))[1], "fall") == []


def test_more_than_1_2_body_weights_on_the_bars_is_a_fall_however_slowly_it_came():
    slow = np.concatenate([np.linspace(20, 83, 1000), np.linspace(83, 85, 200)])
    _, lines = run(signal(slow))
    first_above = int(np.argmax(slow > 1.2 * 70)) * 12_500 / 1e6
    assert raised(lines, "fall") == [first_above]


def test_a_fall_is_seen_across_a_cell_that_drops_out_for_less_than_half_a_second():
    load = seconds((20, 1), (55, 1))
    block = signal(load, fault=missing(len(load), 1, 0.9, 1.1, CellFault.DESYNC))
    assert raised(run(block)[1], "fall") == [1.1]


@pytest.mark.parametrize("load", [101, -101])
def test_a_hanger_above_its_working_load_latches_whether_pulled_or_pushed(load):
    forces = np.full((160, 4), 5.0)
    forces[80, 2] = load
    bank, lines = run(signal(forces))
    assert raised(lines, "hanger-overload:right-head") == [1.0]
    assert state_of(bank, "hanger-overload:right-head").latched
    assert not state_of(bank, "hanger-overload:right-foot").latched


def test_the_rig_above_the_engineers_rating_is_an_alarm():
    plan = plan_alarms(CELLS, replace(LIMITS, rig_rating_n=80 * KG))
    assert raised(run(signal(seconds((20, 2), (81, 1))), plan=plan)[1], "rig-over-rating") == [2.0]


def uneven(share, loaded_s):
    forces = np.zeros((round(loaded_s * 80), 4))
    forces[:, 0], forces[:, 1] = 20 * (1 - share), 20 * share
    return forces


def test_a_bar_that_hangs_at_one_end_for_30_s_of_load_is_uneven():
    idle = np.zeros((800, 4))
    forces = np.concatenate([uneven(0.05, 20), idle, uneven(0.05, 11)])
    _, lines = run(signal(forces))
    assert raised(lines, "uneven-hangers:left")[0] == pytest.approx(40.0, abs=0.03)
    assert raised(lines, "uneven-hangers:right") == []


def test_a_bar_held_evenly_in_between_is_not_uneven():
    forces = np.concatenate([uneven(0.05, 29), uneven(0.4, 0.1), uneven(0.05, 29)])
    assert raised(run(signal(forces))[1], "uneven-hangers:left") == []


def test_a_cell_that_reads_one_value_for_5_s_is_stuck_and_named():
    block = signal(np.full(80 * 8, 20.0))
    block.force_n[80:, 3] = 49.0
    bank, lines = run(block)
    assert raised(lines, "cell-fault:right-foot") == [pytest.approx(6.2)]
    assert state_of(bank, "cell-fault:right-foot").note == "stuck"
    assert raised(lines, "cell-fault:left-head") == []


def test_a_cell_noisier_than_three_times_its_record_is_a_fault():
    rng = np.random.default_rng(7)
    block = signal(np.full(80 * 12, 20.0))
    block.force_n[:, 0] += rng.normal(0, 2.0, len(block.utc_us))
    block.force_n[:, 1] += rng.normal(0, 1.0, len(block.utc_us))
    bank, lines = run(block)
    assert len(raised(lines, "cell-fault:left-head")) == 1
    assert state_of(bank, "cell-fault:left-head").note == "noise above its record"
    assert raised(lines, "cell-fault:left-foot") == []


def test_one_lost_reading_is_neither_a_fault_nor_an_error():
    load = np.full(160, 20.0)
    _, lines = run(signal(load, fault=missing(160, 0, 1.0, 1.0125, CellFault.DESYNC)))
    assert {line.cause for line in lines} == {Input.CLEAR}


def test_a_missing_cell_puts_what_depends_on_it_in_error_and_the_technical_alarm_names_it():
    load = np.full(240, 20.0)
    bank, lines = run(signal(load, fault=missing(240, 1, 1, 3, CellFault.NOT_READY)))
    unsure = {key for key, state in states_by_key(PLAN, bank).items() if state.name is State.ERROR}
    assert {"client-near-limit", "client-over-limit", "fall", "rig-over-rating"} <= unsure
    assert {"hanger-overload:left-foot", "uneven-hangers:left"} <= unsure
    assert not {"hanger-overload:left-head", "uneven-hangers:right", "cell-fault:left-foot"} & unsure
    assert raised(lines, "cell-fault:left-foot") == [1.2]
    assert state_of(bank, "cell-fault:left-foot").note == "not ready"
    lost = [line.at_us - START_US for line in lines if line.cause is Input.LOST and line.key == "fall"]
    assert lost == [round(0.9875e6) + 500_000]


def test_a_loss_that_ends_between_two_blocks_is_an_error_all_the_same():
    load, spacing = np.full(160, 20.0), np.full(160, 12_500)
    spacing[119] = 12_600
    times = START_US + np.cumsum(spacing)
    block = signal(load, times_us=times, fault=missing(160, 1, 1.0, 1.4875))
    assert [line for line in run(block)[1] if line.cause is Input.LOST]
    assert run(block, [119])[1] == run(block)[1]


def test_a_hole_in_the_record_is_an_error_until_samples_come_again():
    times = START_US + np.concatenate([np.arange(80), np.arange(320, 400)]) * 12_500
    _, lines = run(signal(np.full(160, 20.0), times_us=times))
    causes = [(line.cause, line.at_us) for line in lines if line.key == "client-over-limit"]
    assert causes[1:] == [(Input.LOST, START_US + 987_500 + 500_000), (Input.CLEAR, START_US + 4_000_000)]


def test_an_alarm_without_its_limit_is_not_armed_and_says_so():
    plan = plan_alarms(CELLS, replace(LIMITS, client_limit_n=None, rig_rating_n=None))
    bank, lines = run(signal(seconds((-90, 3))), plan=plan)
    assert raised(lines, "client-over-limit") == []
    shown = {view.key: view for view in views(plan, bank, bank.last_us)}
    assert not shown["client-over-limit"].armed
    rating = shown["rig-over-rating"]
    assert (rating.armed, rating.state) == (False, NOT_ARMED)
    assert rating.note == "not armed, no rating entered: enter one (ashibar inspect rating)"
    assert shown["fall"].armed


def test_an_alarm_that_is_not_armed_needs_no_samples_to_say_so():
    plan = plan_alarms(CELLS, replace(LIMITS, rig_rating_n=None))
    shown = {view.key: view.state for view in views(plan, first_bank(plan), START_US)}
    assert (shown["rig-over-rating"], shown["client-over-limit"]) == (NOT_ARMED, State.ERROR)


def test_a_stored_bank_goes_on_after_a_restart_with_its_alarms():
    first, _ = run(signal(seconds((20, 1), (101 * 4, 1))))
    again = first_bank(PLAN, states_by_key(PLAN, first), first.last_us)
    block = signal(np.full(80, 20.0), times_us=first.last_us + (1 + np.arange(80)) * 12_500)
    after, _ = run(block, bank=again)
    straight, _ = run(block, bank=first)
    assert states_by_key(PLAN, after) == states_by_key(PLAN, straight)
    assert state_of(after, "hanger-overload:left-head").latched


def test_time_without_the_host_is_an_error_on_record():
    first, _ = run(signal(np.full(80, 20.0)))
    again = first_bank(PLAN, states_by_key(PLAN, first), first.last_us)
    later = signal(np.full(80, 20.0), times_us=first.last_us + 3_600_000_000 + np.arange(80) * 12_500)
    _, lines = run(later, bank=again)
    assert lines[0].cause is Input.LOST
    assert lines[0].at_us == first.last_us + 500_000


def test_shown_alarms_are_in_error_once_no_sample_is_fresh():
    bank, _ = run(signal(np.full(80, 20.0)))
    fresh = {view.key: view.state for view in views(PLAN, bank, bank.last_us + 400_000)}
    stale = {view.key: view.state for view in views(PLAN, bank, bank.last_us + 600_000)}
    assert fresh["client-over-limit"] is State.NORMAL
    assert stale["client-over-limit"] is State.ERROR


def test_what_was_evaluated_no_longer_says_that_it_was_not():
    bank, _ = run(signal(np.full(80, 20.0)))
    shown = {view.key: view.note for view in views(PLAN, bank, bank.last_us)}
    assert (shown["client-over-limit"], shown["no-data"]) == ("", "not evaluated yet")


def test_a_clock_set_back_keeps_alarms_and_begins_delays_anew():
    late = signal(seconds((5, 1), (20, 2), (5, 0.2)))
    bank, _ = run(late)
    assert state_of(bank, "client-over-limit").name is State.RETURNED
    early = signal(seconds((5, 1)), times_us=START_US - 3_600_000_000 + np.arange(80) * 12_500)
    bank, lines = run(early, bank=bank)
    assert raised(lines, "client-over-limit") == [-3600 + 0.3]
    assert not [line for line in lines if line.cause is Input.LOST]


def test_a_clock_set_back_within_a_block_is_the_same_as_between_two():
    first, second = signal(seconds((5, 1))), signal(seconds((20, 3)))
    names = SignalBlock.__slots__
    joined = SignalBlock(*(np.concatenate([getattr(first, n), getattr(second, n)]) for n in names))
    assert run(joined)[1] == run(joined, [80])[1]


def test_what_is_counted_by_time_takes_no_moment_twice():
    times = START_US + np.array([0, 1, 2, 1, 2, 3, 4]) * 12_500
    block = signal(np.full(7, 20.0), times_us=times)
    assert ((block.rising(START_US).utc_us - START_US) // 12_500).tolist() == [1, 2, 3, 4]


def test_the_load_models_results_are_taken_with_their_expanded_uncertainty():
    block = signal(np.full(80, 20.0))
    results = Evaluation(
        utc_us=block.utc_us, force_n=block.force_n, bar_n=block.bar_n, client_n=block.client_n,
        u_bar_n=block.u_client_n, u_client_n=block.u_client_n, motion=block.motion, validity=block.validity,
        fault=block.cell_fault, zero_age_s=np.zeros(80), zeroed=np.ones(80, bool),
    )  # fmt: skip
    taken = SignalBlock.of(results)
    assert (taken.u_client_n == 2 * block.u_client_n).all()
    assert (taken.cell_fault is block.cell_fault, taken.client_n is block.client_n) == (True, True)


def test_a_session_raises_the_priority_of_a_cell_fault_and_resets_its_acknowledgement():
    load = np.full(240, 20.0)
    bank, _ = run(signal(load, fault=missing(240, 1, 1, 3)))
    key = "cell-fault:left-foot"
    bank, _ = act(PLAN, bank, key, Act(Input.ACKNOWLEDGE, "Mei"), bank.last_us)
    assert alarm_level(PLAN, bank) == "medium"
    bank, lines = set_live(PLAN, bank, live=True, now_us=bank.last_us)
    assert [(line.key, line.after, line.priority) for line in lines] == [
        (key, State.UNACKNOWLEDGED, Priority.HIGH)
    ]
    assert alarm_level(PLAN, bank) == "high"


def test_a_restart_within_a_session_resets_no_acknowledgement():
    load = np.full(240, 20.0)
    bank, _ = run(signal(load, fault=missing(240, 1, 1, 3)))
    bank, _ = set_live(PLAN, bank, live=True, now_us=bank.last_us)
    bank, _ = act(PLAN, bank, "cell-fault:left-foot", Act(Input.ACKNOWLEDGE, "Mei"), bank.last_us)
    again = first_bank(PLAN, states_by_key(PLAN, bank), bank.last_us, live=True)
    again, lines = set_live(PLAN, again, live=True, now_us=bank.last_us)
    assert lines == ()
    assert state_of(again, "cell-fault:left-foot").name is State.ACKNOWLEDGED


def test_a_limit_taken_away_clears_its_alarm_and_says_why():
    bank, _ = run(signal(seconds((5, 2))))
    bare = plan_alarms(CELLS, replace(LIMITS, client_limit_n=None))
    bank, lines = replan(PLAN, bare, bank, bank.last_us)
    assert {line.key: line.after for line in lines} == {
        "client-near-limit": State.RETURNED,
        "client-over-limit": State.RETURNED,
    }
    assert lines[0].note == "its limit was taken away"


def test_a_limit_given_arms_its_alarm_at_the_next_sample():
    bare = plan_alarms(CELLS, replace(LIMITS, client_limit_n=None))
    block = signal(seconds((5, 4)))
    bank, _ = run(block.part(0, 160), plan=bare)
    bank, _ = replan(bare, PLAN, bank, bank.last_us)
    _, lines = run(block.part(160, 320), bank=bank)
    assert raised(lines, "client-over-limit") == [2.3]


def test_the_host_observes_its_own_alarms_and_no_others():
    bank, lines = observe(PLAN, first_bank(PLAN), {"store-full": True}, START_US, {"store-full": "3 % free"})
    assert (lines[0].after, lines[0].note) == (State.UNACKNOWLEDGED, "3 % free")
    with pytest.raises(KeyError, match="the signal decides"):
        observe(PLAN, bank, {"fall": False}, START_US)


def test_an_alarm_whose_limit_is_gone_can_be_acknowledged_and_then_shows_that_it_is_not_armed():
    bank, _ = run(signal(seconds((5, 2))))
    bare = plan_alarms(CELLS, replace(LIMITS, client_limit_n=None))
    bank, _ = replan(PLAN, bare, bank, bank.last_us)
    shown = {view.key: view.state for view in views(bare, bank, bank.last_us)}
    assert shown["client-over-limit"] is State.RETURNED
    bank, lines = act(bare, bank, "client-over-limit", Act(Input.ACKNOWLEDGE, "Mei"), bank.last_us)
    assert [(line.by, line.after) for line in lines] == [("Mei", State.NORMAL)]
    shown = {view.key: view.state for view in views(bare, bank, bank.last_us)}
    assert shown["client-over-limit"] == NOT_ARMED


def test_shelving_an_alarm_that_is_not_armed_and_acting_on_one_not_there_is_refused():
    bare = plan_alarms(CELLS, replace(LIMITS, client_limit_n=None))
    shelve = Act(Input.SHELVE, "Mei", "later", 60.0)
    with pytest.raises(RefusedError, match="set the limit first"):
        act(bare, first_bank(bare), "client-over-limit", shelve, START_US)
    with pytest.raises(RefusedError, match="nothing to acknowledge"):
        act(bare, first_bank(bare), "client-over-limit", Act(Input.ACKNOWLEDGE, "Mei"), START_US)
    with pytest.raises(KeyError, match="ashibar alarms"):
        act(PLAN, first_bank(PLAN), "nothing", Act(Input.ACKNOWLEDGE, "Mei"), START_US)


@settings(max_examples=60, **QUICK)
@given(wild_signals(), st.lists(st.integers(0, 2500), max_size=30))
def test_cutting_the_stream_anywhere_changes_no_alarm(block, cuts):
    cuts = {cut % (len(block.utc_us) + 1) for cut in cuts}
    whole_bank, whole = run(block)
    cut_bank, cut = run(block, cuts)
    assert cut == whole
    assert cut_bank.states == whole_bank.states


def same(one, other):
    """Whether two banks, carries or arrays agree in every bit."""
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    if is_dataclass(one):
        return all(same(getattr(one, each.name), getattr(other, each.name)) for each in fields(one))
    return one == other


def stepwise(plan, block, cuts):
    bank, banks = first_bank(plan), []
    edges = [0, *sorted(cuts), len(block.utc_us)]
    for start, stop in pairwise(edges):
        bank, lines = alarm_bank.advance(plan, bank, block.part(start, stop))
        banks.append((bank, lines))
    return banks


@settings(max_examples=20, **QUICK)
@given(st.one_of(wild_signals(), works()), st.sampled_from([1, 3, 10, 17, 80]))
def test_a_block_in_which_nothing_happens_leaves_what_asking_every_sample_leaves(block, size):
    cuts = range(size, len(block.utc_us), size)
    quick = stepwise(PLAN, block, cuts)
    with patch.object(alarm_bank, "calm", return_value=None):
        full = stepwise(PLAN, block, cuts)
    assert all(a[1] == b[1] and same(a[0], b[0]) for a, b in zip(quick, full, strict=True))


def test_most_blocks_of_somebody_at_work_are_such():
    with patch.object(alarm_bank, "calm", wraps=alarm_bank.calm) as asked:
        found = []
        asked.side_effect = lambda *args: found.append(calm(*args)) or found[-1]
        stepwise(PLAN, at_work(1, 800), range(10, 800, 10))
    assert sum(each is not None for each in found) > 0.9 * 79


@settings(max_examples=12, **QUICK)
@given(wild_signals())
def test_one_sample_at_a_time_gives_the_same_alarms(block):
    whole_bank, whole = run(block)
    single_bank, single = run(block, range(1, len(block.utc_us)))
    assert single == whole
    assert single_bank.states == whole_bank.states


def naive_over(block, limit_n):
    """The over-limit alarm written as plainly as can be: raise and clear times, sample by sample."""
    above, since, standing, known_us, events = False, None, None, None, []
    for at, client_n in zip(block.utc_us.tolist(), block.client_n.tolist(), strict=True):
        if known_us is not None and at - known_us >= 500_000 and standing is not None:
            standing, since = None, None
            events.append(("lost", known_us + 500_000))
        if np.isnan(client_n):
            continue
        before = above
        above = client_n > limit_n or (above and client_n > limit_n - 2 * KG)
        if since is None or before != above or (known_us is not None and at - known_us >= 500_000):
            since = at
        known_us = at
        if above and standing is not True and at - since >= 300_000:
            standing = True
            events.append(("raise", at))
        elif not above and standing is not False and (standing is None or at - since >= 1_000_000):
            standing = False
            events.append(("clear", at))
    if standing is not None and block.utc_us[-1] - known_us >= 500_000:
        events.append(("lost", known_us + 500_000))
    return events


@settings(max_examples=60, **QUICK)
@given(wild_signals())
def test_the_over_limit_alarm_is_that_of_a_plain_walk_over_the_samples(block):
    _, lines = run(block)
    got = [(str(line.cause), line.at_us) for line in lines if line.key == "client-over-limit"]
    assert got == naive_over(block, LIMITS.client_limit_n)


@settings(max_examples=40, **QUICK)
@given(wild_signals())
def test_the_fall_alarm_is_raised_where_a_plain_search_finds_the_rise(block):
    bar, times = block.bar_n.tolist(), block.utc_us.tolist()
    found = set()
    for i, load in enumerate(bar):
        j = i
        while j >= 0 and times[i] - times[j] <= 300_000:
            if load - bar[j] > 30 * KG:
                found.add(times[i])
            j -= 1
        if load > 1.2 * WEIGHT_N:
            found.add(times[i])
    _, lines = run(block)
    at = [line.at_us for line in lines if line.key == "fall" and line.cause is Input.RAISE]
    assert set(at) <= found
    assert bool(at) == bool(found)
    assert not found or at[0] == min(found)
