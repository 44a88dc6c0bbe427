"""The session state machine: starts, ends, forgotten ends, unattended use, restarts."""

from itertools import pairwise

import msgspec
import numpy as np
import pytest
from ashibar.core.bodyweight import BodyWeight
from ashibar.core.records import RefusedError
from ashibar.core.session import (
    Change,
    Clock,
    End,
    Keep,
    Loaded,
    Phase,
    SessionRules,
    SessionState,
    Start,
    Terms,
    loaded_runs,
    step,
)
from ashibar.core.units import NEWTON_PER_KG as KG
from hypothesis import given
from hypothesis import strategies as st

S = 1_000_000
AT_US = 1_790_000_000_000_000
RULES = SessionRules(ask_after_s=900, close_after_s=300, unattended_gap_s=60)
TERMS = Terms(
    body_weight=BodyWeight(70 * KG, "scale", 0.3 * KG, AT_US),
    client_limit_n=60 * KG,
    target_low=0.3,
    target_high=0.6,
)


def start(**changes):
    given = {"by": "Mei", "source": "page", "therapist": "Mei", "client_code": "K-17", "terms": TERMS}
    return Start(**(given | changes))


def end(notes=None):
    return End(by="Mei", source="page", notes=notes)


def run(*events, state=None):
    state, records = state or SessionState(rig="room-1"), []
    for event, at_s in events:
        state, more = step(RULES, state, event, AT_US + round(at_s * S))
        records += more
    return state, records


def load(from_s, to_s):
    return Loaded(AT_US + round(from_s * S), AT_US + round(to_s * S)), to_s


def told(records):
    return [(record.kind, (record.at_us - AT_US) / S) for record in records]


@pytest.mark.parametrize("source", ["page", "cli", "api", "mqtt"])
def test_a_session_starts_and_ends_from_anywhere_with_who_and_where_on_record(source):
    state, records = run((start(source=source), 0), (End(by="Ines", source=source), 60))
    assert state.phase is Phase.ENDED
    assert [(r.kind, r.by, r.source) for r in records] == [
        ("session-started", "Mei", source),
        ("session-ended", "Ines", source),
    ]
    assert (state.session.started_us, state.session.ended_us) == (AT_US, AT_US + 60 * S)
    assert {record.session for record in records} == {"room-1-20260921T141320000Z"}


def test_notes_are_fixed_at_the_end():
    state, _ = run((start(), 0), (Change(by="Mei", source="page", notes="left knee"), 5), (end(), 60))
    assert state.session.notes == "left knee"
    with pytest.raises(RefusedError, match="correction"):
        run((Change(by="Mei", source="page", notes="other"), 70), state=state)


def test_the_notes_given_with_the_end_are_those_that_stay():
    state, records = run((start(), 0), (end("calm"), 60))
    assert state.session.notes == records[-1].data["notes"] == "calm"


def test_a_change_of_limits_in_mid_session_is_on_record():
    state, records = run(
        (start(), 0), (Change(by="Mei", source="page", terms=Terms(client_limit_n=500.0)), 5)
    )
    assert state.session.terms.client_limit_n == 500.0
    assert records[-1].data["client_limit_n"] == 500.0


def test_a_second_session_on_the_same_rig_is_refused():
    with pytest.raises(RefusedError, match="end it first"):
        run((start(), 0), (start(), 5))


def test_after_an_end_the_next_session_starts():
    state, _ = run((start(), 0), (end(), 60), (start(client_code="B2"), 120))
    assert (state.phase, state.session.client_code) == (Phase.LIVE, "B2")


@pytest.mark.parametrize("code", ["", "Anna Berg", "a" * 17, "ö", "K17\n"])
def test_a_client_is_a_code_of_at_most_16_letters_digits_and_hyphens(code):
    with pytest.raises(RefusedError, match="pseudonym"):
        run((start(client_code=code), 0))


@pytest.mark.parametrize("changes", [{"by": " "}, {"therapist": ""}, {"source": "drum"}])
def test_a_session_without_a_name_or_a_known_source_is_refused(changes):
    with pytest.raises(RefusedError, match=r"expected|needs the name"):
        run((start(**changes), 0))


@pytest.mark.parametrize(
    "terms",
    [
        Terms(client_limit_n=0.0),
        Terms(target_low=0.6, target_high=0.3),
        Terms(target_low=0.3),
        Terms(target_high=1.2),
    ],
)
def test_limits_and_bands_that_make_no_sense_are_refused(terms):
    with pytest.raises(RefusedError, match="was expected"):
        run((start(terms=terms), 0))


