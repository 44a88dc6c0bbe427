"""The daemon is away for ten minutes with four nodes at the full rate: `outage.py [SECONDS [RUNS]]`.

The minutes are not waited for: the daemon that made the session reads a clock that is so much behind, and the
frames of the outage are put into the broker's queue at once, with the device times they would have had. After
them the nodes go on live. Measured from the start of the daemon's process and from its link to the broker.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "bench")]

from load import Frames, RawPublisher, about, topic  # noqa: E402
from parts import MAIN, DaemonProcess, cpu_s, node_names  # noqa: E402
from servers import Mosquitto, wait_until  # noqa: E402

NODES = 4
FRAME_S = 0.125
LIVE_BEFORE = 24  # frames of each node, three seconds
LIVE_AFTER_S = 12.0
FRESH_S = 1.0  # a figure with an age below this is live


class Nodes:
    """Four nodes whose device time 0 is at `begin_s` of the monotonic clock, moved back by the outage."""

    def __init__(self, port):
        self.names = node_names(NODES)
        self.frames = [Frames(number, number + 1) for number in range(NODES)]
        self.publisher = RawPublisher(port)
        self.next = 0
        self.begin_s = time.monotonic()

    def announce(self):
        for name, each in zip(self.names, self.frames, strict=True):
            self.publisher.publish(topic(name, "about"), about(each.boot), retain=True)

    def send(self):
        for name, each in zip(self.names, self.frames, strict=True):
            self.publisher.publish(topic(name), each.frame(self.next))
        self.next += 1

    def live(self, count=None, until=None):
        """Send in real time, from now on: a frame when its last sample is taken."""
        first = self.next
        while (count is None or self.next < first + count) and not (until and until.is_set()):
            time.sleep(max(0.0, self.begin_s + (self.next + 1) * FRAME_S - time.monotonic()))
            self.send()

    def outage(self, seconds):
        """Queue what would have been sent meanwhile, and what is taken while that is done."""
        self.begin_s -= seconds
        while self.begin_s + (self.next + 1) * FRAME_S < time.monotonic():
            self.send()
            self.publisher.wait(behind=400)
        self.publisher.wait()


class FeedWatch(threading.Thread):
    """Reads the feed of one rig from the first moment; notes when it first showed a fresh figure."""

    def __init__(self, daemon):
        super().__init__(daemon=True)
        self.daemon_process, self.port = daemon, daemon.port
        self.cpu_s = None
        self.fresh_at, self.listens_at, self.first = None, None, None
        self.start()

    def run(self):
        while self.fresh_at is None:
            try:
                with urllib.request.urlopen(
                    f"http://127.0.0.1:{self.port}/events?rig=room-1", timeout=5
                ) as feed:
                    self.listens_at = self.listens_at or time.monotonic()
                    self.read(feed)
            except OSError:
                time.sleep(0.01)

    def read(self, feed):
        for line in feed:
            if not line.startswith(b"data:"):
                continue
            envelope = json.loads(line[5:])
            figure = envelope.get("figure")
            if figure and figure["client"] is not None and (figure["age_s"] or 0) < FRESH_S:
                self.fresh_at, self.first = time.monotonic(), envelope
                self.cpu_s = cpu_s(self.daemon_process.pid)
                return


def play(directory, seconds):
    """Return what was measured: seconds, samples."""
    broker = Mosquitto(directory / "mosquitto", saving=True).start()
    clock = directory / "clock"
    clock.write_text(str(-seconds))
    names = node_names(NODES)
    daemon = DaemonProcess(directory / "daemon", names, broker.port, build=["--clock", clock])
    try:
        daemon.start()
        wait_until(lambda: daemon.accounting() is not None, "the daemon", 30)
        nodes = Nodes(broker.port)
        time.sleep(1.0)
        nodes.announce()
        nodes.begin_s = time.monotonic()
        nodes.live(LIVE_BEFORE)
        stored = NODES * LIVE_BEFORE * 10
        wait_until(lambda: daemon.accounting()["samples_stored"] >= stored, "the live samples", 30)
        daemon.kill()
        nodes.outage(seconds)
        daemon.build = []
        return restarted(daemon, nodes)
    finally:
        daemon.kill()
        broker.stop()


def restarted(daemon, nodes):
    over = threading.Event()
    sending = threading.Thread(target=nodes.live, kwargs={"until": over})
    watch = FeedWatch(daemon)
    queued = NODES * nodes.next * 10
    sending.start()
    began = time.monotonic()
    daemon.start()
    wait_until(lambda: (said := daemon.accounting()) and said["samples_stored"] >= queued, "the queue", 60)
    caught_up_s = time.monotonic() - began
    wait_until(lambda: watch.fresh_at is not None, "a fresh figure", 30)
    time.sleep(3.0)
    over.set()
    sending.join()
    nodes.publisher.wait()
    taken = NODES * nodes.next * 10
    said = wait_until(
        lambda: (said := daemon.accounting()) and said["samples_stored"] >= taken and said, "the rest", 30
    )
    nodes.publisher.close()
    return {
        "queued_samples": queued,
        "taken": taken,
        "stored": said["samples_stored"],
        "missing": said["missing"],
        "listens_after_s": round(watch.listens_at - began, 2),
        "caught_up_after_s": round(caught_up_s, 2),
        "feed_fresh_after_s": round(watch.fresh_at - began, 2),
        "feed_fresh_after_listening_s": round(watch.fresh_at - watch.listens_at, 2),
        "cpu_until_fresh_s": watch.cpu_s,
        "first_alarm_level": watch.first["alarm_level"],
        "first_index": watch.first["newest"]["bars-1"]["index"],
    }


if __name__ == "__main__":
    seconds, runs = (*map(float, sys.argv[1:]), *(600.0, 1.0)[len(sys.argv) - 1 :])
    bytecode = tempfile.mkdtemp(prefix="ashibar-bytecode-")  # as an installed daemon has it
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = bytecode
    subprocess.run(
        [sys.executable, "-c", MAIN.replace("sys.exit(main())", "import ashibar.daemon")], check=True
    )
    for _ in range(int(runs)):
        with tempfile.TemporaryDirectory(prefix="ashibar-outage-") as folder:
            print(json.dumps(play(Path(folder), seconds)), flush=True)
    shutil.rmtree(bytecode)
