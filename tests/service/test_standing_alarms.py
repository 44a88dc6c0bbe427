"""The alarms only the host can see, on the chain: one host with nothing amiss, one with everything."""

import dataclasses
import json
import shutil
import time
from types import SimpleNamespace

import ashibar.daemon
import pytest
from ashibar.core.config import check
from ashibar.core.retention import Policy
from ashibar.daemon import Daemon
from ashibar.io.journal import Batch, Journal
from bars import Api, Bars
from nodes import ZERO_COUNT, TestNode, about
from records import first_batch, frame_rows, load
from rooms import configuration
from servers import Mosquitto, find_program, free_port, wait_until

KEYS = (
    "clock-unsure",
    "store-full",
    "influxdb-behind",
    "weight-expired",
    "zero-drift:left-head",
    "calibration-due",
)
DAY_S = 86_400.0


@pytest.fixture(scope="module", autouse=True)
def half_free():
    """Whatever this machine's disk is like, it counts as half free."""
    with pytest.MonkeyPatch.context() as made:
        made.setattr(
            shutil, "disk_usage", lambda _: SimpleNamespace(total=10**12, used=5 * 10**11, free=5 * 10**11)
        )
        yield


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    if find_program("mosquitto") is None:
        pytest.skip("not on this machine: mosquitto")
    made = Mosquitto(tmp_path_factory.mktemp("broker")).start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def sound(broker, tmp_path_factory):
    """A host with nothing amiss."""
    host = Daemon(check(configuration(broker, tmp_path_factory.mktemp("sound"))))
    host.start()
    bars = Bars(broker.port)
    host.api = Api(host.url)
    wait_until(lambda: (host.figure("room-1") or {}).get("bar"), "a figure")
    yield host
    bars.stop()
    host.stop()


@pytest.fixture(scope="module")
def troubled(tmp_path_factory):
    """A host whose every standing alarm has its cause: no samples, old dates, no room, no InfluxDB."""
    broker = Mosquitto(tmp_path_factory.mktemp("troubled broker")).start()
    place = tmp_path_factory.mktemp("troubled")
    old_us = round((time.time() - 1200) * 1e6)
    journal = Journal(place / "journal.sqlite")
    journal.commit(first_batch(from_us=old_us))
    journal.commit(Batch(frames=list(frame_rows(load(1.0), from_us=old_us))))
    journal.close()
    influx = {"url": f"http://127.0.0.1:{free_port()}", "bucket": "ashibar"}
    config = check(configuration(broker, place, influx=influx))
    with pytest.MonkeyPatch.context() as earlier:
        earlier.setattr(ashibar.daemon, "_utc_us", lambda: time.time_ns() // 1000 - 13 * 3_600_000_000)
        host = Daemon(dataclasses.replace(config, retention=Policy(max_bytes=100_000)))
    host.start()
    host.api = Api(host.url)
    node = TestNode(broker.port)
    assert node.introduced.wait(10)
    said = json.loads(about(7, unix_s=time.time() - 400 * DAY_S))
    said["calibration"]["id"] = 2  # the first `about` has said another under 1
    drifted = [ZERO_COUNT + 50_000, *[ZERO_COUNT] * 3]
    said["zeros"]["session"] = {"counts": drifted, "unix_s": time.time()}
    node.client.publish(f"{node.root}/about", json.dumps(said), 1, retain=True)
    yield host
    node.stop()
    host.stop()
    broker.stop()


def shown(host):
    return {each["key"] for each in host.feed.snapshot("room-1")["alarms"]}


def state(host, key):
    return host.api.alarm(key)["state"]


@pytest.mark.parametrize("key", KEYS)
def test_what_only_the_host_sees_raises_its_alarm_and_is_normal_without_its_cause(sound, troubled, key):
    wait_until(lambda: state(troubled, key) == "unacknowledged", f"{key} with its cause")
    wait_until(lambda: key in shown(troubled), f"{key} on the page")
    wait_until(lambda: state(sound, key) in ("normal", "returned-unacknowledged"), f"{key} without its cause")


def test_a_clock_is_unsure_until_samples_came_and_sure_from_then_on(sound):
    def raised():
        entries = [entry["data"] for entry in sound.api.log("alarm")]
        return [data["after"] for data in entries if data["key"] == "clock-unsure"]

    wait_until(lambda: len(raised()) >= 2, "the clock to be sure")
    assert raised() == ["unacknowledged", "returned-unacknowledged"]


def test_a_store_out_of_room_is_raised_and_ends_when_there_is_room_again(sound):
    sound.journal._connection.execute("PRAGMA max_page_count = 1")
    wait_until(lambda: state(sound, "store-full") == "unacknowledged", "the alarm")
    sound.journal._connection.execute("PRAGMA max_page_count = 1000000")
    wait_until(lambda: state(sound, "store-full") == "returned-unacknowledged", "its end")
