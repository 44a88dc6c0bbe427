"""Nothing lost and nothing doubled when the daemon or the broker is killed, with real processes."""

import json
import random
import signal
import subprocess
import sys
import threading
import time

import paho.mqtt.client as paho
import pytest
from ashibar.io.journal import Reader
from nodes import TestNode, frame
from paho.mqtt.enums import CallbackAPIVersion
from servers import ROOT, Process, accepts, free_port, wait_until

CONFIG = """
[studio]
name = "quiet-room"
[mqtt]
port = {broker}
[journal]
path = "journal.sqlite"
[web]
port = {port}
[[rig]]
name = "room-1"
[[rig.cell]]
hanger = "left-head"
node = "bars-1"
channel = 0
capacity_kg = 200
class = "C3"
"""


class DaemonProcess(Process):
    """`ashibar run` as its own process."""

    def __init__(self, directory, broker_port):
        super().__init__(directory, free_port())
        (self.directory / "ashibar.toml").write_text(CONFIG.format(broker=broker_port, port=self.port))
        self.journal = self.directory / "journal.sqlite"

    def command(self):
        main = "import sys; from ashibar.cli import main; sys.exit(main())"
        return [sys.executable, "-c", main, "run", "--config", str(self.directory / "ashibar.toml")]


@pytest.fixture
def daemon(mosquitto, tmp_path):
    daemon = DaemonProcess(tmp_path / "daemon", mosquitto.port).start()
    yield daemon
    daemon.kill()


def stored(daemon):
    reader = Reader(daemon.journal)
    try:
        return [each.row.seq for each in reader.frames_of(1, 7)]
    finally:
        reader.close()


def session_exists(mosquitto):
    """Wait until the broker knows the daemon's subscription: what is published then is kept for it."""
    probe = TestNode(mosquitto.port, boot=99)
    assert probe.committed_seen.wait(45)
    probe.stop()


def test_a_daemon_killed_again_and_again_stores_every_acknowledged_frame_once(mosquitto, daemon):
    session_exists(mosquitto)
    publisher = paho.Client(CallbackAPIVersion.VERSION2)  # a node that trusts PUBACK and sends nothing twice
    publisher.connect("127.0.0.1", mosquitto.port)
    publisher.loop_start()
    chance = random.Random(5)
    sent = threading.Event()
    kills = 0

    def publish():
        for seq in range(3000):
            while kills < seq // 600:
                time.sleep(0.01)
            publisher.publish("ashibar/v1/quiet-room/bars-1/samples", frame(7, seq, samples=2), 1)
            time.sleep(0.002)
        sent.set()

    thread = threading.Thread(target=publish, daemon=True)
    thread.start()
    while not sent.is_set():
        time.sleep(chance.uniform(0.05, 0.6))
        daemon.kill()
        kills += 1
        daemon.start()
    thread.join()
    wait_until(lambda: len(stored(daemon)) == 3000, "all frames to be stored", within_s=90)
    assert stored(daemon) == list(range(3000))
    assert kills >= 4
    publisher.disconnect()
    publisher.loop_stop()


def test_a_daemon_killed_before_the_commit_gets_every_frame_again(mosquitto, daemon):
    session_exists(mosquitto)
    daemon.stop()
    stuck = """
import sys, time
from pathlib import Path
from ashibar.io.config_file import load
from ashibar.daemon import Daemon
daemon = Daemon(load(Path(sys.argv[1])))
daemon.journal._connection.execute("PRAGMA max_page_count = 1")
daemon.start()
while daemon.pipeline.samples_evaluated < 2 * 500:
    time.sleep(0.01)
print("evaluated, not stored", flush=True)
time.sleep(60)
"""
    child = subprocess.Popen(
        [sys.executable, "-c", stuck, str(daemon.directory / "ashibar.toml")],
        stdout=subprocess.PIPE,
        text=True,
    )
    publisher = paho.Client(CallbackAPIVersion.VERSION2)
    publisher.connect("127.0.0.1", mosquitto.port)
    publisher.loop_start()
    for seq in range(500):
        publisher.publish("ashibar/v1/quiet-room/bars-1/samples", frame(7, seq, samples=2), 1)
    assert child.stdout.readline() == "evaluated, not stored\n"
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert len(stored(daemon)) < 500  # a first small commit may fit into a page begun
    daemon.start()
    wait_until(lambda: len(stored(daemon)) == 500, "all frames to be stored")
    assert stored(daemon) == list(range(500))
    publisher.disconnect()
    publisher.loop_stop()


@pytest.mark.parametrize("saved", [False, True], ids=["never saved", "saved once"])
def test_a_killed_broker_loses_nothing_of_a_node_that_waits_for_committed(mosquitto, daemon, saved):
    node = TestNode(mosquitto.port)
    assert node.committed_seen.wait(45)
    if saved:
        mosquitto.save()
    for seq in range(600):
        node.send(seq, samples=2)
        time.sleep(0.002)
        if seq in (150, 300, 450):
            mosquitto.restart(kill=True)
    wait_until(lambda: node.resend() or node.upto == 599, "all to be committed", within_s=40, every_s=0.2)
    assert stored(daemon) == list(range(600))
    node.stop()


@pytest.mark.alone
def test_sigterm_ends_the_service_within_two_seconds_and_keeps_everything(mosquitto, daemon):
    session_exists(mosquitto)
    node = TestNode(mosquitto.port)
    node.play(40)
    begin = time.monotonic()
    daemon.signal(signal.SIGTERM)
    assert daemon.child.wait(5) == 0
    assert time.monotonic() - begin < 2.0
    assert not accepts(daemon.port)
    daemon.start()
    wait_until(lambda: node.upto == 39, "the rest to be committed")
    assert stored(daemon) == list(range(40))
    node.stop()


def test_a_mistake_in_the_configuration_is_named_and_nothing_is_started(tmp_path):
    file = tmp_path / "ashibar.toml"
    file.write_text('[studio]\nnaem = "x"\n')
    main = "import sys; from ashibar.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", main, "run", "--config", str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=20, check=False)
    assert ended.returncode == 2
    assert "did you mean name?" in ended.stderr
    assert json.dumps(sorted(each.name for each in tmp_path.iterdir())) == '["ashibar.toml"]'
