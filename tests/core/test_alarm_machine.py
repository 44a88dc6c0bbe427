"""The alarm state machine against a table written down here by hand, independent of the product's."""

from dataclasses import replace

import msgspec
import pytest
from ashibar.core.alarm import ACTIONS, Act, AlarmDefinition, AlarmState, Escalate, Observe, Tick, step
from ashibar.core.alarm_states import TABLE, Input, Priority, State
from ashibar.core.records import RefusedError
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

PLAIN = AlarmDefinition(
    key="plain", kind="limit", source="signal", per="rig", condition="", priority=Priority.HIGH,
    message="", what_to_do="", on_delay_s=0.3, off_delay_s=1.0, realarm_after_s=30.0, shelve_limit_s=600.0,
)  # fmt: skip
PROMPT = replace(PLAIN, key="prompt", on_delay_s=0.0, off_delay_s=0.0, realarm_after_s=None)
LATCHING = replace(PROMPT, key="latching", latching=True)
S = 1_000_000


def run(definition, *events):
    state, lines = AlarmState(), []
    for event, at_s in events:
        state, more = step(definition, state, event, round(at_s * S))
        lines += more
    return state, lines


def seen(*truths):
    return [(Observe(truth), float(second)) for second, truth in enumerate(truths)]


def act(what, note="because", by="Mei", for_s=60.0):
    return Act(what, by, note, for_s)


def test_an_alarm_never_evaluated_is_in_error_not_normal():
    assert AlarmState().name is State.ERROR


def test_a_condition_shorter_than_the_on_delay_raises_nothing():
    state, _ = run(
        PLAIN, (Observe(False), 0), (Observe(True), 1.0), (Observe(True), 1.29), (Observe(False), 1.3)
    )
    assert state.name is State.NORMAL


def test_a_condition_as_long_as_the_on_delay_raises_the_alarm_at_that_sample():
    state, lines = run(PLAIN, (Observe(False), 0), (Observe(True), 1.0), (Observe(True), 1.3))
    assert state.name is State.UNACKNOWLEDGED
    assert lines[-1].at_us == 1_300_000


def test_a_return_shorter_than_the_off_delay_is_no_return():
    events = [
        (Observe(True), 0),
        (Observe(True), 1),
        (Observe(False), 2),
        (Observe(False), 2.9),
        (Observe(True), 3),
    ]
    state, _ = run(PLAIN, *events)
    assert state.name is State.UNACKNOWLEDGED


def test_a_return_as_long_as_the_off_delay_leaves_an_acknowledgement_owed():
    state, _ = run(PLAIN, (Observe(True), 0), (Observe(True), 1), (Observe(False), 2), (Observe(False), 3))
    assert state.name is State.RETURNED


def test_what_cannot_be_evaluated_is_in_error_and_keeps_the_acknowledgement_owed():
    state, _ = run(PROMPT, *seen(True, None))
    assert (state.name, state.owed) == (State.ERROR, True)
    state, _ = step(PROMPT, state, Observe(False), 3 * S)
    assert state.name is State.RETURNED


def test_a_condition_present_after_an_error_alarms_again_although_it_was_acknowledged():
    state, _ = run(
        PROMPT, (Observe(True), 0), (act(Input.ACKNOWLEDGE), 1), (Observe(None), 2), (Observe(True), 3)
    )
    assert state.name is State.UNACKNOWLEDGED


def test_an_acknowledged_alarm_alarms_again_at_its_time_however_late_the_next_event_comes():
    events = [(Observe(True), 0), (Observe(True), 1), (act(Input.ACKNOWLEDGE), 2), (Tick(), 99)]
    state, lines = run(PLAIN, *events)
    assert state.name is State.UNACKNOWLEDGED
    assert lines[-1].at_us == 32 * S


def test_escalation_resets_an_acknowledgement():
    state, lines = run(PROMPT, (Observe(True), 0), (act(Input.ACKNOWLEDGE), 1), (Escalate("worse"), 2))
    assert state.name is State.UNACKNOWLEDGED
    assert lines[-1].note == "worse"


def test_a_latched_alarm_stays_until_a_named_person_records_an_inspection():
    state, _ = run(LATCHING, (Observe(True), 0), (Observe(False), 1), (act(Input.ACKNOWLEDGE), 2))
    assert (state.name, state.latched) == (State.ACKNOWLEDGED, True)
    state, lines = step(LATCHING, state, act(Input.INSPECT, "no crack", by="Ines"), 3 * S)
    assert (state.name, state.latched) == (State.NORMAL, False)
    assert (lines[0].by, lines[0].note) == ("Ines", "no crack")


