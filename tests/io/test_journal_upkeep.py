"""Upkeep on a running journal: room, retention, disk-full, a week without InfluxDB."""

import os
import subprocess

import pytest
from ashibar.core.retention import DAY_US, Policy
from ashibar.io.influx import SINK
from ashibar.io.journal import Batch, Committer, Journal, KeepRow, Reader
from ashibar.io.journal.packed import COLD_S
from ashibar.io.journal.retain import kept_spans, shed_totals
from ashibar.series import CURSOR, SeriesReader
from ashibar.series_build import SeriesBuilder
from ashibar.upkeep import Upkeep
from journal_samples import FRAME_US, RIG, STUDIO, T0_US, known, rows
from servers import wait_until

HOUR_US = 3_600_000_000


class House:
    """A journal, its committer and its upkeep, run by the test's own clock."""

    def __init__(self, directory, tmp_path, policy=None, sinks=()):
        self.path = directory / "journal.sqlite"
        self.now_us = T0_US
        self.journal = Journal(self.path)
        self.committer = Committer(self.journal)
        self.committer.start()
        self.reader = Reader(self.path)
        builder = SeriesBuilder(self.committer, STUDIO, [RIG], self.clock)
        self.upkeep = Upkeep(
            self.path, self.committer, builder, policy=policy or Policy(), sinks=sinks, utc_us=self.clock
        )
        self.store(known(tmp_path))

    def clock(self):
        return self.now_us

    def store(self, batch):
        self.committer.submit(batch)
        assert self.committer.flush(20)

    def live(self, frames, rounds=1):
        """Store frames and let the clock follow them."""
        self.store(Batch(frames=frames))
        self.now_us = frames[-1].utc_us + round((COLD_S + 4000) * 1e6)
        for _ in range(rounds):
            self.upkeep.round(self.reader)

    def close(self):
        self.reader.close()
        self.committer.stop()


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path, tmp_path)
    yield house
    house.close()


def counted(house):
    return house.reader.totals()[0] + shed_totals(house.reader.connection)[0]


def test_a_round_packs_what_is_cold_and_builds_the_series(house):
    house.live(rows(4800))
    assert house.reader.connection.execute("SELECT count(*) FROM frames").fetchone()[0] == 0
    assert house.reader.cursor(CURSOR) == 4800
    assert house.upkeep.problem is None
    assert house.upkeep.room.used_bytes > 0


def test_retention_takes_what_is_old_puts_it_on_record_and_spares_incidents(tmp_path):
    house = House(tmp_path, tmp_path, Policy(raw_days=1))
    frames = rows(9600)
    incident = (T0_US + 310 * 10**6, T0_US + 335 * 10**6)
    house.store(Batch(keeps=[KeepRow(*incident, "incident 1", T0_US)]))
    house.live(frames)
    before = SeriesReader(house.path, STUDIO, [RIG]).series(RIG, "bar_load_n", T0_US, T0_US + 1200 * 10**6)
    assert counted(house) == house.reader.totals()[0] == 9600
    house.now_us = frames[-1].utc_us + 2 * DAY_US
    house.upkeep.round(house.reader)
    assert counted(house) == 9600
    left = list(house.reader.frames_between(T0_US, T0_US + DAY_US))
    assert 0 < len(left) < 9600
    seen = {frame.row.seq for frame in left}
    assert set(range(310 * 8, 335 * 8)) <= seen
    assert kept_spans(house.reader.connection) == [(*incident, "incident 1")]
    assert house.committer.flush(10)
    assert any(kind == "shed" for _, kind, _, _ in house.reader.events())
    after = SeriesReader(house.path, STUDIO, [RIG]).series(RIG, "bar_load_n", T0_US, T0_US + 1200 * 10**6)
    assert after.rows.tolist() == before.rows.tolist()
    assert house.committer.between(lambda journal: journal.commit(Batch(frames=frames[:50]))) == 0
    house.close()


def test_nothing_goes_that_a_sink_has_not_taken(tmp_path):
    house = House(tmp_path, tmp_path, Policy(raw_days=1), sinks=(SINK,))
    house.live(rows(9600))
    house.now_us += 5 * DAY_US
    house.upkeep.round(house.reader)
    assert shed_totals(house.reader.connection) == (0, 0)
    house.store(Batch(cursors={SINK: (5000, 0)}))
    house.upkeep.round(house.reader)
    gone, _ = shed_totals(house.reader.connection)
    assert 0 < gone <= 5000
    assert house.reader.frames_after(5000, 10)[0].id == 5001
    house.close()


