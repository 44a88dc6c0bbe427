"""Boots that are over: years of them cost a start nothing, and what comes of them late is still known."""

import pytest
from ashibar.boots import Boot
from ashibar.ingest import Ingest
from ashibar.io.journal import Journal, Reader
from ashibar.io.mqtt import Inbound
from nodes import about, frame

START_US = 1_790_000_000_000_000
BOOT_US = 60_000_000
FRAME_US = 125_000
BOOTS, FRAMES = 20, 30
TOPIC = "ashibar/v1/quiet-room/bars-1/"


def message(kind, payload, at_us):
    return Inbound(TOPIC + kind, payload, 1, 1, False, at_us, at_us, 1)


def samples(boot, seq):
    at_us = START_US + boot * BOOT_US + seq * FRAME_US
    return message("samples", frame(boot, seq), at_us)


@pytest.fixture
def journal(tmp_path):
    """A journal of twenty boots, each ended by the next; one frame in the middle of each is missing."""
    path = tmp_path / "journal.sqlite"
    journal, reader = Journal(path), None
    reader = Reader(path)
    ingest = Ingest("quiet-room", ["bars-1"], reader)
    for boot in range(1, BOOTS + 1):
        taken = [message("about", about(boot, unix_s=START_US / 1e6), START_US + boot * BOOT_US)]
        taken += [samples(boot, seq) for seq in range(FRAMES) if seq != 15]
        journal.commit(ingest.take(taken).batch)
    yield journal, reader, ingest
    reader.close()
    journal.close()


def test_a_start_takes_up_no_boot_that_is_over(journal, monkeypatch):
    _, reader, before = journal
    taken_up = []
    restore = Boot.restore
    monkeypatch.setattr(Boot, "restore", lambda row, *rest: taken_up.append(row.boot) or restore(row, *rest))
    again = Ingest("quiet-room", ["bars-1"], reader)
    assert taken_up == [BOOTS]
    assert again.accounting.summary() == before.accounting.summary()
    assert again.nodes["bars-1"].boot == BOOTS


def test_what_comes_late_of_a_boot_that_is_over_is_known_as_such(journal):
    stored, reader, _ = journal
    again = Ingest("quiet-room", ["bars-1"], reader)
    missing = again.accounting.summary().missing
    intake = again.take([samples(3, seq) for seq in (14, 15, 16)])
    assert [row.seq for row in intake.batch.frames] == [15]
    stored.commit(intake.batch)
    account = again.accounting.summary()
    assert (account.duplicates, account.missing) == (20, missing - 10)
    assert Ingest("quiet-room", ["bars-1"], reader).accounting.summary() == account


def test_what_is_told_of_a_boot_follows_every_change_of_its_account(journal):
    _, _, ingest = journal
    account = ingest.accounting.boot("bars-1", BOOTS)
    changes = [
        lambda: ingest.take([samples(BOOTS, FRAMES)]),
        lambda: ingest.take([samples(BOOTS, 15)]),
        lambda: ingest.take([samples(BOOTS, 15)]),
        lambda: ingest.take([samples(BOOTS, FRAMES + 1)]),
        lambda: ingest.take([message("samples", frame(BOOTS, 40, oldest=38), START_US + 70 * BOOT_US)]),
        lambda: account.report_taken(10_000),
        account.end,
        lambda: account.end(5, count_final=True),
    ]
    for change in changes:
        before = account.told()
        change()
        after = account.told()
        assert (after.summary, after.gaps) == (account.summary(), account.gaps())
        assert after != before
    assert account.told() is account.told()
