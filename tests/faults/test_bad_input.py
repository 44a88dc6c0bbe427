"""What no node should send is counted and kept aside; the frames beside it are stored, every one."""

import itertools
import random
import struct
import time
import zlib

import pytest
from ashibar.core.config import check
from ashibar.core.frame import MAX_DEVICE_US
from ashibar.daemon import Daemon
from ashibar.ingest import Ingest
from ashibar.io.journal import Journal, Reader
from ashibar.io.mqtt import Inbound
from nodes import TestNode, document, frame
from servers import wait_until

ROOT = "ashibar/v1/quiet-room"


@pytest.fixture
def host(mosquitto, tmp_path):
    daemon = Daemon(check(document(mosquitto.port, tmp_path / "journal.sqlite")))
    daemon.start()
    daemon.reader = Reader(tmp_path / "journal.sqlite")
    yield daemon
    daemon.reader.close()
    daemon.stop()


def resealed(payload, offset, value):
    body = payload[:offset] + value + payload[offset + len(value) : -4]
    return body + struct.pack("<I", zlib.crc32(body))


def bad_payloads(seed):
    chance = random.Random(seed)
    good = frame(7, 5)
    yield from (chance.randbytes(chance.randrange(400)) for _ in range(100))
    yield from (good[: chance.randrange(len(good))] for _ in range(50))
    yield good + b"\x00"
    yield bytes(200_000)
    yield resealed(good, 2, b"\x02")  # version
    yield resealed(good, 26, b"\x00")  # no samples
    yield resealed(good, 27, b"\x11")  # 17 cells
    yield resealed(good, 12, b"\xff" * 8)  # a device time past any clock
    yield good[:-1] + bytes([good[-1] ^ 1])


def test_bad_frames_are_put_aside_and_their_neighbours_all_stored(host, mosquitto):
    node = TestNode(mosquitto.port)
    assert node.committed_seen.wait(15)
    bad = list(bad_payloads(1))
    for seq, payload in enumerate(bad):
        node.send(seq, frame(7, seq, samples=2))
        node.client.publish(f"{ROOT}/bars-1/samples", payload, 1)
    last = len(bad) - 1
    wait_until(lambda: node.upto == last, "the good frames to be committed")
    assert [each.row.seq for each in host.reader.frames_of(1, 7)] == list(range(len(bad)))
    account = wait_until(
        lambda: host.accounting()["unreadable"] == len(bad) and host.accounting(), "the count"
    )
    assert account["missing"] == 0
    aside = host.reader.aside()
    assert len(aside) == len(bad)
    assert max(size for _, _, size, _ in aside) == 200_000
    node.stop()


def test_unknown_nodes_and_unreadable_json_are_counted_and_stop_nobody(host, mosquitto):
    node = TestNode(mosquitto.port)
    assert node.committed_seen.wait(15)
    for seq in range(20):
        node.send(seq)
        node.client.publish(f"{ROOT}/stranger/samples", frame(1, seq), 1)
        node.client.publish(f"{ROOT}/bars-1/about", b'{"boot": ' + b"[" * 5000, 1)
        node.client.publish(f"{ROOT}/bars-1/health", b"\xff\xfe", 0)
        node.client.publish(f"{ROOT}/bars-1/reply", b"null", 1)
        node.client.publish(f"{ROOT}/Bad_Name/samples", b"", 1)
    wait_until(lambda: node.upto == 19, "the good frames to be committed")
    wait_until(lambda: host.accounting()["aside"] == 100, "all to be put aside")
    assert host.accounting()["unknown_nodes"] == {"stranger": 20}
    reasons = [reason for _, reason, _, _ in host.reader.aside()]
    assert any("add it to a [[rig.cell]]" in reason for reason in reasons)
    assert host.reader.totals()[0] == 20
    assert host.ready()[0]
    node.stop()


def test_absurd_but_well_formed_frames_do_not_stop_the_neighbours(host, mosquitto):
    node = TestNode(mosquitto.port)
    assert node.committed_seen.wait(15)
    node.send(0)
    absurd = [
        frame(7, 2**32 - 1, index=2**32 - 11, device_us=MAX_DEVICE_US),
        frame(7, 1000, index=5, device_us=0, oldest=0),
        frame(8, 0, cells=16, samples=255, counts=[-(2**31)] * (16 * 255)),
        frame(9, 3, cells=1, samples=1, device_us=MAX_DEVICE_US, index=0),
    ]
    for payload in absurd:
        node.client.publish(f"{ROOT}/bars-1/samples", payload, 1).wait_for_publish(10)
    node.stop()
    other = TestNode(mosquitto.port, boot=11)
    other.play(60)
    wait_until(lambda: other.upto == 59, "a later boot's frames")
    assert host.reader.totals()[0] == 65
    begun = itertools.count(60, 20)

    def figure_of_fresh_samples():
        other.play(20, first=next(begun))
        return host.feed.snapshot("room-1")["figure"]["client"]

    wait_until(figure_of_fresh_samples, "a figure", within_s=30)
    other.stop()


@pytest.mark.parametrize("jump_s", [3600, -3600, 0.3, -0.3])
def test_a_jump_of_the_hosts_clock_is_followed_and_loses_nothing(tmp_path, jump_s):
    journal = Journal(tmp_path / "journal.sqlite")
    reader = Reader(journal.path)
    ingest = Ingest("quiet-room", ["bars-1"], reader)
    start_us, arrivals = 1_790_000_000_000_000, []
    for seq in range(400):
        mono_us = (seq + 1) * 125_000 + 2_000
        utc_us = start_us + mono_us + (round(jump_s * 1e6) if seq >= 200 else 0)
        message = Inbound(f"{ROOT}/bars-1/samples", frame(7, seq), seq, 1, False, mono_us, utc_us, 1)
        journal.commit(ingest.take([message]).batch)
        arrivals.append(utc_us)
    frames = [each.row for each in reader.frames_of(1, 7)]
    assert len(frames) == 400
    ages = [arrival - each.utc_last_us for arrival, each in zip(arrivals, frames, strict=True)]
    assert (
        max(abs(age) for age in ages[100:200] + ages[300:]) < 10_000
    )  # the quickest arrival is the newest sample
    assert reader.frames_after(0, 1000)[-1].row.seq == 399
    reader.close()
    journal.close()


def test_random_messages_on_random_topics_never_stop_the_intake(tmp_path):
    journal = Journal(tmp_path / "journal.sqlite")
    reader = Reader(journal.path)
    ingest = Ingest("quiet-room", ["bars-1"], reader)
    chance = random.Random(3)
    kinds = ["samples", "state", "about", "health", "weight", "reply", "committed", "nonsense"]
    texts = [
        b"",
        b"{}",
        b"[]",
        b'{"state":"online","boot":-1}',
        b'{"boot":1e999}',
        b'{"state":"lost","boot":4}',
        b"\x00",
    ]
    for turn in range(200):
        batch = []
        for number in range(chance.randrange(1, 12)):
            node = chance.choice(["bars-1", "x", "..", "\ufffd"])
            payload = chance.choice(
                [chance.randbytes(chance.randrange(60)), chance.choice(texts), frame(1, turn)]
            )
            topic = f"ashibar/v1/{chance.choice(['quiet-room', 'other'])}/{node}/{chance.choice(kinds)}"
            now_us = time.time_ns() // 1000
            batch.append(Inbound(topic, payload, number, 1, False, now_us, now_us, 1))
        journal.commit(ingest.take(batch).batch)
    assert reader.totals()[0] > 0
    reader.close()
    journal.close()
