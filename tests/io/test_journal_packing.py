"""Packing in the journal: frames or their block, never both or none; readers see no difference."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from ashibar.io.journal import Batch, Committer, FrameRow, Journal, JournalError, Reader
from ashibar.io.journal.packed import MAX_FRAMES, Block, cold_blocks, make_block
from hypothesis import given, settings
from hypothesis import strategies as st
from nodes import frame

T0_US = 1_790_000_000_000_000
HOUR_US = 3_600_000_000
LATER_US = T0_US + 100 * HOUR_US


def row(seq, *, node=1, boot=7, fit=1, at_us=None):
    """Return a frame of ten samples, eight a second, as the journal stores it."""
    at_us = T0_US + seq * 125_000 if at_us is None else at_us
    payload = frame(boot, seq)
    return FrameRow(
        node,
        boot,
        seq,
        seq * 10,
        10,
        4,
        0,
        seq * 125_000,
        at_us,
        at_us + 112_500,
        fit,
        at_us + 120_000,
        payload,
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(path):
    journal = Journal(path)
    journal.commit(Batch(nodes=[(1, "bars-1", 0), (2, "bars-2", 0)]))
    yield journal
    journal.close()


@pytest.fixture
def reader(journal):
    reader = Reader(journal.path)
    yield reader
    reader.close()


def pack_all(journal, reader, now_us=LATER_US):
    """Pack everything that is cold; returns the number of blocks."""
    count = 0
    while ripe := cold_blocks(reader.connection, now_us):
        for node, boot in ripe:
            block = make_block(reader.connection, node, boot, now_us)
            assert journal.pack(block)
            count += 1
    return count


def hot(reader):
    return reader.connection.execute("SELECT count(*) FROM frames").fetchone()[0]


def test_packed_frames_are_read_as_they_were_by_id_by_sequence_and_by_time(journal, reader):
    frames = [row(seq, node=1 + seq % 2, boot=7 + seq % 2) for seq in range(6000)]
    journal.commit(Batch(frames=frames))
    before = (reader.frames_after(0, 9000), reader.frames_of(1, 7), reader.frames_of(2, 8, 101, 2001))
    in_time = list(reader.frames_between(T0_US + 10_000_000, T0_US + 500_000_000))
    assert pack_all(journal, reader) >= 6
    assert hot(reader) == 0
    assert reader.frames_after(0, 9000) == before[0]
    assert reader.frames_of(1, 7) == before[1]
    assert reader.frames_of(2, 8, 101, 2001) == before[2]
    assert list(reader.frames_between(T0_US + 10_000_000, T0_US + 500_000_000)) == in_time
    assert reader.totals() == (6000, 60_000)
    assert reader.newest_device_us(1, 7) == 5998 * 125_000 + 112_500
    assert reader.highest_frame_id() == 6000


def test_a_cursor_walks_over_hot_and_packed_frames_alike(journal, reader):
    journal.commit(Batch(frames=[row(seq, node=1 + seq % 2, boot=7) for seq in range(9000)]))
    pack_all(journal, reader, T0_US + 1300 * 1_000_000)
    assert 0 < hot(reader) < 9000
    cursor, seen = 0, []
    while found := reader.frames_after(cursor, 500):
        assert len(found) <= 500
        seen += [stored.row.seq for stored in found]
        cursor = found[-1].id
    assert seen == list(range(9000))


def test_a_frame_delivered_again_is_known_though_it_is_packed(journal, reader):
    journal.commit(Batch(frames=[row(seq) for seq in range(3000) if seq != 1500]))
    pack_all(journal, reader)
    assert journal.commit(Batch(frames=[row(3), row(1500), row(2999), row(3000)])) == 2
    pack_all(journal, reader, LATER_US + 10 * HOUR_US)
    assert [stored.row.seq for stored in reader.frames_of(1, 7)] == list(range(3001))


def test_what_was_packed_is_known_after_a_restart_too(journal, reader, path):
    journal.commit(Batch(frames=[row(seq) for seq in range(3000)]))
    pack_all(journal, reader)
    journal.close()
    again = Journal(path)
    assert again.commit(Batch(frames=[row(0), row(2999)])) == 0
    assert again.next_id > 3000
    again.close()


def test_young_frames_and_provisional_stamps_stay_as_they_are(journal, reader):
    journal.commit(Batch(frames=[row(seq) for seq in range(4000)]))
    now_us = T0_US + 4000 * 125_000 + 60_000_000
    assert cold_blocks(reader.connection, now_us) == []
    journal.commit(Batch(frames=[row(seq, boot=9, fit=None) for seq in range(4000)]))
    assert cold_blocks(reader.connection, LATER_US) == [(1, 7)]
    pack_all(journal, reader)
    journal.commit(Batch(restamps=[(T0_US + 5, T0_US + 6, 2, 1, 9, seq) for seq in range(4000)]))
    assert {(stored.row.utc_us, stored.row.fit) for stored in reader.frames_of(1, 9)} == {(T0_US + 5, 2)}


def test_a_block_whose_frames_changed_meanwhile_is_not_taken(journal, reader):
    journal.commit(Batch(frames=[row(seq) for seq in range(100)]))
    block = make_block(reader.connection, 1, 7, LATER_US)
    journal.work(lambda connection: connection.execute("DELETE FROM frames WHERE seq = 50"))
    assert not journal.pack(block)
    assert (hot(reader), reader.totals()[0]) == (99, 99)


def test_a_swap_that_fails_half_way_leaves_the_frames(journal, reader, monkeypatch):
    journal.commit(Batch(frames=[row(seq) for seq in range(3000)]))
    block = make_block(reader.connection, 1, 7, LATER_US)
    pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
    journal._connection.execute(f"PRAGMA max_page_count = {pages}")
    monkeypatch.setattr(
        "ashibar.io.journal.packed._remember",
        lambda connection, *_: connection.execute("INSERT INTO block_data VALUES (99, zeroblob(99000000))"),
    )
    with pytest.raises(JournalError):
        journal.pack(block)
    assert (hot(reader), reader.totals()[0]) == (3000, 3000)
    assert journal.commit(Batch(frames=[row(0)])) == 0


def test_blocks_are_bounded_in_frames_time_and_ids(journal, reader):
    frames = [row(seq, at_us=T0_US + seq * 1000) for seq in range(MAX_FRAMES + 500)]
    frames += [row(seq) for seq in range(10_000, 15_000)]
    journal.commit(Batch(frames=frames))
    pack_all(journal, reader)
    blocks = reader.connection.execute("SELECT frames, last_us - first_us FROM blocks").fetchall()
    assert max(count for count, _ in blocks) <= MAX_FRAMES
    assert max(span_us for _, span_us in blocks) <= 301_000_000
    assert reader.totals()[0] == MAX_FRAMES + 5500


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_whatever_comes_in_whatever_order_each_frame_is_there_once(tmp_path_factory, seed):
    chance = random.Random(seed)
    path = tmp_path_factory.mktemp("journal") / "journal.sqlite"
    journal, reader = Journal(path), None
    model = {}
    for _ in range(chance.randint(3, 12)):
        boot, first = chance.choice((7, 8)), chance.randint(0, 3000)
        frames = [
            row(seq, boot=boot)
            for seq in range(first, first + chance.randint(1, 900), chance.choice((1, 1, 3)))
        ]
        journal.commit(Batch(frames=frames))
        for each in frames:
            model.setdefault((each.boot, each.seq), each)
        if chance.random() < 0.5:
            reader = Reader(path)
            pack_all(journal, reader)
            reader.close()
        if chance.random() < 0.3:
            journal.close()
            journal = Journal(path)
    reader = Reader(path)
    stored = reader.frames_after(0, 10**6)
    assert [each.id for each in stored] == sorted({each.id for each in stored})
    assert {(each.row.boot, each.row.seq): each.row for each in stored} == model
    assert len(stored) == len(model)
    reader.close()
    journal.close()


PACKER = """
import sys, time
from pathlib import Path
from ashibar.io.journal import Journal, Reader
from ashibar.io.journal.packed import cold_blocks, make_block
path, now_us = Path(sys.argv[1]), int(sys.argv[2])
journal, reader = Journal(path), Reader(path)
print("go", flush=True)
while ripe := cold_blocks(reader.connection, now_us):
    for node, boot in ripe:
        journal.pack(make_block(reader.connection, node, boot, now_us))
        print("packed", flush=True)
