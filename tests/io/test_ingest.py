"""The intake's short way for frames that follow each other against the way any frame goes."""

from unittest.mock import patch

import msgspec
import numpy as np
import pytest
from ashibar import ingest
from ashibar.core.stamps import one_frame_utc_us, sample_utc_us
from ashibar.core.timefit import stamp, stamp_one
from ashibar.ingest import Ingest
from ashibar.io.journal import Journal, Reader
from ashibar.io.mqtt import Inbound
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nodes import about, frame

START_US = 1_790_000_000_000_000
NODES = ("bars-1", "bars-2")
EVENTS = ("next",) * 4 + ("again", "hole", "jump", "backlog", "late", "boot", "lost", "broken", "shift")


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    path = tmp_path_factory.mktemp("ingest") / "journal.sqlite"
    journal = Journal(path)
    reader = Reader(path)
    yield reader
    reader.close()
    journal.close()


class Sender:
    """One node's frames, with what can happen to them on their way."""

    def __init__(self, name, boot):
        self.name, self.boot, self.seq, self.index, self.late_us = name, boot, 0, 0, 0
        self.kept = []

    def payloads(self, event, counts):
        if event == "boot":
            self.boot, self.seq, self.index = self.boot + 10, 0, 0
        if event == "again" and self.kept:
            return [self.kept[-1]]
        self.seq += event == "hole"
        self.index += 10 if event in ("hole", "jump") else 0
        flags, oldest = int(event == "backlog"), self.seq if event == "lost" else 0
        payload = frame(self.boot, self.seq, index=self.index, flags=flags, oldest=oldest, counts=counts)
        self.seq, self.index = self.seq + 1, self.index + 10
        self.kept.append(payload)
        return [payload[:-1]] if event == "broken" else [] if event == "late" else [payload]


def messages(steps):
    """What arrives, in batches of one frame of each node at most, each announced first."""
    senders = [Sender(name, number + 1) for number, name in enumerate(NODES)]
    chance, moved_us = np.random.default_rng(len(steps)), 0
    batches = [[(sender.name, "about", about(sender.boot, unix_s=START_US / 1e6)) for sender in senders]]
    for events in steps:
        batch = []
        for sender, event in zip(senders, events, strict=True):
            moved_us += 400_000 * (event == "shift")
            counts = chance.integers(900, 2000, 40).astype("<i4")
            batch += [(sender.name, "samples", payload) for payload in sender.payloads(event, counts)]
        batches.append(batch)
        late = [sender for sender in senders if sender.kept and events[0] == "late"]
        batches += [[(sender.name, "samples", sender.kept[-1])] for sender in late]
    for number, batch in enumerate(batches):
        mono_us = 125_000 * number + int(chance.integers(0, 20_000))
        utc_us = START_US + mono_us + moved_us
        yield [
            Inbound(f"ashibar/v1/quiet-room/{node}/{kind}", payload, 1, 1, False, mono_us, utc_us, 1)
            for node, kind, payload in batch
        ]


def taken(reader, batches, few):
    """Everything that came of the messages, in plain values."""
    found = []
    with patch.object(ingest, "FEW", few):
        intake = Ingest("quiet-room", NODES, reader)
        for batch in batches:
            came = intake.take(batch)
            samples = [
                (s.node, s.boot, s.first_index, s.utc_us.tolist(), s.counts.tolist(), s.calibration)
                for s in came.samples
            ]
            nodes = [
                (n.boot, n.newest, n.last_frame_mono_us, n.last_frame_utc_us) for n in intake.nodes.values()
            ]
            rows = {name: getattr(came.batch, name) for name in came.batch.__slots__}
            rows["frames"], samples = sorted(rows["frames"]), sorted(samples, key=lambda each: each[:3])
            found.append((samples, rows, came.uptos, nodes, msgspec.to_builtins(intake.accounting.summary())))
    return found


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(EVENTS), st.sampled_from(EVENTS)), min_size=12, max_size=60))
def test_a_frame_that_follows_comes_to_the_same_the_short_way(reader, steps):
    batches = list(messages([("next", "next")] * 10 + steps))
    assert taken(reader, batches, 64) == taken(reader, batches, 0)


