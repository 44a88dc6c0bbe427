"""The account of samples against a plain list of what the node took."""

import msgspec
import numpy as np
import pytest
from ashibar.core.accounting import Accounting, BootAccount, BootRecord, FrameColumns
from hypothesis import given
from hypothesis import strategies as st

SPACING_US = 12_500


def columns(frames):
    """Frames as (sequence, sample index, samples[, sequences a decimated one stands for])."""
    rows = np.array([frame[:3] for frame in frames], np.int64).reshape(-1, 3)
    decimated = np.array([len(frame) > 3 for frame in frames], np.bool_)
    first_us = rows[:, 1] * SPACING_US
    last_us = first_us + 9 * SPACING_US
    stands_for = np.array([int(frame[3]) if len(frame) > 3 else 1 for frame in frames], np.int64)
    return FrameColumns(rows[:, 0], rows[:, 1], rows[:, 2], decimated, first_us, last_us, stands_for)


def account_of(*frames):
    account = BootAccount("bar-1", 7)
    account.fold(columns(frames))
    return account


def test_a_whole_boot_misses_nothing():
    summary = account_of(*[(k, 10 * k, 10) for k in range(100)]).summary()
    assert (summary.taken, summary.stored, summary.pending, summary.lost, summary.not_sent) == (
        1000,
        1000,
        0,
        0,
        0,
    )


def test_a_missing_frame_is_a_pending_gap_from_to_in_sequence_index_and_time():
    account = account_of((0, 0, 10), (1, 10, 10), (4, 40, 10))
    (gap,) = account.gaps()
    assert (gap.reason, gap.from_seq, gap.to_seq, gap.samples) == ("pending", 2, 3, 20)
    assert (gap.from_index, gap.to_index) == (20, 39)
    assert (gap.from_utc, gap.to_utc) == pytest.approx((19 * 0.0125, 40 * 0.0125))
    assert account.summary().pending == 20


def test_a_gap_closes_when_the_frame_comes_late():
    account = account_of((0, 0, 10), (2, 20, 10))
    account.fold(columns([(1, 10, 10)]))
    assert account.gaps() == []
    assert (account.summary().stored, account.summary().late_frames) == (30, 1)


def test_what_the_node_no_longer_holds_goes_on_record_as_lost_once():
    account = account_of((0, 0, 10), (3, 30, 10))
    (gap,) = account.lost_below(3)
    assert (gap.reason, gap.samples) == ("lost", 20)
    assert account.lost_below(3) == []
    assert (account.summary().lost, account.summary().pending, account.ledger.upto) == (20, 0, 3)


def test_frames_lost_before_the_first_one_came_are_counted_from_the_boot_on():
    account = account_of((5, 50, 10))
    (gap,) = account.lost_below(5)
    assert (gap.from_index, gap.to_index, gap.from_utc) == (0, 49, None)
    assert account.summary().taken == 60


def test_samples_the_node_could_not_send_are_a_gap_between_frames_in_sequence():
    account = account_of((0, 0, 10), (1, 25, 10))
    (gap,) = account.gaps()
    assert (gap.reason, gap.from_index, gap.to_index, gap.samples) == ("not_sent", 10, 24, 15)
    assert account.summary().taken == 35


def test_the_sequences_a_decimated_frame_stands_for_are_neither_missing_nor_lost():
    account = account_of((0, 0, 10), (1, 10, 10, 4), (5, 50, 10, 2), (7, 70, 10))
    assert account.lost_below(7) == []
    assert account.gaps() == []
    summary = account.summary()
    assert (summary.taken, summary.stored, summary.thinned, summary.lost) == (80, 40, 40, 0)
    assert account.ledger.upto == 7


def test_behind_a_decimated_frame_what_is_still_to_come_is_pending_until_it_comes():
    account = account_of((0, 0, 10, 4), (6, 60, 10))
    (gap,) = account.gaps()
    assert (gap.reason, gap.from_seq, gap.to_seq) == ("pending", 4, 5)
    kept = msgspec.json.decode(msgspec.json.encode(account.record()), type=BootRecord)
    account = BootAccount("bar-1", 7, kept)
    account.fold(columns([(4, 40, 10, 2)]))
    assert account.gaps() == []
    assert (account.summary().thinned, account.summary().stored) == (40, 30)


