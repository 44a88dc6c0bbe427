"""The alarms of the client's load wait for the first load on the bars of a session."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from alarm_signals import (
    CELLS,
    LIMITS,
    PLAN,
    QUICK,
    START_US,
    missing,
    run,
    seconds,
    signal,
    wild_signals,
)
from ashibar.core.alarm_bank import NOT_ARMED, first_bank, replan, set_live, states_by_key, views
from ashibar.core.alarm_conditions import plan_alarms
from ashibar.core.alarm_states import Input, State
from ashibar.core.hands import Hands
from hypothesis import given, settings
from hypothesis import strategies as st


def in_session(plan=PLAN):
    """A bank in whose rig a session has just begun."""
    bank, _ = set_live(plan, first_bank(plan), live=True, now_us=START_US)
    return bank


def raised(lines, key="client-over-limit"):
    return [(line.at_us - START_US) / 1e6 for line in lines if line.key == key and line.cause is Input.RAISE]


def shown(bank, plan=PLAN):
    return {view.key: view for view in views(plan, bank, bank.last_us)}


def test_a_session_begun_with_hands_off_raises_no_limit_alarm_and_says_what_it_waits_for():
    bank, lines = run(signal(seconds((0, 30))), bank=in_session())
    assert (raised(lines), raised(lines, "client-near-limit")) == ([], [])
    view = shown(bank)["client-over-limit"]
    assert (view.state, view.armed) == (NOT_ARMED, False)
    assert "first load on the bars" in view.note
    assert shown(bank)["fall"].armed


@pytest.mark.parametrize("kg", [3, -3])
def test_two_kilograms_for_a_second_arm_whether_pulled_or_pushed(kg):
    bank, lines = run(signal(seconds((0, 5), (kg, 3))), bank=in_session())
    assert raised(lines) == [6.3]  # a second of load, then the alarm's own delay
    assert shown(bank)["client-over-limit"].state is State.UNACKNOWLEDGED


def test_a_bar_bumped_in_passing_or_hands_too_light_do_not_arm():
    _, lines = run(signal(seconds((0, 2), (8, 0.9), (0, 2), (8, 0.9), (1.8, 20))), bank=in_session())
    assert raised(lines) == []


def test_one_bar_pulled_and_one_pushed_are_hands_on_the_bars():
    force_kg = np.tile([5.0, 5.0, -5.0, -5.0], (160, 1))
    _, lines = run(signal(force_kg), bank=in_session())
    assert raised(lines) == [1.3]


def test_once_armed_it_stays_armed_until_the_session_ends():
    bank, lines = run(signal(seconds((20, 2), (0, 2))), bank=in_session())
    assert raised(lines) == [2.3]
    bare = plan_alarms(CELLS, replace(LIMITS, client_limit_n=None))
    bank, _ = replan(PLAN, bare, bank, bank.last_us)
    bank, _ = set_live(bare, bank, live=False, now_us=bank.last_us)
    assert shown(bank, bare)["client-over-limit"].state is State.RETURNED
    bank, _ = replan(bare, PLAN, bank, bank.last_us)
    bank, _ = set_live(PLAN, bank, live=True, now_us=bank.last_us)
    later = signal(seconds((0, 5)), times_us=bank.last_us + (1 + np.arange(400)) * 12_500)
    _, lines = run(later, bank=bank)
    assert raised(lines) == []


def test_a_load_before_the_hands_leaves_no_memory_of_having_been_above():
    """Full weight is above the limit of 60 kg; 58.5 kg with hands on lies in the deadband, not above."""
    _, lines = run(signal(seconds((0, 3), (11.5, 5))), bank=in_session())
    assert raised(lines) == []


def test_a_short_dropout_does_not_begin_the_second_anew_and_a_long_one_does():
    load = seconds((0, 1), (5, 4))
    short, long = missing(400, 1, 1.5, 1.9), missing(400, 1, 1.5, 2.1)
    _, lines = run(signal(load, fault=short), bank=in_session())
    assert raised(lines) == [2.3]
    _, lines = run(signal(load, fault=long), bank=in_session())
    assert raised(lines) == [3.4]


def test_a_bank_that_knows_of_no_beginning_of_the_session_is_armed():
    _, lines = run(signal(seconds((0, 2))), bank=first_bank(PLAN, live=True))
    assert raised(lines) == [0.3]


def test_what_was_known_of_the_hands_goes_on_after_a_restart():
    block = signal(seconds((0, 2), (5, 3)))
    first, _ = run(block.part(0, 200), bank=in_session())
    kept = msgspec.json.decode(msgspec.json.encode(first.carry.hands), type=Hands)
    again = first_bank(PLAN, states_by_key(PLAN, first), first.last_us, live=True, hands=kept)
    _, lines = run(block.part(200, 400), bank=again)
    assert raised(lines) == [3.3]


@settings(max_examples=40, **QUICK)
@given(wild_signals(), st.lists(st.integers(0, 2500), max_size=30))
def test_cutting_the_stream_anywhere_changes_nothing_of_it(block, cuts):
    cuts = {cut % (len(block.utc_us) + 1) for cut in cuts}
    whole_bank, whole = run(block, bank=in_session())
    cut_bank, cut = run(block, cuts, bank=in_session())
    assert whole == cut
    assert whole_bank.carry.hands == cut_bank.carry.hands
