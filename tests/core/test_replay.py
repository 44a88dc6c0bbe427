"""Recomputing: the same as live from the same samples, however they are cut and whatever changed."""

from dataclasses import replace

import msgspec
import numpy as np
from alarm_signals import LIMITS, PLAN, QUICK, seconds
from ashibar.core import alarm_bank
from ashibar.core.alarm import Act
from ashibar.core.alarm_conditions import SignalBlock
from ashibar.core.alarm_states import Input
from ashibar.core.bodyweight import BodyWeight
from ashibar.core.compare import by_key, differences
from ashibar.core.replay import Acted, Begin, Change, Evidence, HostEnd, Setting, derive
from ashibar.core.replay_signal import InForce, Taken, evaluations
from ashibar.core.session import End, SessionRules, SessionState, Start, Terms
from ashibar.core.session_summary import Account
from hypothesis import given, settings
from hypothesis import strategies as st
from loads import HANGERS, KG, T0, cut, rig, run, samples, stamps

WEIGHT = BodyWeight(70 * KG, "scale", 0.3 * KG, T0)
TERMS = Terms(body_weight=WEIGHT, client_limit_n=60 * KG, target_low=0.2, target_high=0.6)
START = Start(by="Mei", source="page", therapist="Mei", client_code="c-1", terms=TERMS)
END = End(by="Mei", source="page", notes="calm")
replace_struct = msgspec.structs.replace


def forces(load_kg, seed=0):
    """Forces [S, 4] of a total in kg, with noise, so that no cell looks stuck."""
    noise = np.random.default_rng(seed).normal(0, 0.05, (len(load_kg), 4))
    return np.asarray(load_kg)[:, None] * KG * np.array([0.3, 0.2, 0.3, 0.2]) + noise


def begin(**changes):
    return Begin(
        "room-1", HANGERS, Setting(LIMITS, False), SessionRules(), SessionState(rig="room-1"), **changes
    )


def at_us(second):
    return T0 + round(second * 1e6)


def derived(pieces, changes=(), history=None, until_us=2**60):
    """Derive from samples given in pieces, each a window of its own."""
    taken = Taken()
    history = history or [InForce(0, rig())]
    windows = taken.add([piece] for piece in pieces)

    def evidence(session):
        account = taken.account(["bars"], session.started_us, session.ended_us)
        return Evidence(
            account, taken.calibrations(["bars"], session.started_us, session.ended_us), frozenset()
        )

    return derive(begin(), evaluations(windows, history), changes, evidence, until_us)


LOAD = seconds((20, 4), (5, 3), (30, 3), (75, 2), (30, 4), (2, 4))


def session_changes():
    return [
        Change(at_us(1), at_us(1), START),
        Change(at_us(6.5), at_us(6.7), Acted("client-over-limit", Act(Input.ACKNOWLEDGE, "Mei"))),
        Change(at_us(18), at_us(18), END),
    ]


def test_a_session_its_alarms_and_its_incident_come_out_of_samples_and_actions():
    result = derived([samples(forces(LOAD))], session_changes(), until_us=at_us(20))
    (told,) = result.sessions
    assert told.session.notes == "calm"
    assert told.summary.duration_s == 17.0
    assert told.summary.samples == Account(expected=1360, stored=1360, missing=0)
    assert told.summary.calibrations == ("bars:1",)
    assert told.summary.over_limit_s[0] > 2.5
    assert [line.cause for line in result.alarms if line.key == "client-over-limit"] == [
        Input.CLEAR,
        Input.RAISE,
        Input.ACKNOWLEDGE,
        Input.CLEAR,
        Input.RAISE,
    ]
    assert len(result.incidents) == 1
    assert told.summary.incidents == 1
    kinds = [record.kind for record in result.records]
    assert kinds == ["unattended-use-began", "unattended-use-ended", "session-started", "session-ended"]


@settings(max_examples=25, **QUICK)
@given(st.lists(st.integers(1, len(LOAD) - 1), max_size=12))
def test_windows_of_any_size_give_the_same(edges):
    whole = samples(forces(LOAD))
    one = derived([whole], session_changes(), until_us=at_us(20))
    assert derived(cut(whole, edges), session_changes(), until_us=at_us(20)) == one


def test_alarms_are_those_of_the_live_run_with_the_actions_after_the_same_samples():
    whole = samples(forces(LOAD))
    bank, lines, changes = alarm_bank.first_bank(PLAN), [], []
    for number, part in enumerate(run(rig(), *cut(whole, range(0, len(LOAD), 10)))[1]):
        bank, more = alarm_bank.advance(PLAN, bank, SignalBlock.of(part))
        lines += more
        if number == 52:
            now_us = bank.last_us + 80_000
            act = Act(Input.ACKNOWLEDGE, "Mei")
            bank, more = alarm_bank.act(PLAN, bank, "client-over-limit", act, now_us)
            lines += more
            changes.append(Change(bank.last_us, now_us, Acted("client-over-limit", act)))
    announced = [line for line in lines if line.key in {a.key for a in PLAN.alarms[: PLAN.signals]}]
    assert any(line.cause is Input.ACKNOWLEDGE for line in announced)
    assert list(derived([whole], changes).alarms) == announced