def test_a_decimated_frame_that_comes_after_all_takes_its_sequences_off_the_record_of_losses():
    account = account_of((0, 0, 10), (5, 50, 10))
    account.lost_below(5)
    account.fold(columns([(1, 10, 10, 4)]))
    summary = account.summary()
    assert (summary.lost, summary.thinned, summary.stored) == (0, 30, 30)


def test_a_decimated_frame_accounts_for_the_indices_it_stands_for():
    summary = account_of((0, 0, 10, True), (1, 80, 10)).summary()
    assert (summary.taken, summary.stored, summary.thinned, summary.not_sent) == (90, 20, 70, 0)


def test_a_frame_received_again_is_counted_and_not_stored_again():
    account = account_of((0, 0, 10), (1, 10, 10))
    assert account.fold(columns([(1, 10, 10), (2, 20, 10)])).tolist() == [False, True]
    summary = account.summary()
    assert (summary.stored, summary.duplicates, summary.duplicate_frames) == (30, 10, 1)


def test_the_tail_of_an_ended_boot_is_unknown_and_not_zero():
    account = account_of((0, 0, 10))
    account.end(tail_up_to=160)
    summary = account.summary()
    assert (summary.ended, summary.tail_unknown, summary.tail_up_to) == (True, True, 160)


def test_samples_the_node_counted_and_never_sent_are_missing_at_the_end_of_its_boot():
    account = account_of((0, 0, 10))
    account.report_taken(34)
    assert account.summary().taken == 10
    account.end(count_final=True)
    (gap,) = account.gaps()
    assert (gap.from_index, gap.to_index, gap.to_seq) == (10, 33, None)
    assert (account.summary().taken, account.summary().pending, account.summary().tail_unknown) == (
        34,
        24,
        False,
    )


def test_the_summary_names_what_was_taken_stored_and_missing_at_its_top():
    accounting = Accounting()
    accounting.boot("bar-1", 7).fold(columns([(0, 0, 10), (2, 20, 10)]))
    accounting.boot("bar-2", 9).fold(columns([(0, 0, 10)]))
    accounting.count_unreadable("bar-2", 3)
    told = msgspec.json.decode(msgspec.json.encode(accounting.summary()))
    tops = ("samples_taken", "samples_stored", "missing", "duplicates", "late", "unreadable")
    assert [told[top] for top in tops] == [40, 30, 10, 0, 0, 3]
    assert [(gap["node"], gap["boot"]) for gap in told["gaps"]] == [("bar-1", 7)]
    assert accounting.summary("bar-2").missing == 0


@st.composite
def deliveries(draw):
    """A boot's frames (some with samples never sent before them) and batches that deliver some of them."""
    frames, index = [], 0
    for seq in range(draw(st.integers(1, 20))):
        index += draw(st.sampled_from([0, 0, 0, 7]))
        samples = draw(st.sampled_from([10, 10, 1]))
        frames.append((seq, index, samples))
        index += samples
    batches = draw(
        st.lists(st.lists(st.sampled_from(frames), min_size=1, max_size=8), min_size=1, max_size=8)
    )
    oldest = draw(st.lists(st.integers(0, len(frames)), min_size=len(batches), max_size=len(batches)))
    return batches, oldest


@given(deliveries(), st.booleans())
def test_taken_is_stored_plus_every_gap_whatever_order_frames_come_in(delivery, restart):
    account, stored = BootAccount("bar-1", 7), {}
    for batch, oldest in zip(*delivery, strict=True):
        new = account.fold(columns(batch))
        fresh = [frame for k, frame in enumerate(batch) if frame not in batch[:k] and frame[0] not in stored]
        assert int(new.sum()) == len(fresh)
        stored.update({frame[0]: frame for frame in fresh})
        account.lost_below(oldest)
        if restart:
            kept = msgspec.json.decode(msgspec.json.encode(account.record()), type=BootRecord)
            account = BootAccount("bar-1", 7, kept)
    summary = account.summary()
    taken = max(index + samples for _, index, samples in stored.values())
    assert summary.taken == taken
    assert summary.stored == sum(samples for _, _, samples in stored.values())
    assert summary.pending + summary.lost + summary.not_sent == taken - summary.stored
    known = [gap.samples for gap in account.gaps()]
    if None not in known and not account.ledger.lost.last > account.ledger.highest:
        assert sum(known) == taken - summary.stored
