"""Care of the journal's file: checks, old files, damage, backups and the way back, by hand and by command."""

import json
import os
import random
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from ashibar.cli.journal import journal as command
from ashibar.core.retention import DAY_US, Policy
from ashibar.io.journal import Batch, Committer, EventRow, Journal, JournalError, Reader, SchemaError
from ashibar.io.journal import backup as copies
from ashibar.io.journal.check import full, quick
from ashibar.io.journal.schema import FIRST, MIGRATIONS, migrate, version_of
from ashibar.series_build import SeriesBuilder
from ashibar.upkeep import Upkeep
from click.testing import CliRunner
from journal_samples import RIG, STUDIO, T0_US, known, rows
from servers import wait_until

V1 = Path(__file__).with_name("journal_v1.sql")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.sqlite"


def filled(path, tmp_path, count=4800, packed=True):
    """Make a journal with frames, half of them packed, and close it."""
    journal = Journal(path)
    journal.commit(known(tmp_path))
    frames = rows(count)
    journal.commit(Batch(frames=frames, events=[EventRow(T0_US, "start", "daemon", "{}")]))
    committer = Committer(journal)
    committer.start()
    reader = Reader(path)
    if packed:
        keep(path, committer, frames[count // 2].utc_us + 610 * 10**6).round(reader)
    reader.close()
    committer.stop()
    return frames


def keep(path, committer, now_us=T0_US + 30 * DAY_US):
    """Return upkeep by a clock that stands still."""
    builder = SeriesBuilder(committer, STUDIO, [RIG], lambda: now_us)
    return Upkeep(path, committer, builder, policy=Policy(), utc_us=lambda: now_us)


def stored(path):
    reader = Reader(path)
    try:
        return [frame.row for frame in reader.frames_after(0, 10**6)]
    finally:
        reader.close()


def test_a_file_of_the_first_schema_is_brought_up_to_date_with_everything_in_it(path):
    old = sqlite3.connect(path, isolation_level=None)
    old.executescript(V1.read_text())
    assert version_of(old) == 1
    assert old.execute("SELECT count(*) FROM frames").fetchone()[0] == 3
    old.close()
    journal, reader = Journal(path), Reader(path)
    assert version_of(reader.connection) == len(MIGRATIONS)
    assert [frame.row.seq for frame in reader.frames_of(1, 7)] == [0, 1, 2]
    assert reader.cursor("influx") == 2
    assert journal.next_id == 4
    reader.close()
    journal.close()


def test_the_first_schema_is_never_edited():
    plain, ours = sqlite3.connect(":memory:"), sqlite3.connect(":memory:", isolation_level=None)
    plain.executescript(V1.read_text())
    migrate(ours, (FIRST,))
    sql = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"

    def words(connection):
        return [(name, " ".join(text.split())) for name, text in connection.execute(sql)]

    assert words(ours) == words(plain)
    plain.close()
    ours.close()


@pytest.mark.parametrize("at", range(len(MIGRATIONS)))
def test_a_migration_cut_short_at_any_number_leaves_the_file_as_it_was(path, at):
    connection = sqlite3.connect(path, isolation_level=None)
    migrate(connection, MIGRATIONS[:at])
    before = connection.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall()
    broken = (*MIGRATIONS[:at], (*MIGRATIONS[at], "CREATE TABLE meta (x)", "no SQL at all"))
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, broken)
    assert connection.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall() == before
    assert version_of(connection) == at
    connection.close()


def test_the_look_at_the_start_is_bounded_in_time_and_the_full_one_is_not(path, tmp_path):
    filled(path, tmp_path, packed=False)
    connection = sqlite3.connect(path)
    assert quick(connection, within_s=-1) is None
    assert quick(connection, within_s=60) is None
    assert list(full(connection)) == []
    connection.close()


def test_a_second_writer_is_refused_by_name(path):
    first = Journal(path)
    with pytest.raises(JournalError, match="stop it first"):
        Journal(path)
    first.close()
    Journal(path).close()


def test_a_lock_dies_with_its_process(path):
    source = str(Path(__file__).parents[2] / "host")
    code = "import sys; from pathlib import Path; from ashibar.io.journal import Journal;"
    code += "journal = Journal(Path(sys.argv[1])); print('go', flush=True); sys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": source},
    )
    child.stdout.readline()
    with pytest.raises(JournalError, match="stop it first"):
        Journal(path)
    child.kill()
    child.wait()
    child.stdin.close()
    child.stdout.close()
    Journal(path).close()


