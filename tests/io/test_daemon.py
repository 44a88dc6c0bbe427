"""The daemon in this process, against a real mosquitto: from frame to record and page."""

import json
import threading
import time
import urllib.request

import numpy as np
import pytest
from ashibar.core.config import check
from ashibar.daemon import Daemon
from ashibar.io.journal import Reader
from nodes import TestNode, about, document, frame
from servers import wait_until


@pytest.fixture
def host(mosquitto, tmp_path):
    """A running daemon and its journal's reader."""
    daemon = Daemon(check(document(mosquitto.port, tmp_path / "journal.sqlite")))
    daemon.start()
    assert daemon.link.wait_connected(10)
    daemon.reader = Reader(tmp_path / "journal.sqlite")
    yield daemon
    daemon.reader.close()
    daemon.stop()


@pytest.fixture
def node(mosquitto, host):
    assert host.link.connected
    node = TestNode(mosquitto.port)
    yield node
    node.stop()


def test_frames_are_stored_then_committed_and_shown(host, node):
    for seq in range(40):
        node.send(seq)
    wait_until(lambda: node.upto == 39, "all frames to be committed")
    assert host.reader.totals() == (40, 400)
    account = wait_until(
        lambda: host.accounting()["samples_stored"] == 400 and host.accounting(), "the account"
    )
    assert (account["missing"], account["duplicates"], account["samples_taken"]) == (0, 0, 400)
    with urllib.request.urlopen(host.url + "api/v1/accounting") as answer:
        assert json.load(answer)["samples_stored"] == 400


def snapshot(host):
    return host.feed.snapshot("room-1")


def test_the_live_figure_is_body_weight_minus_the_sum_of_the_cells(host, node):
    counts = np.tile([21_000, 31_000, 41_000, 51_000], 2) + 1000  # at 0.001 N a count: 144 N
    node.play(60, counts=counts)
    figure = snapshot(host)["figure"]
    assert figure["validity"] == "valid"
    assert figure["client"]["value_n"] == pytest.approx(60 * 9.80665 - 144, abs=1e-6)
    assert figure["age_s"] < 0.5


def test_the_trend_has_ten_points_a_second_and_the_newest_sample_is_named(host, node):
    node.play(80, counts=np.tile([2000] * 4, 2))
    newest = wait_until(
        lambda: snapshot(host)["newest"].get("bars-1", {}).get("index") == 159, "the last sample"
    )
    assert newest
    times = [point[0] for point in snapshot(host)["trend"] if point[1] is not None]
    assert 18 <= len(times) <= 22
    assert all(80 <= step <= 120 for step in np.diff(times)[1:])


def test_without_samples_there_is_no_number_within_a_second_and_a_half(host, node):
    node.play(60)
    assert snapshot(host)["figure"]["client"] is not None
    wait_until(lambda: snapshot(host)["figure"]["client"] is None, "the number to go", within_s=1.5)
    assert snapshot(host)["figure"]["validity"] == "stale"


def test_a_frame_sent_again_is_counted_as_duplicate_and_stored_once(host, node):
    for seq in [*range(10), 3, 4, 9]:
        node.send(seq)
    account = wait_until(
        lambda: host.accounting()["duplicates"] == 30 and host.accounting(), "the duplicates"
    )
    assert account["samples_stored"] == 100
    assert host.reader.totals() == (10, 100)


def test_what_a_node_no_longer_holds_goes_on_record_and_committed_passes_it(host, node):
    node.send(0)
    node.send(5, frame(7, 5, oldest=5))
    wait_until(lambda: node.upto == 5, "committed to pass the gap")
    assert [gap[:5] for gap in host.reader.gaps()] == [(1, 7, 1, 4, "the node no longer held them")]
    account = wait_until(
        lambda: host.accounting()["lost"] == 40 and host.accounting(), "the loss in the account"
    )
    assert [(gap["from_index"], gap["to_index"]) for gap in account["gaps"]] == [(10, 49)]


def test_a_frame_that_comes_after_all_is_taken_off_the_record_of_losses(host, node):
    node.send(0)
    node.send(3, frame(7, 3, oldest=3))
    wait_until(lambda: node.upto == 3, "committed to pass the gap")
    node.send(1, frame(7, 1, oldest=1))
    wait_until(lambda: [gap[2:4] for gap in host.reader.gaps()] == [(2, 2)], "the shorter gap")


def test_a_new_boot_is_told_that_nothing_of_it_is_stored_yet(host, mosquitto):
    assert host.link.connected
    node = TestNode(mosquitto.port, boot=4_000_000_000)
    assert node.committed_seen.wait(15)
    assert node.upto == -1
    node.stop()


