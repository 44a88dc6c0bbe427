"""A damaged journal: killed on the way aside, and what cannot be read of it in accounts and gaps."""

import os
import random
import sqlite3
from pathlib import Path

import pytest
from ashibar.core.retention import Policy
from ashibar.ingest import Ingest
from ashibar.io.journal import Batch, Committer, EventRow, Journal, Reader, aside, check, salvage
from ashibar.io.mqtt import Inbound
from ashibar.series_build import SeriesBuilder
from ashibar.upkeep import Upkeep
from journal_samples import RIG, STUDIO, known, rows
from nodes import about, frame

MOVED = "journal moved aside"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.sqlite"


def spoil_leaves(path, count=3, seed=1):
    """Overwrite some pages of the frames' table, as a disk does that loses them."""
    database = sqlite3.connect(path)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    leaves = "SELECT pageno FROM dbstat WHERE name = 'frames' AND pagetype = 'leaf' ORDER BY pageno"
    pages = [page for (page,) in database.execute(leaves)]
    database.close()
    chance = random.Random(seed)
    with path.open("r+b") as file:
        for page in chance.sample(pages[1:-1], count):
            file.seek((page - 1) * 4096)
            file.write(chance.randbytes(4096))


def filled(path, tmp_path):
    journal = Journal(path)
    journal.commit(known(tmp_path))
    journal.commit(Batch(frames=rows(400), events=[EventRow(1, "start", "daemon", "{}")]))
    journal.close()
    spoil_leaves(path)


def killed(path, patch):
    """Open the journal in a process that `patch` lets die on the way."""
    child = os.fork()
    if child == 0:
        patch()
        Journal(path)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def die(*_):
    os._exit(9)


def dying_at(moment):
    """Return what lets a process die before it renames that file, or before it takes the tables over."""

    def patch():
        real, left = Path.rename, [("-wal", "-shm", "", "tables").index(moment)]

        def rename(file, target):
            if not left[0]:
                die()
            left[0] -= 1
            return real(file, target)

        Path.rename = rename
        salvage.small_tables = die

    return patch


@pytest.mark.parametrize("moment", ["-wal", "-shm", "", "tables"])
def test_a_kill_while_a_damaged_journal_goes_aside_is_made_up_for_at_the_next_start(path, tmp_path, moment):
    filled(path, tmp_path)
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").write_bytes(b"")
    killed(path, dying_at(moment))
    for start in range(3):
        journal, reader = Journal(path), Reader(path)
        assert (journal.moved_aside is not None) == (start == 0)
        assert len(reader.events(MOVED)) == 1
        assert len(reader.events("start")) == 1
        assert [name for _, name, *_ in reader.nodes()] == ["bars-1"]
        assert salvage.pending(reader.connection, path).exists()
        assert journal.next_id > 1_000_000  # until the frames are taken over
        reader.close()
        journal.close()
    assert len(list(tmp_path.glob("*.corrupt-*"))) <= 3
    assert not list(tmp_path.glob("*.moving"))


def test_a_kill_after_the_tables_were_taken_over_enters_nothing_twice(path, tmp_path):
    filled(path, tmp_path)
    killed(path, lambda: setattr(aside, "done", die))
    journal, reader = Journal(path), Reader(path)
    assert journal.moved_aside is None
    assert len(reader.events(MOVED)) == 1
    reader.close()
    journal.close()


def test_new_frames_come_after_the_cursors_where_the_damaged_file_cannot_be_read_twice(
    path, tmp_path, monkeypatch
):
    journal = Journal(path)
    journal.commit(known(tmp_path))
    journal.commit(Batch(frames=rows(400), cursors={"influxdb": (300, 1)}))
    journal.close()
    spoil_leaves(path)
    real, answers = salvage.highest_id, []

    def highest_id(damaged):
        answers.append(real(damaged) if not answers else salvage.ID_MARGIN)  # the disk is full by then
        return answers[-1]

    monkeypatch.setattr(salvage, "highest_id", highest_id)
    journal, reader = Journal(path), Reader(path)
    assert len(answers) == 2
    assert journal.next_id > reader.cursor("influxdb") > salvage.ID_MARGIN
    reader.close()
    journal.close()


def test_frames_wait_where_the_damaged_file_cannot_be_opened_now(path, tmp_path, monkeypatch):
    filled(path, tmp_path)

    class Full(sqlite3.Connection):
        def execute(self, *_):
            raise sqlite3.OperationalError("unable to open database file")

    Journal(path).close()
    damaged = next(tmp_path.glob("*.corrupt-*Z"))
    with monkeypatch.context() as patch:
        patch.setattr(salvage, "_open", lambda _: sqlite3.connect(":memory:", factory=Full))
        with pytest.raises(sqlite3.OperationalError):
            list(salvage.frames(damaged))
    assert sum(map(len, salvage.frames(damaged))) > 300