def test_a_second_overload_of_a_latched_alarm_resets_its_acknowledgement():
    events = [(Observe(True), 0), (Observe(False), 1), (act(Input.ACKNOWLEDGE), 2), (Observe(True), 3)]
    assert run(LATCHING, *events)[0].name is State.UNACKNOWLEDGED


def test_an_inspection_under_load_is_refused():
    state, _ = run(LATCHING, *seen(True))
    with pytest.raises(RefusedError, match="take the load off"):
        step(LATCHING, state, act(Input.INSPECT), S)


def test_a_latch_survives_an_error_and_a_spell_out_of_service():
    events = [
        (Observe(True), 0),
        (act(Input.REMOVE), 1),
        (Observe(None), 2),
        (act(Input.RESTORE), 3),
        (Observe(False), 4),
    ]
    state, _ = run(LATCHING, *events)
    assert (state.name, state.latched) == (State.UNACKNOWLEDGED, True)


def test_a_shelved_alarm_comes_back_by_itself_at_the_end_of_its_time_and_shows_what_is_so():
    events = [(Observe(False), 0), (act(Input.SHELVE), 1), (Observe(True), 30), (Tick(), 400)]
    state, lines = run(PROMPT, *events)
    assert state.name is State.UNACKNOWLEDGED
    assert lines[-1].at_us == 61 * S


def test_a_raise_on_the_shelf_is_on_record_though_not_shown():
    _, lines = run(PROMPT, (Observe(False), 0), (act(Input.SHELVE), 1), (Observe(True), 30))
    assert (lines[-1].cause, lines[-1].after) == (Input.RAISE, State.SHELVED)


@pytest.mark.parametrize("for_s", [0.0, -1.0, 600.1, float("nan")])
def test_a_shelf_without_an_allowed_time_is_refused(for_s):
    with pytest.raises(RefusedError, match="at most 600 s"):
        step(PROMPT, AlarmState(), act(Input.SHELVE, for_s=for_s), 0)


def test_a_shelved_alarm_cannot_be_shelved_for_longer():
    state, _ = run(PROMPT, (act(Input.SHELVE), 0))
    with pytest.raises(RefusedError, match="take it back first"):
        step(PROMPT, state, act(Input.SHELVE), S)


@pytest.mark.parametrize("what", ACTIONS)
@pytest.mark.parametrize("by", ["", "   ", "x" * 65, "a\nb"])
def test_no_action_is_taken_without_a_proper_name(what, by):
    state, _ = run(LATCHING, *seen(True, False))
    with pytest.raises(RefusedError, match="name"):
        step(LATCHING, state, act(what, by=by), S)


@pytest.mark.parametrize("what", [Input.SHELVE, Input.REMOVE, Input.INSPECT])
def test_what_silences_or_releases_an_alarm_needs_a_reason(what):
    state, _ = run(LATCHING, *seen(True, False))
    with pytest.raises(RefusedError, match="reason or finding was expected"):
        step(LATCHING, state, act(what, note=" "), S)


def test_the_signal_cannot_be_passed_off_as_a_persons_action():
    with pytest.raises(RefusedError, match="acknowledge"):
        step(PROMPT, AlarmState(), act(Input.CLEAR), 0)


def test_a_state_reads_back_as_it_was_stored():
    state, _ = run(LATCHING, (Observe(True), 0), (act(Input.ACKNOWLEDGE), 1))
    assert msgspec.json.decode(msgspec.json.encode(state), type=AlarmState) == state


def test_every_state_has_a_row_for_whatever_the_signal_does():
    rows = {(row.state, row.cause) for row in TABLE if not row.given}
    for state in (State.SHELVED, State.OUT_OF_SERVICE, *State):
        for cause in (Input.RAISE, Input.CLEAR, Input.LOST):
            assert (state, cause) in rows


# What a person sees, by hand: (shown, event) -> shown. "a": alarm present, "c": clear, "?": unknown.
NEXT = {
    ("error", "a"): "unack", ("error", "c"): "normal", ("error", "?"): "error",
    ("error owed", "a"): "unack", ("error owed", "c"): "returned", ("error owed", "?"): "error owed",
    ("normal", "a"): "unack", ("normal", "c"): "normal", ("normal", "?"): "error",
    ("unack", "a"): "unack", ("unack", "c"): "returned", ("unack", "?"): "error owed",
    ("ack", "a"): "ack", ("ack", "c"): "normal", ("ack", "?"): "error",
    ("returned", "a"): "unack", ("returned", "c"): "returned", ("returned", "?"): "error owed",
    ("unack", "acknowledge"): "ack",
    ("returned", "acknowledge"): "normal", ("error owed", "acknowledge"): "error",
    ("ack", "escalate"): "unack",
}  # fmt: skip
SHOWN = {
    "normal": State.NORMAL, "unack": State.UNACKNOWLEDGED, "ack": State.ACKNOWLEDGED,
    "returned": State.RETURNED, "error": State.ERROR, "error owed": State.ERROR,
    "shelved": State.SHELVED, "removed": State.OUT_OF_SERVICE,
}  # fmt: skip
LATCH = {  # the same for a latching alarm that has tripped: "unack" and "ack" do not return
    ("unack", "c"): "unack", ("ack", "c"): "ack", ("error owed", "c"): "unack", ("error", "c"): "ack",
}  # fmt: skip


