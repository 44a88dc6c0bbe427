"""The ledger of sequences against a plain set of numbers."""

import numpy as np
from ashibar.core.sequence import IntervalSet, Ledger, Receipt
from hypothesis import given
from hypothesis import strategies as st

RUNS = st.tuples(st.integers(0, 28), st.integers(1, 6)).map(lambda run: list(range(run[0], run[0] + run[1])))
RECEIVED = st.lists(RUNS, min_size=1, max_size=4).map(lambda runs: [seq for run in runs for seq in run])
EVENTS = st.lists(st.one_of(RECEIVED, st.integers(0, 40)), max_size=25)


def numbers(intervals):
    return {number for first, last in intervals for number in range(first, last + 1)}


@given(EVENTS)
def test_the_ledger_agrees_with_a_set_whatever_arrives(events):
    ledger, stored, lost = Ledger(), set(), set()
    for event in events:
        if isinstance(event, int):
            expected = {seq for seq in range(event) if seq not in stored | lost}
            assert numbers(ledger.lost_below(event)) == expected
            lost |= expected
        else:
            new = ledger.receive_many(np.array(event, np.uint32))
            for seq, is_new in zip(event, new.tolist(), strict=True):
                assert is_new == (seq not in stored)
                stored.add(seq)
            lost -= stored
        assert numbers(ledger.stored.intervals) == stored
        assert numbers(ledger.lost.intervals) == lost
        assert numbers(ledger.missing()) == set(range(max(stored, default=0))) - stored - lost
        done = stored | lost
        assert ledger.upto == next(seq for seq in range(100) if seq not in done) - 1


@given(EVENTS)
def test_a_restored_ledger_goes_on_as_the_old_one_would(events):
    ledger = Ledger()
    for event in events:
        if isinstance(event, list):
            ledger.receive_many(np.array(event, np.int64))
        else:
            ledger.lost_below(event)
    again = Ledger(ledger.stored.intervals, ledger.lost.intervals)
    assert (again.upto, again.highest, again.missing()) == (ledger.upto, ledger.highest, ledger.missing())
    assert not again.receive_many(np.array(sorted(numbers(ledger.stored.intervals)), np.int64)).any()


def test_the_same_sequence_twice_is_a_duplicate():
    ledger = Ledger()
    assert [ledger.receive(0), ledger.receive(0)] == [Receipt.NEW, Receipt.DUPLICATE]
    assert ledger.duplicates == 1


def test_a_sequence_below_a_higher_one_is_late():
    ledger = Ledger()
    ledger.receive_many(np.array([0, 1, 5, 2]))
    assert ledger.late == 1
    assert ledger.missing() == [(3, 4)]


def test_committed_counts_what_is_on_record_as_lost_as_done():
    ledger = Ledger()
    ledger.receive_many(np.array([0, 1, 5, 6]))
    assert ledger.upto == 1
    assert ledger.lost_below(5) == [(2, 4)]
    assert ledger.upto == 6


def test_a_lost_sequence_that_comes_after_all_is_recovered_once():
    ledger = Ledger()
    ledger.receive_many(np.array([0, 4]))
    ledger.lost_below(4)
    assert ledger.receive(2) is Receipt.RECOVERED
    assert ledger.lost.intervals == [(1, 1), (3, 3)]
    assert (ledger.take_recovered(), ledger.take_recovered(), ledger.upto) == ([2], [], 4)


def test_a_long_boot_in_order_stays_one_interval():
    ledger = Ledger()
    for start in range(0, 100_000, 100):
        assert ledger.receive_many(np.arange(start, start + 100)).all()
    assert ledger.stored.intervals == [(0, 99_999)]


def test_intervals_that_touch_are_joined():
    held = IntervalSet([(0, 1), (4, 5), (8, 9)])
    held.add(2, 3)
    assert held.intervals == [(0, 5), (8, 9)]
    held.add(3, 20)
    assert held.intervals == [(0, 20)]
