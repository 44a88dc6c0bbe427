"""The backlog: its rules one by one, and against a plain model under any order of events."""

from firmware_paths import import_firmware
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import_firmware()

from barnode import backlog as module  # noqa: E402 - importable only from here on
from barnode.backlog import Backlog  # noqa: E402

FRAME_MS = 125


def fill(backlog, count, *, first=0, now_ms=0):
    for sequence in range(first, first + count):
        backlog.push(backlog.take_slot(), sequence, 10, now_ms)
        now_ms += FRAME_MS


def send(backlog, now_ms):
    slot = backlog.pick(now_ms)
    if slot < 0:
        return None
    backlog.note_sent(slot)
    return backlog.sequence[slot], slot


def new(slots=8):
    return Backlog([bytearray(16) for _ in range(slots)])


def test_frames_are_sent_oldest_first_while_all_are_live():
    backlog = new()
    fill(backlog, 3)
    assert [send(backlog, 300)[0] for _ in range(3)] == [0, 1, 2]
    assert send(backlog, 300) is None


def test_behind_a_backlog_every_other_frame_sent_is_the_newest():
    backlog = new(20)
    fill(backlog, 10)
    fill(backlog, 3, first=10, now_ms=100_000)
    assert [send(backlog, 100_300)[0] for _ in range(6)] == [12, 0, 11, 1, 10, 2]


def test_a_frame_is_live_only_when_it_is_young_and_sent_for_the_first_time():
    backlog = new()
    fill(backlog, 2)
    slot = backlog.pick(400)
    assert backlog.flags(slot, 400) == 0
    assert backlog.flags(slot, 500) == 1
    backlog.note_sent(slot)
    assert backlog.flags(slot, 400) == 1


def test_a_full_backlog_lets_go_first_of_what_the_broker_has():
    backlog = new(4)
    fill(backlog, 3)
    (_, first), (second_sequence, second) = send(backlog, 0), send(backlog, 0)
    backlog.acknowledge(second, second_sequence, 0)
    fill(backlog, 3, first=3)
    assert (backlog.let_go, backlog.dropped, backlog.dropped_samples) == (1, 1, 10)
    assert not backlog.in_flight(first, 0)  # with nothing else acknowledged, the oldest went
    assert backlog.oldest() == 2


def test_the_frame_behind_a_lost_one_says_so_and_behind_a_let_go_one_does_not():
    backlog = new(3)
    fill(backlog, 4)
    assert backlog.dropped == 1
    assert [backlog.flags(backlog.pick(0), 10_000) & 2 for _ in range(2)] == [2, 0]
    backlog = new(3)
    fill(backlog, 2)
    sequence, slot = send(backlog, 0)
    backlog.acknowledge(slot, sequence, 0)
    fill(backlog, 2, first=2)
    assert (backlog.let_go, backlog.dropped) == (1, 0)
    assert backlog.flags(backlog.pick(0), 10_000) & 2 == 0


def test_committed_frames_are_freed_and_never_sent():
    backlog = new()
    fill(backlog, 4)
    assert backlog.commit(2, 0)
    assert send(backlog, 0)[0] == 3
    backlog.sweep()
    assert (backlog.held, backlog.oldest()) == (1, 3)


def test_a_commit_of_frames_that_do_not_exist_is_refused():
    backlog = new()
    fill(backlog, 2)
    assert not backlog.commit(2, 0)
    assert not backlog.commit(-2, 0)
    assert backlog.held == 2


def test_what_the_broker_took_is_sent_again_after_5_s_but_only_to_a_living_host():
    backlog = new()
    fill(backlog, 2)
    for _ in range(2):
        sequence, slot = send(backlog, 0)
        backlog.acknowledge(slot, sequence, 0)
    backlog.host_seen(1000)
    assert backlog.requeue_due(4999) == 0
    assert backlog.requeue_due(6000) == 0  # the host has been silent for 5 s
    backlog.commit(-1, 6000, alive=False)  # kept by the broker: tells nothing of the host now
    assert backlog.requeue_due(6000) == 0
    backlog.host_seen(6000)
    assert backlog.requeue_due(6000) == 2
    assert [send(backlog, 6000)[0] for _ in range(2)] == [0, 1]
    assert backlog.resent == 2


def test_a_live_frame_sent_ahead_is_not_sent_again_before_the_backlog_had_its_turn():
    backlog = new()
    fill(backlog, 2)
    fill(backlog, 1, first=2, now_ms=50_000)
    sequence, slot = send(backlog, 50_000)
    assert sequence == 2
    backlog.acknowledge(slot, sequence, 50_000)
    backlog.host_seen(60_000)
    assert backlog.requeue_due(60_000) == 0


