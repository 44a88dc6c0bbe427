"""The demo's brokers: they carry messages, keep them over an absence, and never outlive their parent."""

import gc
import os
import signal
import subprocess
import sys
import threading

import paho.mqtt.client as mqtt
import pytest
from ashibar.sim.broker import BrokerError, start_broker
from servers import accepts, need, wait_until

CHOICES = ["mosquitto", "amqtt"]
# amqtt and paho leave closed sockets to the collector; that is theirs, and must not fail a later test either.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def collected():
    yield
    gc.collect()


@pytest.fixture(params=CHOICES)
def broker(request, tmp_path):
    if request.param == "mosquitto":
        need("mosquitto")
    running = start_broker(tmp_path / "broker", request.param)
    yield running
    running.stop()


def client(broker, name, *, clean=True):
    made = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, name, clean_session=clean)
    made.connect(broker.host, broker.port)
    made.loop_start()
    wait_until(made.is_connected, "the connection")
    return made


def test_a_message_published_to_the_broker_reaches_its_subscriber(broker):
    received = threading.Event()
    subscriber = client(broker, "in")
    subscriber.on_message = lambda *_: received.set()
    subscribed = threading.Event()
    subscriber.on_subscribe = lambda *_: subscribed.set()
    subscriber.subscribe("a/b", qos=1)
    assert subscribed.wait(5)
    publisher = client(broker, "out")
    publisher.publish("a/b", b"x", qos=1)
    assert received.wait(5)
    for each in (subscriber, publisher):
        each.disconnect()
        each.loop_stop()


def test_nobody_listens_after_the_broker_was_stopped(broker):
    assert accepts(broker.port)
    broker.stop()
    assert not accepts(broker.port)


def test_mosquitto_keeps_more_than_its_default_of_a_thousand_messages_for_an_absent_client(tmp_path):
    need("mosquitto")
    broker = start_broker(tmp_path / "broker", "mosquitto")
    try:
        absent = client(broker, "absent", clean=False)
        subscribed = threading.Event()
        absent.on_subscribe = lambda *_: subscribed.set()
        absent.subscribe("a", qos=1)
        assert subscribed.wait(5)
        absent.disconnect()
        absent.loop_stop()
        publisher = client(broker, "out")
        for _ in range(1500):
            last = publisher.publish("a", b"x", qos=1)
        last.wait_for_publish(20)
        received = []
        absent.on_message = lambda *_: received.append(1)
        absent.reconnect()
        absent.loop_start()
        wait_until(lambda: len(received) >= 1500, "the 1500 messages kept")
        for each in (absent, publisher):
            each.disconnect()
            each.loop_stop()
    finally:
        broker.stop()


def test_a_broker_ends_when_its_parent_is_killed(tmp_path):
    need("mosquitto")
    program = (
        "import sys, time, pathlib; from ashibar.sim.broker import start_broker;"
        "print(start_broker(pathlib.Path(sys.argv[1]), 'mosquitto').port, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    port = int(parent.stdout.readline())
    assert accepts(port)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: not accepts(port), "mosquitto to end", within_s=5)


def test_without_mosquitto_the_choice_falls_on_amqtt_and_a_demand_for_it_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("ashibar.sim.broker.find", lambda *_: None)
    with pytest.raises(BrokerError, match="expected mosquitto, found none"):
        start_broker(tmp_path, "mosquitto")
    running = start_broker(tmp_path)
    assert running.name.startswith("amqtt ")
    running.stop()


def test_a_mosquitto_that_will_not_start_is_reported_with_its_own_words(tmp_path, monkeypatch):
    need("mosquitto")
    monkeypatch.setattr("ashibar.sim.broker.MOSQUITTO_CONF", "nonsense {port} {host} {directory}\n")
    with pytest.raises(BrokerError, match="Unknown configuration variable"):
        start_broker(tmp_path, "mosquitto")