def spoil(path, seed, pages):
    """Write noise over some pages behind the first."""
    chance = random.Random(seed)
    data = bytearray(path.read_bytes())
    for page in chance.sample(range(2, len(data) // 4096), pages):
        data[page * 4096 : page * 4096 + 600] = chance.randbytes(600)
    path.write_bytes(data)


@pytest.mark.parametrize("seed", range(2))
def test_what_can_be_read_of_a_damaged_journal_is_taken_over_and_the_rest_is_counted(path, tmp_path, seed):
    frames = filled(path, tmp_path)
    spoil(path, seed, 8)
    committer = Committer(Journal(path))
    committer.start()
    reader = Reader(path)
    assert committer.between(lambda journal: journal.moved_aside).exists()
    committer.submit(Batch(frames=rows(10, boot=8)))
    keep(path, committer).round(reader)
    assert committer.flush(10)
    taken = {(row.boot, row.seq): row for row in stored(path)}
    assert 0.3 * len(frames) < len(taken) - 10 < len(frames)
    assert all(taken[7, row.seq] == row for row in frames if (7, row.seq) in taken)
    event = reader.events("journal salvaged")[0]
    assert json.loads(event[3])["frames"] == len(taken) - 10
    committer.stop()
    reader.close()
    again, reader = Journal(path), Reader(path)
    assert again.moved_aside is None
    assert reader.connection.execute("SELECT count(*) FROM meta WHERE key = 'salvage'").fetchone() == (0,)
    reader.close()
    again.close()


def test_of_a_file_that_is_none_nothing_is_salvaged_and_the_service_goes_on(path):
    path.write_bytes(b"no database at all" * 5000)
    journal = Journal(path)
    assert journal.moved_aside.read_bytes().startswith(b"no database")
    assert journal.salvaged == {}
    assert journal.commit(Batch(frames=rows(3))) == 3
    journal.close()


def test_a_backup_made_while_frames_come_in_is_one_state_and_sound(path, tmp_path):
    filled(path, tmp_path)
    journal = Journal(path)
    stop, written = threading.Event(), [4800]

    def live():
        while not stop.is_set():
            journal.commit(Batch(frames=rows(5, first=written[0])))
            written[0] += 5

    thread = threading.Thread(target=live)
    thread.start()
    wait_until(lambda: written[0] > 4850, "some commits")
    copies.backup(path, tmp_path / "copy.sqlite")
    during = written[0]
    wait_until(lambda: written[0] > during + 20, "commits after the copy")
    stop.set()
    thread.join()
    journal.close()
    copy, original = stored(tmp_path / "copy.sqlite"), stored(path)
    assert 4800 < len(copy) < len(original)
    assert copy == original[: len(copy)]
    assert not list(tmp_path.glob("*.partial*"))


def test_a_restored_backup_has_byte_for_byte_what_was_there(path, tmp_path):
    frames = filled(path, tmp_path)
    target = tmp_path / "copy.sqlite"
    copies.backup(path, target)
    before = copies.content(path)
    other = tmp_path / "elsewhere" / "journal.sqlite"
    assert copies.restore(target, other) is None
    assert stored(other) == frames
    assert copies.content(other) == before

    def dump(file):
        connection = sqlite3.connect(file)
        lines = list(connection.iterdump())
        connection.close()
        return lines

    assert dump(other) == dump(path)


def test_a_restore_is_refused_while_somebody_writes_and_where_the_record_has_come_further(path, tmp_path):
    filled(path, tmp_path)
    target = tmp_path / "copy.sqlite"
    copies.backup(path, target)
    journal = Journal(path)
    with pytest.raises(JournalError, match="stop it first"):
        copies.restore(target, path)
    journal.commit(Batch(frames=rows(10, first=4800)))
    journal.close()
    with pytest.raises(JournalError, match="--force"):
        copies.restore(target, path)
    assert len(stored(path)) == 4810
    before = copies.restore(target, path, force=True)
    assert len(stored(path)) == 4800
    assert len(stored(before)) == 4810


@pytest.mark.parametrize("content", [b"", b"no database at all" * 300])
def test_what_is_no_backup_is_not_restored(path, tmp_path, content):
    filled(path, tmp_path, count=80)
    (tmp_path / "other").write_bytes(content)
    with pytest.raises(JournalError, match="expected a backup"):
        copies.restore(tmp_path / "other", path, force=True)
    assert len(stored(path)) == 80


def test_a_backup_never_overwrites_and_leaves_nothing_half_done(path, tmp_path):
    filled(path, tmp_path, count=80)
    (tmp_path / "there").write_text("mine")
    with pytest.raises(JournalError, match="choose another name"):
        copies.backup(path, tmp_path / "there")
    with pytest.raises(JournalError, match="check place and space"):
        copies.backup(path, tmp_path / "no" / "such" / "place")
    assert (tmp_path / "there").read_text() == "mine"


def call(*arguments):
    return CliRunner().invoke(command, [str(each) for each in arguments])


def test_the_commands_back_up_check_and_restore(path, tmp_path):
    filled(path, tmp_path)
    target = tmp_path / "copy.sqlite"
    done = call("backup", target, "--journal", path, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["frames"] == 4800
    assert call("backup", target, "--journal", path).exit_code == 1
    assert json.loads(call("check", "--journal", path, "--json").stdout)["sound"]
    assert call("restore", target, "--journal", tmp_path / "new.sqlite").exit_code == 0
    assert call("stats", "--journal", tmp_path / "none.sqlite").exit_code == 3
    said = json.loads(call("stats", "--journal", tmp_path / "new.sqlite", "--json").stdout)
    assert (said["frames"], said["samples"]) == (4800, 48_000)
    assert 0.9 < said["bytes_per_cell_sample"] < 1.5
    assert said["cursors"] == {"series": 4800}
    assert "bytes per cell sample" in call("stats", "--journal", path).stdout


def test_the_check_names_what_is_damaged(path, tmp_path):
    filled(path, tmp_path)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE block_data SET data = zeroblob(100) WHERE block = 1")
    connection.execute("UPDATE pyramid SET data = x'00' WHERE level_s = 60")
    connection.commit()
    connection.close()
    said = json.loads(call("check", "--journal", path, "--json").stdout)
    assert not said["sound"]
    assert any("block 1" in each for each in said["wrong"])
    assert any("60 s" in each and "rebuild" in each for each in said["wrong"])
    spoil(path, 1, 5)
    assert call("check", "--journal", path).exit_code == 1


def test_a_newer_file_is_refused_and_not_moved(path):
    Journal(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(SchemaError):
        Journal(path)
    assert path.exists()
    with pytest.raises(SchemaError):  # and no lock is left behind
        Journal(path)


def test_damage_met_while_writing_is_known_and_the_next_start_moves_the_file_aside(path, tmp_path):
    frames = filled(path, tmp_path, packed=False)
    journal = Journal(path)
    committer = Committer(journal)
    committer.start()
    journal._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    root = journal._connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'frames'").fetchone()[
        0
    ]
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xa5" * 4096)
    journal._connection.execute("PRAGMA cache_size = 0")
    journal._connection.execute("PRAGMA shrink_memory")
    committer.submit(Batch(frames=rows(10, first=len(frames))))
    wait_until(lambda: committer.corrupt, "the damage to be met")
    assert "moves the file aside" in committer.problem
    committer.stop()
    again = Journal(path)
    assert again.moved_aside is not None
    assert again.commit(Batch(frames=rows(10, first=len(frames)))) == 10
    again.close()
    Journal(path).close()