def test_a_frame_that_reached_no_subscriber_is_kept_as_not_delivered():
    backlog = new(4)
    fill(backlog, 3)
    for _ in range(2):
        sequence, slot = send(backlog, 0)
        backlog.acknowledge(slot, sequence, 0, refused=sequence == 0)
    fill(backlog, 2, first=3)
    assert backlog.let_go == 1  # frame 1, which the broker has, went first
    assert backlog.oldest() == 0
    backlog.host_seen(5000)
    assert backlog.requeue_due(5000) == 1


def test_a_late_acknowledgement_of_a_frame_let_go_changes_nothing():
    backlog = new(3)
    fill(backlog, 2)
    sequence, slot = send(backlog, 0)
    fill(backlog, 2, first=2)
    backlog.acknowledge(slot, sequence, 0)
    assert (backlog.held, backlog.oldest()) == (3, 1)
    assert module.TAKEN not in backlog.state


class BacklogMachine(RuleBasedStateMachine):
    """Any order of events: no frame is lost without being counted, none is held twice, the chains stay
    whole."""

    def __init__(self):
        super().__init__()
        self.backlog = new(7)
        self.slot = self.backlog.take_slot()
        self.next = 0
        self.now_ms = 0
        self.in_flight = []

    @rule(ms=st.integers(0, 3000))
    def time_passes(self, ms):
        self.now_ms += ms

    @rule()
    def a_frame_is_complete(self):
        self.backlog.push(self.slot, self.next, 10, self.now_ms)
        self.next += 1
        self.slot = self.backlog.take_slot()

    @rule()
    def one_is_sent(self):
        sent = send(self.backlog, self.now_ms)
        if sent:
            assert sent[0] > self.backlog.committed
            self.in_flight.append(sent)

    @precondition(lambda self: self.in_flight)
    @rule(refused=st.booleans(), data=st.data())
    def the_broker_answers(self, refused, data):
        sequence, slot = self.in_flight.pop(data.draw(st.integers(0, len(self.in_flight) - 1)))
        self.backlog.acknowledge(slot, sequence, self.now_ms, refused=refused)

    @rule(data=st.data(), alive=st.booleans())
    def the_host_commits(self, data, alive):
        upto = data.draw(st.integers(-1, self.next))
        assert self.backlog.commit(upto, self.now_ms, alive=alive) == (upto < self.next)

    @rule()
    def due_frames_are_queued_again(self):
        self.backlog.requeue_due(self.now_ms)

    @rule()
    def committed_frames_are_freed(self):
        self.backlog.sweep(2)

    def chain(self, chain):
        members = []
        slot = chain.first
        before = -1
        while slot >= 0:
            assert chain.preceding[slot] == before
            members.append(slot)
            before, slot = slot, chain.following[slot]
        assert chain.last == before
        return members

    @invariant()
    def every_slot_is_where_its_state_says(self):
        backlog = self.backlog
        by_state = {
            module.FREE: sorted(self.chain(backlog._free)),
            module.QUEUED: sorted(self.chain(backlog._queue)),
            module.TAKEN: sorted(self.chain(backlog._taken) + self.chain(backlog._taken_live)),
        }
        for state, slots in by_state.items():
            assert slots == [slot for slot in range(7) if backlog.state[slot] == state]
        order = self.chain(backlog._order)
        assert sorted(order) == [slot for slot in range(7) if backlog.state[slot] >= module.QUEUED]
        sequences = [backlog.sequence[slot] for slot in order]
        assert sequences == sorted(sequences)
        assert [backlog.sequence[slot] for slot in self.chain(backlog._queue)] == sorted(
            backlog.sequence[slot] for slot in by_state[module.QUEUED]
        )
        assert backlog.held == len(order)
        assert backlog.oldest() == (sequences[0] if sequences else self.next)

    @invariant()
    def no_frame_goes_missing_uncounted(self):
        backlog = self.backlog
        held = [backlog.sequence[slot] for slot in self.chain(backlog._order)]
        gone = self.next - len(held)
        assert backlog.dropped_samples == 10 * backlog.dropped
        assert gone <= backlog.committed + 1 + backlog.dropped + backlog.let_go


TestBacklogUnderAnyOrder = BacklogMachine.TestCase
TestBacklogUnderAnyOrder.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