class House:
    """A journal with its intake and upkeep, as a daemon has them, without threads of theirs."""

    def __init__(self, path):
        self.path, self.now_us = path, 1_790_000_000_000_000
        self.journal = Journal(path)
        self.committer = Committer(self.journal)
        self.committer.start()
        self.reader = Reader(path)
        self.ingest = Ingest(STUDIO, ["bars-1"], self.reader)
        builder = SeriesBuilder(self.committer, STUDIO, [RIG], lambda: self.now_us)
        self.upkeep = Upkeep(
            path, self.committer, builder, policy=Policy(), enter=self.ingest.salvaged,
            utc_us=lambda: self.now_us,
        )  # fmt: skip

    def take(self, kind, payload, at_us):
        self.now_us = 1_790_000_000_000_000 + at_us
        message = Inbound(f"ashibar/v1/{STUDIO}/bars-1/{kind}", payload, 1, 1, False, at_us, self.now_us, 1)
        self.commit(self.ingest.take([message]).batch)

    def play(self, first, last, boot=7):
        for seq in range(first, last):
            self.take("samples", frame(boot, seq), (seq + 1) * 125_000)

    def commit(self, batch):
        self.committer.submit(batch)
        assert self.committer.flush(20)

    def rest(self):
        """Let upkeep have its round, and the intake its turn after it."""
        self.upkeep.round(self.reader)
        self.commit(self.ingest.settle_idle(0))

    @property
    def account(self):
        return self.ingest.accounting.summary()

    def close(self):
        self.reader.close()
        self.committer.stop()


def spoiled(path, frames=400, damage=spoil_leaves):
    """Return the account of a journal, whose file was damaged since."""
    house = House(path)
    house.take("about", about(7, unix_s=1.79e9), 0)
    house.play(0, frames)
    account = house.account
    house.close()
    damage(path)
    return account


def recorded(house):
    """Return the sequences in `gaps` with the reason that says damage."""
    rows = [(first, last) for *_, first, last, reason, _ in house.reader.gaps() if "damaged" in reason]
    return {seq for first, last in rows for seq in range(first, last + 1)}


def test_frames_that_cannot_be_read_any_more_are_gaps_on_record_and_lost_in_the_account(path):
    before = spoiled(path)
    assert (before.samples_stored, before.lost) == (4000, 0)
    for _ in range(3):  # the same after every start
        house = House(path)
        house.rest()
        there = {frame.row.seq for frame in house.reader.frames_of(1, 7)}
        assert 0 < len(there) < 400
        assert recorded(house) == set(range(400)) - there
        assert house.account.samples_stored == 10 * len(there) == house.reader.totals()[1]
        assert house.account.lost == 10 * (400 - len(there)) == house.account.missing
        assert house.account.samples_taken == 4000
        assert sum(gap.samples for gap in house.account.gaps) == house.account.lost
        assert len(house.reader.events("journal salvaged")) == 1
        house.close()
    assert f'"frames_missing":{400 - len(there)}' in house_events(path)


def house_events(path):
    reader = Reader(path)
    try:
        return reader.events("journal salvaged")[0][3]
    finally:
        reader.close()


def test_a_sink_has_just_the_frames_that_were_taken_over_before_it(path):
    spoiled(path)
    house = House(path)
    house.commit(Batch(cursors={"influx": (house.journal.next_id - 1, 0)}))
    house.close()
    aside.suspect(path).touch()
    house = House(path)
    house.rest()
    begin, ids = house.reader.cursor("influx"), [each.id for each in house.reader.frames_after(0, 1000)]
    assert ids == list(range(begin + 1, begin + 1 + len(ids)))
    house.close()


def test_the_boot_goes_on_after_the_damage_and_a_lost_frame_that_comes_again_is_taken(path):
    spoiled(path)
    house = House(path)
    house.play(400, 410)  # before the frames are taken over
    house.rest()
    lost = sorted(recorded(house))
    house.play(410, 420)
    house.play(lost[0], lost[0] + 1)
    assert sorted(recorded(house)) == lost[1:]
    assert house.account.samples_stored == 10 * (420 - len(lost) + 1) == house.reader.totals()[1]
    assert house.account.lost == 10 * (len(lost) - 1)
    house.close()


def test_stamps_that_were_provisional_when_the_journal_was_damaged_become_final(path):
    spoiled(
        path, frames=4, damage=lambda path: aside.suspect(path).touch()
    )  # too few for a final map of time
    database = sqlite3.connect(path)
    assert database.execute("SELECT count(*) FROM frames WHERE fit IS NULL").fetchone()[0] == 4
    database.close()
    house = House(path)
    house.play(4, 80)
    house.rest()
    house.play(80, 90)
    assert house.reader.boots_with_provisional() == []
    assert len(house.reader.frames_after(0, 1000)) == 90
    times = [each.row.utc_us for each in house.reader.frames_of(1, 7)]
    assert times == sorted(times)
    house.close()


def looked_through(path, monkeypatch):
    """Open a journal whose look at the start found no time, and give upkeep a round; return its committer."""
    with monkeypatch.context() as hurry:
        hurry.setattr(check, "GLANCE_S", -1.0)
        hurry.setattr(check, "STEPS", 1)
        journal = Journal(path)
    assert (journal.unchecked, journal.moved_aside) == (True, None)
    committer = Committer(journal)
    committer.start()
    upkeep = Upkeep(path, committer, SeriesBuilder(committer, STUDIO, [RIG], lambda: 0), policy=Policy())
    reader = Reader(path)
    upkeep.round(reader)
    reader.close()
    committer.stop()
    return committer


def test_damage_the_start_had_no_time_to_see_is_found_behind_it(path, tmp_path, monkeypatch):
    filled(path, tmp_path)
    assert looked_through(path, monkeypatch).corrupt
    again = Journal(path)
    assert again.moved_aside is not None
    again.close()


def test_a_sound_journal_is_looked_through_once(path, tmp_path, monkeypatch):
    journal = Journal(path)
    journal.commit(known(tmp_path))
    journal.close()
    committer = looked_through(path, monkeypatch)
    assert not committer.corrupt
    assert not committer._journal.unchecked