def test_that_a_boot_is_over_is_on_record(host, mosquitto, node):
    node.play(60, samples=2)
    wait_until(lambda: node.upto == 59, "the first boot to be stored")
    wait_until(lambda: not host.reader.boots_with_provisional(), "final stamps")
    assert not json.loads(host.reader.boot(1, 7).counts)["ended"]
    again = TestNode(mosquitto.port, boot=8)
    again.send(0)
    wait_until(lambda: host.reader.boot(1, 8) is not None, "the second boot")
    assert json.loads(host.reader.boot(1, 7).counts)["ended"]
    again.stop()


def test_backlog_is_stamped_anew_once_live_frames_tell_the_time(host, node):
    for seq in range(20):
        node.send(seq, flags=1, samples=2)
    wait_until(lambda: node.upto == 19, "the backlog to be stored")
    assert host.reader.frames_after(0, 100) == []
    node.play(60, first=20)
    stored = wait_until(
        lambda: len(host.reader.frames_after(0, 100)) == 80 and host.reader.frames_after(0, 100), "stamps"
    )
    steps = np.diff([frame.row.utc_us for frame in stored])
    assert np.abs(steps - 25_000).max() <= 25_000 * 0.05


def test_a_restart_goes_on_where_the_journal_ends(host, node):
    node.play(60)
    wait_until(lambda: node.upto == 59, "all to be committed")
    host.stop()
    again = Daemon(host.config)
    again.start()
    wait_until(lambda: again.link.connected, "the link")
    node.upto = -1
    node.play(20, first=50)
    wait_until(lambda: node.upto == 69, "committed by the second run")
    account = wait_until(
        lambda: again.accounting()["samples_stored"] == 140 and again.accounting(), "the account"
    )
    assert account["duplicates"] == 20
    stamps = [each.row.utc_us for each in host.reader.frames_of(1, 7)]
    again.stop()
    assert np.abs(np.diff(stamps) - 25_000).max() < 25_000


def test_while_the_disk_is_full_the_figure_lives_and_readiness_says_so(host, node):
    node.play(50)
    host.journal._connection.execute("PRAGMA max_page_count = 1")
    node.play(60, first=50, samples=10)
    assert snapshot(host)["figure"]["client"] is not None
    ready, reasons = host.ready()
    assert not ready
    assert any("free some space" in reason for reason in reasons)
    assert node.upto < 109
    host.journal._connection.execute("PRAGMA max_page_count = 1000000")
    wait_until(lambda: node.upto == 109, "the rest to be stored")
    wait_until(lambda: host.ready()[0] or node.play(1, first=110 + len(node.sent_at)), "readiness")


def test_readiness_names_the_broker_and_the_silent_node(host, mosquitto):
    ready, reasons = host.ready()
    assert not ready
    assert reasons == ["node bars-1: no live samples since the start"]
    mosquitto.kill()
    wait_until(
        lambda: any("no connection to the broker" in reason for reason in host.ready()[1]), "the broker"
    )


def test_a_session_zero_a_node_says_is_used_and_put_on_record(host, node):
    assert node.committed_seen.wait(10)
    said = json.loads(about(7))
    said["zeros"]["session"] = {"unix_s": time.time(), "device_us": None, "counts": [3000] * 4}
    node.client.publish(f"{node.root}/about", json.dumps(said), 1, retain=True)
    recorded = lambda: str(host.reader.parameters("room-1"))  # noqa: E731
    wait_until(lambda: '"kind":"session"' in recorded(), "the parameters on record")
    node.play(60, counts=np.full(8, 5000))
    load = lambda: (snapshot(host)["figure"]["bar"] or {}).get("value_n")  # noqa: E731
    wait_until(lambda: load() == pytest.approx(8.0, abs=1e-6), "the load by the new zero", within_s=2)


def test_it_stops_within_two_seconds_with_pages_attached(host, node):
    node.play(30)
    streams = [urllib.request.urlopen(host.url + "events") for _ in range(3)]
    readers = [threading.Thread(target=stream.read) for stream in streams]
    for each in readers:
        each.start()
    begin = time.monotonic()
    host.stop()
    assert time.monotonic() - begin < 2.0
    for each in readers:
        each.join(2)


def test_display_tells_the_nodes_light_what_the_page_shows(host, node):
    came = []
    node.client.message_callback_add(
        f"{node.root}/display", lambda _c, _d, message: came.append(json.loads(message.payload))
    )
    node.client.subscribe(f"{node.root}/display")
    node.play(60)
    wait_until(lambda: any(each["fraction"] is not None for each in came), "a figure on the light")
    wait_until(lambda: came[-1]["fraction"] is None, "the light to say that there is none", within_s=2)
    assert came[-1]["server"] == host.feed.server_id
