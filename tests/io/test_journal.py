"""The journal: whole commits, durable, checked at start; against SQLite itself."""

import sqlite3
import threading
import time

import pytest
from ashibar.io.journal import (
    AsideRow,
    Batch,
    Committer,
    EventRow,
    FrameRow,
    Journal,
    JournalError,
    JournalFullError,
    Reader,
    SchemaError,
)
from ashibar.io.journal.committer import GATHER_S
from ashibar.io.journal.schema import MIGRATIONS, migrate
from ashibar.io.journal.writer import ASIDE_MAX_BYTES, ASIDE_MAX_ROWS
from servers import wait_until

NODE = (1, "bars-1", 0)


def row(seq, *, fit=1, payload=b"frame", node=1, boot=7):
    return FrameRow(
        node, boot, seq, seq * 10, 10, 4, 0, seq * 125_000, 10**15 + seq, 10**15 + seq + 9, fit, 5, payload
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(path):
    journal = Journal(path)
    yield journal
    journal.close()


@pytest.fixture
def reader(journal):
    reader = Reader(journal.path)
    yield reader
    reader.close()


def test_what_is_committed_is_read_back_exactly(journal, reader):
    frames = [row(seq, payload=bytes(range(seq, seq + 20))) for seq in range(3)]
    assert journal.commit(Batch(nodes=[NODE], frames=frames)) == 3
    assert [stored.row for stored in reader.frames_of(1, 7)] == frames
    assert [stored.id for stored in reader.frames_after(0, 10)] == [1, 2, 3]


def test_a_frame_stored_twice_is_stored_once(journal, reader):
    assert journal.commit(Batch(frames=[row(0), row(1)])) == 2
    assert journal.commit(Batch(frames=[row(1, payload=b"again"), row(2)])) == 1
    assert [(each.seq, each.payload) for _, each in reader.frames_of(1, 7)] == [
        (0, b"frame"),
        (1, b"frame"),
        (2, b"frame"),
    ]


def test_each_commit_is_on_the_disk_before_it_returns(journal):
    assert journal._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert journal._connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_a_batch_that_fails_leaves_nothing_behind(journal, reader):
    bad = Batch(nodes=[NODE], frames=[row(0), row(1)], events=[EventRow(None, "kind", "subject", "{}")])
    with pytest.raises(JournalError, match="NOT NULL"):
        journal.commit(bad)
    assert reader.totals() == (0, 0)
    assert reader.nodes() == []


def test_a_full_disk_is_named_and_the_same_batch_is_stored_once_there_is_room(journal, reader):
    pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
    journal._connection.execute(f"PRAGMA max_page_count = {pages}")
    batch = Batch(frames=[row(seq, payload=bytes(5000)) for seq in range(50)])
    with pytest.raises(JournalFullError, match="free some space"):
        journal.commit(batch)
    assert reader.totals() == (0, 0)
    journal._connection.execute("PRAGMA max_page_count = 100000")
    assert journal.commit(batch) == 50


def test_frame_ids_never_come_again_even_if_the_frames_are_gone(path):
    first = Journal(path)
    first.commit(Batch(frames=[row(0), row(1)], cursors={"influx": (2, 0)}))
    first._connection.execute("DELETE FROM frames")
    first.close()
    second = Journal(path)
    assert second.next_id == 3
    second.close()


def test_a_sink_is_never_given_a_frame_whose_stamp_is_provisional(journal, reader):
    journal.commit(Batch(frames=[row(0), row(1, fit=None), row(2)]))
    assert [stored.row.seq for stored in reader.frames_after(0, 10)] == [0]
    journal.commit(Batch(restamps=[(42, 43, 2, 1, 7, 1)]))
    after = [stored.row for stored in reader.frames_after(0, 10)]
    assert [each.seq for each in after] == [0, 1, 2]
    assert (after[1].utc_us, after[1].utc_last_us, after[1].fit) == (42, 43, 2)


def test_a_stamp_is_made_final_once(journal, reader):
    journal.commit(Batch(frames=[row(0, fit=None), row(1, fit=2)]))
    final = [(10, 20, 3, 1, 7, 0), (10, 20, 3, 1, 7, 1)]
    journal.commit(Batch(restamps=final))
    journal.commit(Batch(restamps=[(30, 40, 4, 1, 7, 0)]))
    stamps = {each.row.seq: (each.row.utc_us, each.row.fit) for each in reader.frames_after(0, 9)}
    assert stamps == {0: (10, 3), 1: (row(1).utc_us, 2)}


def test_payloads_set_aside_are_cut_and_bounded_to_the_newest(journal, reader):
    rows = [AsideRow("t", number, "reason", 9000, bytes(9000)) for number in range(ASIDE_MAX_ROWS + 50)]
    journal.commit(Batch(aside=rows[:1500]))
    journal.commit(Batch(aside=rows[1500:]))
    kept = reader.aside()
    assert len(kept) == ASIDE_MAX_ROWS
    assert {(size, len(payload)) for _, _, size, payload in kept} == {(9000, ASIDE_MAX_BYTES)}


def damaged(path):
    journal = Journal(path)
    journal.commit(Batch(frames=[row(seq, payload=bytes(3000)) for seq in range(100)]))
    journal.close()
    data = bytearray(path.read_bytes())
    for page in range(2, len(data) // 4096, 3):
        data[page * 4096 : page * 4096 + 200] = b"\xa5" * 200
    path.write_bytes(data)


@pytest.mark.parametrize("spoil", [damaged, lambda path: path.write_bytes(b"no database at all" * 300)])
def test_a_damaged_file_is_moved_aside_and_a_new_one_begun(path, spoil):
    spoil(path)
    journal = Journal(path)
    assert journal.moved_aside is not None
    assert journal.moved_aside.exists()
    assert journal.commit(Batch(frames=[row(0)])) == 1
    journal.close()


def test_a_file_of_another_program_is_refused_untouched(path):
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.commit()
    other.close()
    before = path.read_bytes()
    with pytest.raises(SchemaError, match="give another"):
        Journal(path)
    assert path.read_bytes()[100:] == before[100:]


def test_a_file_of_a_newer_version_is_refused(path):
    Journal(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.commit()
    connection.close()
    with pytest.raises(SchemaError, match="newer ashibar"):
        Journal(path)


def test_a_migration_that_fails_half_way_changes_nothing(path):
    Journal(path).close()
    connection = sqlite3.connect(path, isolation_level=None)
    broken = (*MIGRATIONS, ("CREATE TABLE fresh (x)", "CREATE TABLE nodes (again)"))
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        migrate(connection, broken)
    assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'fresh'").fetchone() == (0,)
    connection.close()


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="give another"):
        Journal(tmp_path / "file" / "journal.sqlite")


def test_the_committer_tells_of_a_batch_only_once_it_is_stored(path):
    journal = Journal(path)
    journal._connection.execute("PRAGMA max_page_count = 1")
    committer = Committer(journal)
    committer.start()
    told = threading.Event()
    committer.submit(Batch(frames=[row(seq, payload=bytes(5000)) for seq in range(50)]), told.set)
    wait_until(lambda: committer.problem, "the failure")
    assert not told.is_set()
    journal._connection.execute("PRAGMA max_page_count = 100000")
    assert told.wait(10)
    assert committer.problem is None
    committer.stop()
    reader = Reader(path)
    assert reader.totals()[0] == 50
    reader.close()


def test_what_waits_during_a_commit_goes_into_the_next_one_together_and_in_order(path):
    committer = Committer(Journal(path))
    told = []
    for seq in range(200):
        committer.submit(Batch(frames=[row(seq)]), lambda seq=seq: told.append(seq))
    committer.start()
    assert committer.flush(10)
    assert told == list(range(200))
    assert committer.commits == 1
    committer.stop()


def test_frames_gather_and_what_somebody_waits_for_is_stored_at_once(path):
    committer = Committer(Journal(path))
    committer.start()
    times, told = {}, threading.Semaphore(0)

    def stored(name):
        times[name] = time.monotonic()
        told.release()

    began_s = time.monotonic()
    committer.submit(Batch(frames=[row(0)]), lambda: stored("frames"))
    assert told.acquire(timeout=10)
    committer.submit(Batch(statements=[("DELETE FROM aside WHERE id < ?", [(0,)])]), lambda: stored("entry"))
    assert told.acquire(timeout=10)
    committer.stop()
    assert times["frames"] - began_s >= GATHER_S * 0.9
    assert times["entry"] - times["frames"] < GATHER_S