def test_a_budget_is_kept_by_giving_the_oldest_raw_data_and_nobody_is_warned(tmp_path, caplog):
    house = House(tmp_path, tmp_path, Policy(max_bytes=1_500_000))
    for number in range(12):
        house.live(rows(2400, first=number * 2400), rounds=2)
        assert (house.upkeep.problem, house.upkeep.store_full) == (None, False)
    assert caplog.messages == []
    assert shed_totals(house.reader.connection)[0] > 0
    assert house.upkeep.room.used_bytes < 1_500_000
    assert counted(house) == 12 * 2400
    assert house.reader.newest_device_us(1, 7) is not None
    house.close()


def test_a_budget_that_cannot_be_kept_because_a_sink_has_to_take_data_first_warns_and_names_it(
    tmp_path, caplog
):
    house = House(tmp_path, tmp_path, Policy(max_bytes=1_000_000), sinks=(SINK,))
    for number in range(6):
        house.live(rows(2400, first=number * 2400), rounds=2)
    assert house.upkeep.store_full
    assert "nearly full: the journal uses" in caplog.text
    assert "influx still has to take older data" in house.upkeep.problem
    house.close()


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 4 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a small disk")
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place], check=False, capture_output=True
    )
    if made.returncode:
        pytest.skip("this machine lets nobody mount")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_is_not_acknowledged_and_recovers_by_itself(small_disk, tmp_path):
    house = House(small_disk, tmp_path)
    (small_disk / "ballast").write_bytes(bytes(2_500_000))
    stored = []
    for number in range(20):
        house.committer.submit(
            Batch(frames=rows(400, first=number * 400)), lambda number=number: stored.append(number)
        )
    wait_until(lambda: house.committer.problem, "the full disk to be noticed")
    assert "free some space" in house.committer.problem
    held = len(stored)
    assert held < 20
    assert house.reader.totals()[0] <= 8000
    house.upkeep.round(house.reader)
    assert house.upkeep.store_full
    (small_disk / "ballast").unlink()
    wait_until(lambda: len(stored) == 20, "the rest to be stored")
    assert house.committer.problem is None
    assert stored == list(range(20))
    assert house.reader.totals()[0] == 8000
    house.close()


def test_a_quota_reached_is_recovered_by_shedding_what_every_sink_has(tmp_path):
    house = House(tmp_path, tmp_path)
    for number in range(4):
        house.live(rows(2400, first=number * 2400))
    pages = house.journal._connection.execute("PRAGMA page_count").fetchone()[0]
    house.journal._connection.execute(f"PRAGMA max_page_count = {pages}")
    house.committer.submit(Batch(frames=rows(2700, first=9600)))
    wait_until(lambda: house.committer.full, "the quota to be noticed")
    for _ in range(40):
        house.upkeep.round(house.reader)
        if house.committer.flush(0.2):
            break
    assert house.committer.problem is None
    assert counted(house) == 12_300
    assert shed_totals(house.reader.connection)[0] > 0
    house.close()


def test_a_week_without_influxdb_takes_the_documented_room_and_nothing_is_lost(tmp_path):
    # One minute in each eight hours of the week, as if it were all of them: the same code, 1/480 of the data.
    house = House(tmp_path, tmp_path, Policy(raw_days=1), sinks=(SINK,))
    minutes = 7 * 3
    first = 0
    for number in range(minutes):
        start_us = T0_US + number * 8 * HOUR_US
        house.store(Batch(frames=rows(480, first=first, at_us=start_us - first * FRAME_US)))
        first += 480
        house.now_us = start_us
        house.upkeep.round(house.reader)
    house.now_us += DAY_US
    house.upkeep.round(house.reader)
    assert counted(house) == house.reader.totals()[0] == minutes * 480
    cells = minutes * 480 * 40
    size = house.reader.connection.execute("SELECT sum(bytes) FROM blocks").fetchone()[0]
    assert house.reader.connection.execute("SELECT count(*) FROM frames").fetchone()[0] == 0
    assert size / cells < 1.5
    cursor, seen = 0, 0
    while found := house.reader.frames_after(cursor, 500):
        seen += len(found)
        cursor = found[-1].id
        house.store(Batch(cursors={SINK: (cursor, 0)}))
    assert seen == minutes * 480
    house.upkeep.round(house.reader)
    assert house.reader.totals()[0] < minutes * 480
    assert counted(house) == minutes * 480
    house.close()


def test_the_thread_does_its_rounds_and_ends_when_told(house):
    house.store(Batch(frames=rows(800)))
    house.upkeep.start()
    wait_until(lambda: house.reader.cursor(CURSOR) == 800, "the first round")
    house.upkeep.stop()
    assert not house.upkeep._thread.is_alive()