"""


def test_a_packer_killed_at_any_moment_leaves_every_frame_once(path):
    journal = Journal(path)
    frames = [row(seq, boot=boot) for boot in range(20) for seq in range(2000)]
    journal.commit(Batch(frames=frames))
    journal.close()
    chance = random.Random(1)
    source = str(Path(__file__).parents[2] / "host")
    for packed in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", PACKER, str(path), str(LATER_US)],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": source},
        )
        for _ in range(1 + packed):
            child.stdout.readline()
        time.sleep(chance.uniform(0, 0.1))
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
    journal, reader = Journal(path), Reader(path)
    stored = reader.frames_after(0, 10**6)
    assert [each.row for each in stored] == frames
    assert reader.totals()[0] == len(frames)
    assert hot(reader) < len(frames)
    reader.close()
    journal.close()


def test_live_commits_go_before_packing_and_are_not_held_up_by_it(path):
    journal = Journal(path)
    journal.commit(Batch(frames=[row(seq, boot=boot) for boot in range(8) for seq in range(2400)]))
    committer = Committer(journal)
    committer.start()
    reader = Reader(path)
    waits, stop = [], threading.Event()

    def live():
        seq = 0
        while not stop.is_set():
            stored = threading.Event()
            begin = time.monotonic()
            committer.submit(Batch(frames=[row(seq, boot=99)]), stored.set)
            assert stored.wait(10)
            waits.append(time.monotonic() - begin)
            seq += 1
            stop.wait(0.01)

    thread = threading.Thread(target=live)
    thread.start()
    for boot in range(8):
        block = make_block(reader.connection, 1, boot, LATER_US)
        assert committer.between(lambda writer, block=block: writer.pack(block))
    stop.set()
    thread.join()
    committer.stop()
    assert sorted(waits)[len(waits) * 9 // 10] < 0.5
    reader.close()


def test_work_that_fails_is_told_to_whoever_asked_and_stops_nothing(path):
    committer = Committer(Journal(path))
    committer.start()
    with pytest.raises(ZeroDivisionError):
        committer.between(lambda _: 1 / 0)
    done = threading.Event()
    committer.submit(Batch(frames=[row(0)]), done.set)
    assert done.wait(10)
    committer.stop()


def test_a_reader_meets_a_block_being_packed_once(journal, reader, path):
    journal.commit(Batch(frames=[row(seq) for seq in range(3000)]))
    other = Reader(path)
    with other.frames.snapshot():
        before = other.totals()
        pack_all(journal, reader)
        assert other.totals() == before
        assert len(other.frames_after(0, 9000)) == 3000
    assert len(other.frames_after(0, 9000)) == 3000
    other.close()


def test_a_damaged_block_is_counted_and_the_frames_behind_it_are_read(journal, reader):
    journal.commit(Batch(frames=[row(seq) for seq in range(6000)]))
    pack_all(journal, reader)
    journal.work(lambda connection: connection.execute("UPDATE block_data SET data = x'00' WHERE block = 1"))
    lost = reader.connection.execute("SELECT frames FROM blocks WHERE id = 1").fetchone()[0]
    assert len(reader.frames_after(0, 9000)) == 6000 - lost
    assert reader.frames.damaged == 1


def test_a_block_has_the_sequences_that_are_in_it(journal, reader):
    journal.commit(Batch(frames=[row(seq) for seq in (0, 1, 2, 5, 6, 9)]))
    block = make_block(reader.connection, 1, 7, LATER_US)
    assert isinstance(block, Block)
    assert block.runs == [(0, 2), (5, 6), (9, 9)]
    journal.pack(block)
    assert reader.connection.execute("SELECT first_seq, last_seq FROM packed").fetchall() == block.runs
    journal.commit(Batch(frames=[row(3), row(4)]))
    journal.pack(make_block(reader.connection, 1, 7, LATER_US))
    assert reader.connection.execute("SELECT first_seq, last_seq FROM packed").fetchall() == [(0, 6), (9, 9)]


def test_the_file_says_so_in_sql_too(journal):
    with pytest.raises(sqlite3.IntegrityError):
        journal._connection.execute("INSERT INTO block_data VALUES (5, x'00')")