class Machine(RuleBasedStateMachine):
    """Any order of events, with the model beside it."""

    definition = PROMPT

    def __init__(self):
        super().__init__()
        self.state, self.now_us = AlarmState(), 0
        self.shown, self.truth, self.tripped, self.until_us = "error", None, False, 0

    def send(self, event):
        self.state, lines = step(self.definition, self.state, event, self.now_us)
        for line in lines:
            assert line.key == self.definition.key
            assert bool(line.by) == isinstance(event, Act) or line.cause is Input.EXPIRE

    def come_back(self):
        if self.truth is None:
            self.shown = "error owed" if self.tripped else "error"
        else:
            self.shown = "unack" if self.truth or self.tripped else "normal"

    @rule(seconds=st.integers(0, 40))
    def time_passes(self, seconds):
        self.now_us += seconds * S
        if self.shown == "shelved" and self.now_us >= self.until_us:
            self.come_back()
        self.send(Tick())

    @rule(truth=st.sampled_from([True, False, None]))
    def the_signal_says(self, truth):
        letter = {True: "a", False: "c", None: "?"}[truth]
        risen = truth and not self.truth
        self.tripped |= bool(risen) and self.definition.latching
        if truth is not self.truth and self.shown in (
            "ack",
            "unack",
            "error",
            "error owed",
            "normal",
            "returned",
        ):
            after = (LATCH.get((self.shown, letter)) if self.tripped else None) or NEXT[self.shown, letter]
            self.shown = "unack" if risen else after
        self.truth = truth
        self.send(Observe(truth))

    @rule()
    def the_danger_grows(self):
        self.shown = NEXT.get((self.shown, "escalate"), self.shown)
        self.send(Escalate("worse"))

    @rule(by=st.sampled_from(["Mei", " "]))
    def somebody_acknowledges(self, by):
        self.expect((self.shown, "acknowledge") in NEXT and by == "Mei", act(Input.ACKNOWLEDGE, by=by))
        if by == "Mei":
            self.shown = NEXT.get((self.shown, "acknowledge"), self.shown)

    @rule(for_s=st.sampled_from([10.0, 600.0, 601.0]))
    def somebody_shelves(self, for_s):
        fine = self.shown not in ("shelved", "removed") and for_s <= 600
        self.expect(fine, act(Input.SHELVE, for_s=for_s))
        if fine:
            self.shown, self.until_us = "shelved", self.now_us + round(for_s * S)

    @rule()
    def somebody_unshelves(self):
        fine = self.shown == "shelved"
        self.expect(fine, act(Input.UNSHELVE))
        if fine:
            self.come_back()

    @rule()
    def somebody_removes_it(self):
        fine = self.shown != "removed"
        self.expect(fine, act(Input.REMOVE))
        self.shown = "removed"

    @rule()
    @precondition(lambda self: self.shown == "removed")
    def somebody_restores_it(self):
        self.expect(True, act(Input.RESTORE))
        self.come_back()

    @rule()
    def somebody_inspects(self):
        fine = self.tripped and not self.truth
        self.expect(fine, act(Input.INSPECT))
        if fine:
            self.tripped = False
            self.shown = {"unack": "normal", "ack": "normal", "error owed": "error"}.get(
                self.shown, self.shown
            )

    def expect(self, fine, action):
        if fine:
            self.send(action)
        else:
            before = self.state
            with pytest.raises(RefusedError):
                step(self.definition, self.state, action, self.now_us)
            assert self.state == before

    @invariant()
    def the_alarm_is_what_the_model_says(self):
        assert self.state.name is SHOWN[self.shown]
        assert self.state.latched == self.tripped
        assert self.state.condition is self.truth
        assert self.state.owed == (self.shown in ("unack", "returned", "error owed"))


class LatchingMachine(Machine):
    definition = LATCHING


Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
LatchingMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAnyOrderOfEventsFollowsTheTable = Machine.TestCase
TestAnyOrderOfEventsFollowsTheTableWhenLatching = LatchingMachine.TestCase