def parameter_history():
    later = BodyWeight(80 * KG, "scale", 0.3 * KG, T0)
    return [
        InForce(0, rig()),
        InForce(at_us(8.101), rig(unit="lb")),
        InForce(at_us(12), replace(rig(), body_weight=later)),
    ]


def joined(pieces, history):
    parts = list(evaluations(([piece] for piece in pieces), history))
    return {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("utc_us", "client_n", "bar_n", "validity", "motion", "zero_age_s")
    }


def test_every_sample_is_weighed_with_the_parameters_of_its_own_time():
    result = joined([samples(forces(LOAD))], parameter_history())
    weight_kg = (result["client_n"] + result["bar_n"]) / KG
    changed = result["utc_us"] >= at_us(12)
    assert len(changed) == len(LOAD)
    np.testing.assert_allclose(weight_kg[~changed], 70.0)
    np.testing.assert_allclose(weight_kg[changed], 80.0)


@settings(max_examples=25, **QUICK)
@given(st.lists(st.integers(1, len(LOAD) - 1), max_size=12))
def test_a_change_of_parameters_falls_on_the_same_sample_however_windows_end(edges):
    whole = samples(forces(LOAD))
    one, other = joined([whole], parameter_history()), joined(cut(whole, edges), parameter_history())
    for name, column in one.items():
        np.testing.assert_array_equal(column, other[name])


def test_a_rig_with_other_cells_from_some_moment_on_is_computed_with_those():
    swapped = rig(names=("right-head", "right-foot", "left-head", "left-foot"))
    parts = list(evaluations([[samples(forces(LOAD))]], [InForce(0, rig()), InForce(at_us(10), swapped)]))
    assert sum(len(part) for part in parts) == len(LOAD)


def test_a_clock_set_back_between_boots_loses_no_sample_and_stops_nothing():
    first = samples(forces(LOAD))
    second = samples(forces(LOAD, seed=2), boot=2, utc_us=stamps(len(LOAD), from_us=T0 + 5_000_000))
    result = derived([first, second], session_changes(), until_us=at_us(60))
    assert result.samples == 2 * len(LOAD)
    assert result.sessions[0].summary.samples_evaluated == 1360


def test_samples_left_out_between_two_stretches_are_counted_where_they_were():
    whole = samples(forces(LOAD))
    first, _, last = cut(whole, [800, 880])
    result = derived([first, last], session_changes(), until_us=at_us(20))
    assert result.sessions[0].summary.samples == Account(expected=1360, stored=1280, missing=80)
    assert result.sessions[0].summary.unknown_s == 1.0125


def test_a_session_the_host_closed_stays_closed_and_it_is_said_where_the_record_has_load():
    changes = [session_changes()[0], Change(at_us(9), at_us(9), HostEnd())]
    result = derived([samples(forces(LOAD))], changes, until_us=at_us(20))
    assert result.sessions[0].session.ended_us == at_us(9)
    assert "the host closed the session" in result.refused[0]


def test_a_session_nobody_ends_closes_itself_at_the_same_moment_as_live():
    load = seconds((20, 5), (0, 1300))
    result = derived([samples(forces(load))], session_changes()[:1], until_us=at_us(1305))
    ended = result.sessions[0].session
    assert ended.end_reason.startswith("closed by itself")
    assert round((ended.ended_us - T0) / 1e6) == 1205
    assert [record.kind for record in result.records][-2:] == ["session-asked", "session-ended"]


def test_an_action_that_is_not_possible_in_the_order_of_the_signal_is_named():
    late = Change(at_us(2), at_us(2), Acted("client-over-limit", Act(Input.ACKNOWLEDGE, "Mei")))
    result = derived([samples(forces(LOAD))], [late])
    assert "nothing to acknowledge" in result.refused[0]


def test_every_number_that_differs_is_named_with_both_values():
    one = derived([samples(forces(LOAD))], session_changes(), until_us=at_us(20)).sessions[0]
    summary = one.summary
    other = replace_struct(one, summary=replace_struct(summary, known_s=summary.known_s + 1e-9))
    (difference,) = differences("session", one, other)
    assert difference == ("session summary known_s", summary.known_s, summary.known_s + 1e-9)
    assert not list(differences("session", one, one))


def test_things_missing_on_one_side_are_one_difference_each():
    found = list(by_key("incident", {"a": {"x": 1, "y": [1, 2]}, "b": 2}, {"a": {"x": 1, "y": [1]}, "c": 3}))
    assert [str(each) for each in found] == [
        "incident a y [1]: recorded 2, recomputed not there",
        "incident b: recorded 2, recomputed not there",
        "incident c: recorded not there, recomputed 3",
    ]
