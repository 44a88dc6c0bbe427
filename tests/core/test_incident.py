"""Which spans outlive retention."""

from alarm_signals import START_US, run, seconds, signal
from ashibar.core.alarm import Transition
from ashibar.core.alarm_states import Input, Priority, State
from ashibar.core.incident import Span, capture, deletable, is_complete, kept_spans
from hypothesis import given
from hypothesis import strategies as st

S = 1_000_000
CONTEXT = {"calibrations": {"bars": 3}, "zeros": [84213], "limits": {"client_limit_n": 588.4}}


def line(at_s, cause=Input.RAISE, key="fall"):
    after = State.UNACKNOWLEDGED if cause is Input.RAISE else State.RETURNED
    return Transition(
        key=key, at_us=round(at_s * S), cause=cause, before=State.NORMAL, after=after, priority=Priority.HIGH
    )


def spell(from_s, to_s, key="fall"):
    return [line(from_s, key=key), line(to_s, Input.CLEAR, key)]


def spans(lines, now_s=10_000):
    return kept_spans(capture((), lines, CONTEXT), now_s * S)


def test_an_incident_keeps_10_s_before_and_15_s_after_its_trigger():
    assert spans(spell(100, 100)) == (Span(90 * S, 115 * S),)


def test_an_incident_lasts_until_15_s_after_its_alarm_is_over():
    assert spans(spell(100, 140)) == (Span(90 * S, 155 * S),)


def test_triggers_whose_windows_meet_are_one_incident():
    lines = [*spell(100, 101), *spell(125, 126, "hanger-overload:left-head")]
    incidents = capture((), lines, CONTEXT)
    assert len(incidents) == 1
    assert [trigger.key for trigger in incidents[0].triggers] == ["fall", "hanger-overload:left-head"]
    assert (incidents[0].from_us, incidents[0].to_us) == (90 * S, 141 * S)


def test_triggers_further_apart_are_two_incidents():
    assert len(capture((), [*spell(100, 100), *spell(126, 126)], CONTEXT)) == 2


def test_an_incident_carries_calibration_zeros_and_limits_of_its_moment():
    incidents = capture((), spell(100, 100), CONTEXT)
    incidents = capture(incidents, spell(500, 500), {"zeros": [1]})
    assert [incident.context for incident in incidents] == [CONTEXT, {"zeros": [1]}]


def test_a_limit_exceeded_for_hours_keeps_ten_minutes():
    assert spans([line(100)], now_s=9_000) == (Span(90 * S, 700 * S),)


def test_alarms_that_are_no_incident_keep_nothing():
    assert spans([line(1, key="client-near-limit"), line(2, key="cell-fault:left-head")]) == ()


def test_an_incident_is_complete_only_when_its_last_sample_can_be_there():
    (incident,) = capture((), spell(100, 110), CONTEXT)
    assert not is_complete(incident, 124 * S)
    assert is_complete(incident, 125 * S)


def test_the_bank_of_alarms_triggers_an_incident_by_itself():
    _, lines = run(signal(seconds((20, 20), (60, 1), (20, 20))))
    (incident,) = capture((), lines, CONTEXT)
    assert incident.triggers[0].key == "fall"
    assert incident.from_us == START_US + 10 * S
    assert incident.to_us >= START_US + 36 * S


def test_blocks_cut_in_two_capture_the_same_incidents():
    lines = [*spell(100, 101), *spell(110, 150, "client-over-limit"), *spell(400, 401)]
    whole = capture((), lines, CONTEXT)
    for cut in range(len(lines)):
        assert capture(capture((), lines[:cut], CONTEXT), lines[cut:], CONTEXT) == whole


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=6),
    st.tuples(st.integers(0, 60), st.integers(0, 60)),
)
def test_retention_may_delete_exactly_what_no_span_keeps(kept, asked):
    kept = [Span(start, start + length) for start, length in kept]
    span = Span(asked[0], asked[0] + asked[1])
    free = {t for part in deletable(span, kept) for t in range(part.from_us, part.to_us + 1)}
    assert free == {
        t for t in range(span.from_us, span.to_us + 1) if not any(k.from_us <= t <= k.to_us for k in kept)
    }