def test_frames_that_follow_each_other_take_the_short_way(reader):
    batches = list(messages([("next", "next")] * 60))
    with patch.object(Ingest, "_take_any", autospec=True, side_effect=Ingest._take_any) as any_way:
        taken(reader, batches, 64)
    assert any_way.call_count < 15  # until the map of time is settled


@given(
    st.integers(0, 2**40), st.integers(-1000, 1000), st.lists(st.integers(1, 50_000), min_size=1, max_size=30)
)
def test_one_frame_is_stamped_as_among_others(first_us, stretch_us, steps):
    device_us = np.cumsum(np.array(steps, np.int64))
    last_us = first_us + int(device_us[-1] - device_us[0]) + stretch_us
    among = sample_utc_us(np.array([first_us]), np.array([last_us]), device_us[np.newaxis])[0]
    assert one_frame_utc_us(first_us, last_us, (device_us - device_us[0]).tolist()).tolist() == among.tolist()


def test_one_time_is_stamped_as_among_others(reader):
    intake = Ingest("quiet-room", NODES, reader)
    for batch in messages([("next", "next"), ("shift", "next"), ("next", "backlog")] * 30):
        intake.take(batch)
    fit = intake._boots["bars-1", 1]._fit
    assert len(fit.knots) > 2
    device_us = np.arange(0, 13_000_000, 777)
    assert [stamp_one(fit, each) for each in device_us.tolist()] == stamp(fit, device_us).tolist()


def test_samples_of_a_boot_after_a_clock_set_back_never_share_a_stamp_with_those_before(reader):
    intake, stamps = Ingest("quiet-room", NODES, reader), []
    for boot in range(1, 8):  # each at the very time of the one before
        for seq in range(6):
            mono_us = 1_000_000 * boot + 125_000 * seq
            payload = frame(8 * boot, seq, index=10 * seq, counts=np.arange(40, dtype="<i4"))
            topic, utc_us = f"ashibar/v1/quiet-room/{NODES[0]}/samples", START_US + 125_000 * seq
            came = intake.take([Inbound(topic, payload, 1, 1, False, mono_us, utc_us, 1)])
            stamps += [each.utc_us for each in came.samples]
    all_us = np.concatenate(stamps)
    assert len(all_us) == 7 * 60
    assert len(np.unique(all_us)) == len(all_us)


def test_after_a_restart_a_boot_announced_before_it_still_shares_no_stamp(tmp_path):
    path, stamps = tmp_path / "journal.sqlite", []
    topic = f"ashibar/v1/quiet-room/{NODES[0]}"
    for boot in (1, 2, 3, 4):  # each at the very time of the one before, a restart within each
        for seqs in (None, range(3), range(3, 6)):
            journal, reader = Journal(path), Reader(path)
            intake = Ingest("quiet-room", NODES, reader)
            mono_us = 1_000_000 * boot
            if seqs is None:
                message = Inbound(f"{topic}/about", about(boot), 1, 1, True, mono_us, START_US, 1)
                journal.commit(intake.take([message]).batch)
            for seq in seqs or ():
                payload = frame(boot, seq, index=10 * seq, counts=np.arange(40, dtype="<i4"))
                at_us = 125_000 * seq
                message = Inbound(
                    f"{topic}/samples", payload, 1, 1, False, mono_us + at_us, START_US + at_us, 1
                )
                came = intake.take([message])
                stamps += [each.utc_us for each in came.samples]
                journal.commit(came.batch)
            reader.close()
            journal.close()
    all_us = np.concatenate(stamps)
    assert len(all_us) == 4 * 60
    assert len(np.unique(all_us)) == len(all_us)
