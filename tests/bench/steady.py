"""Processor time at 80 frames a second, live, beside a careful script: `steady.py [SECONDS] [ROUNDS]`.

Ten nodes of 80 samples a second. The script writes bar load, client load and cells to InfluxDB; the daemon
does the journal, uncertainty, validity, sessions, alarms and the feed of ten rigs besides. In interleaved
rounds. Also the time from the moment a frame is handed to the broker to a figure made of it on the feed.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "faults")]

from load import Frames, RawPublisher, about, topic  # noqa: E402
from parts import DaemonProcess, cpu_s, node_names  # noqa: E402
from servers import Influx, Mosquitto, accepts, wait_until  # noqa: E402

NODES = 10
FRAME_S = 0.125
WARM_UP_S = 4.0


class Feed(threading.Thread):
    """When the page of rig room-1 had each newest sample: index -> monotonic seconds."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.seen = port, {}
        self.start()

    def run(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/events?rig=room-1") as feed:
            for line in feed:
                if line.startswith(b"data:"):
                    newest = json.loads(line[5:]).get("newest", {}).get("bars-1")
                    if newest:
                        self.seen.setdefault(newest["index"], time.monotonic())


def publish(port, seconds):
    """Send the frames of all nodes, evenly spread, in real time; return when each of bars-1 was sent."""
    names, frames = node_names(NODES), [Frames(number, number + 1) for number in range(NODES)]
    publisher = RawPublisher(port)
    for name, each in zip(names, frames, strict=True):
        publisher.publish(topic(name, "about"), about(each.boot), retain=True)
    begin, sent = time.monotonic() + 0.5, {}
    for seq in range(round(seconds / FRAME_S)):
        for number, (name, each) in enumerate(zip(names, frames, strict=True)):
            time.sleep(max(0.0, begin + (seq + 1 + number / NODES) * FRAME_S - time.monotonic()))
            if number == 0:
                sent[seq * 10 + 9] = time.monotonic()
            publisher.publish(topic(name), each.frame(seq))
    publisher.wait()
    publisher.close()
    return sent


def measured(pid, port, seconds):
    """Return CPU in parts of one processor over the time after the warm-up, and when frames were sent."""
    marks = []

    def mark():
        time.sleep(WARM_UP_S)
        marks.append((time.monotonic(), cpu_s(pid)))

    marker = threading.Thread(target=mark)
    marker.start()
    sent = publish(port, seconds + WARM_UP_S)
    marker.join()
    begin, before = marks[0]
    return (cpu_s(pid) - before) / (time.monotonic() - begin), sent


def careful(directory, seconds):
    broker, influx = Mosquitto(directory / "mosquitto").start(), Influx(directory / "influx").start()
    command = [
        sys.executable,
        str(HERE / "careful_script.py"),
        str(broker.port),
        f"http://127.0.0.1:{influx.port}",
    ]
    child = subprocess.Popen(command)
    try:
        time.sleep(1.5)
        return measured(child.pid, broker.port, seconds)[0], []
    finally:
        child.kill()
        child.wait()
        influx.stop()
        broker.stop()


def ashibar(directory, seconds, *, with_influx=True):
    broker, influx = Mosquitto(directory / "mosquitto").start(), Influx(directory / "influx").start()
    url = influx.url if with_influx else None
    daemon = DaemonProcess(directory / "daemon", node_names(NODES), broker.port, influx_url=url)
    try:
        daemon.start()
        wait_until(lambda: accepts(daemon.port), "the page", 30)
        time.sleep(1.5)
        feed = Feed(daemon.port)
        share, sent = measured(daemon.pid, broker.port, seconds)
        delays = [(feed.seen[index] - at) * 1000 for index, at in sent.items() if index in feed.seen]
        return share, sorted(delays[len(delays) // 5 :])
    finally:
        daemon.stop()
        influx.stop()
        broker.stop()


def main(seconds=20.0, rounds=2):
    ways = {
        "careful script, InfluxDB": careful,
        "ashibar, InfluxDB": ashibar,
        "ashibar, no InfluxDB": lambda directory, length: ashibar(directory, length, with_influx=False),
    }
    table = {name: [] for name in ways}
    with tempfile.TemporaryDirectory(prefix="ashibar-steady-") as folder:
        for number in range(int(rounds)):
            for place, (name, play) in enumerate(ways.items()):
                table[name].append(play(Path(folder) / f"{number}-{place}", seconds))
                print(f"round {number + 1} {name}: {table[name][-1][0]:.1%} of a processor", flush=True)
    print("| consumer at 80 frames/s | of one processor | broker to feed, ms p50, p99 |\n|---|---|---|")
    for name, rows in table.items():
        delays = sorted(delay for _, each in rows for delay in each)
        words = f"{median(delays):.0f}, {delays[int(len(delays) * 0.99)]:.0f}" if delays else "-"
        print(f"| {name} | {median(share for share, _ in rows):.1%} | {words} |")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