def test_a_session_without_load_asks_and_then_closes_itself_and_says_so():
    state, records = run((start(), 0), load(10, 100), (Clock(), 999), (Clock(), 1000), (Clock(), 1301))
    assert told(records) == [("session-started", 0), ("session-asked", 1000), ("session-ended", 1300)]
    assert state.phase is Phase.ENDED
    assert (state.session.ended_by, state.session.ended_us) == ("host", AT_US + 1300 * S)
    assert "closed by itself: no load for 1200 s" in state.session.end_reason
    assert records[-1].data["last_load_us"] == AT_US + 100 * S


def test_a_host_that_slept_through_both_moments_records_them_at_their_times():
    _, records = run((start(), 0), (Clock(), 99_999))
    assert told(records)[1:] == [("session-asked", 900), ("session-ended", 1200)]


def test_an_answer_keeps_the_session():
    state, records = run((start(), 0), (Clock(), 901), (Keep(by="Mei", source="page"), 950), (Clock(), 1849))
    assert state.phase is Phase.LIVE
    assert told(records)[-1] == ("session-kept", 950)
    assert run((Clock(), 1850), state=state)[0].phase is Phase.ASKING


def test_load_on_the_bars_answers_the_question():
    state, records = run((start(), 0), (Clock(), 901), load(1000, 1001))
    assert state.phase is Phase.LIVE
    assert told(records)[-1] == ("session-resumed", 1000)


def test_bars_loaded_with_no_session_are_on_record_as_one_span():
    _, records = run(load(10, 12), load(30, 45), load(100, 101), (Clock(), 162))
    assert told(records) == [("unattended-use-began", 10), ("unattended-use-ended", 101)]
    assert records[-1].data == {
        "from_us": AT_US + 10 * S,
        "to_us": AT_US + 101 * S,
        "why": "no load any more",
    }
    assert records[-1].session is None


def test_loads_further_apart_than_the_gap_are_two_unattended_uses():
    _, records = run(load(10, 12), load(73, 74), (Clock(), 200))
    assert [kind for kind, _ in told(records)] == ["unattended-use-began", "unattended-use-ended"] * 2


def test_a_session_that_starts_ends_the_unattended_use_before_it():
    _, records = run(load(10, 12), (start(), 20))
    assert [kind for kind, _ in told(records)] == [
        "unattended-use-began",
        "unattended-use-ended",
        "session-started",
    ]


def test_a_late_block_of_the_ended_session_is_no_unattended_use():
    state, records = run((start(), 0), load(10, 59.9), (end(), 60), load(59.9, 60))
    assert state.unattended_from_us is None
    assert len(records) == 2


def test_a_session_survives_a_restart_in_its_middle():
    events = [(start(), 0), load(10, 100), (Clock(), 1000), load(1100, 1101), (end("fine"), 1200)]
    straight = run(*events)
    for cut in range(len(events) + 1):
        before, first = run(*events[:cut])
        again = msgspec.json.decode(msgspec.json.encode(before), type=SessionState)
        after, rest = run(*events[cut:], state=again)
        assert (after, first + rest) == straight


@pytest.mark.parametrize(
    "event", [end(), Keep(by="Mei", source="cli"), Change(by="Mei", source="cli", notes="x")]
)
def test_what_needs_a_session_is_refused_without_one(event):
    with pytest.raises(RefusedError, match="start a session first"):
        run((event, 0))


def test_loaded_runs_count_pull_and_push_and_not_the_unknown():
    times = AT_US + np.arange(8) * 12_500
    bar_n = np.array([0, 60, 70, np.nan, -60, 0, 0, 80.0])
    runs = [((r.from_us - AT_US) // 12_500, (r.to_us - AT_US) // 12_500) for r in loaded_runs(times, bar_n)]
    assert runs == [(1, 2), (4, 4), (7, 7)]


@given(
    st.lists(st.sampled_from([0.0, 80.0]), min_size=1, max_size=40),
    st.sets(st.integers(0, 40)),
    st.booleans(),
)
def test_cutting_the_stream_changes_no_span_and_no_question(loads, cuts, live):
    times = AT_US + np.arange(len(loads)) * 29 * S
    bar_n = np.array(loads)
    rules = SessionRules(ask_after_s=100, close_after_s=50, unattended_gap_s=60)

    def through(edges):
        state, records = SessionState(rig="room-1"), []
        if live:
            state, _ = step(rules, state, start(), AT_US - S)
        for a, b in pairwise(edges):
            for loaded in loaded_runs(times[a:b], bar_n[a:b]):
                state, more = step(rules, state, loaded, loaded.to_us)
                records += more
        state, more = step(rules, state, Clock(), AT_US + 10_000 * S)
        return state, records + list(more)

    whole = through([0, len(loads)])
    assert through([0, *sorted(cut for cut in cuts if 0 < cut < len(loads)), len(loads)]) == whole
