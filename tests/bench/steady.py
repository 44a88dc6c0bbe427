"""Processor time at 80 frames a second, live, beside a careful script: `steady.py [SECONDS] [ROUNDS]`.

Ten nodes of 80 samples a second, each on a rig where somebody works: a session runs with a body weight and
the studio's limits, and the load moves, with strokes, shifts of weight and tremor, within those limits. The
script writes bar load, client load and cells to InfluxDB; the daemon stores every frame in its journal, and
does uncertainty, validity, sessions, alarms and lights of ten rigs; then with its copy in InfluxDB, and with
a page that watches one of the rigs. In interleaved rounds. What comes in rounds of a minute (the series of
the record) is in it where SECONDS are whole minutes. Also the time from the moment a frame is handed to the
broker to a figure made of it on the feed.
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

import numpy as np  # noqa: E402
from load import CELLS, NOISE_COUNT, SPAN_N_PER_COUNT, ZERO_COUNT, Frames, RawPublisher, about, topic  # noqa: E402
from parts import DaemonProcess, cpu_s, node_names  # noqa: E402
from servers import Influx, Mosquitto, accepts, wait_until  # noqa: E402

NODES = 10
FRAME_S = 0.125
WARM_UP_S = 70.0  # the series of what was before sessions began are made anew meanwhile
LIMITS = "[limits]\ntarget_low_percent = 30\ntarget_high_percent = 70\nclient_limit_percent = 90\n"
OF_SIGNAL = (
    "client-near-limit",
    "client-over-limit",
    "fall",
    "hanger-overload",
    "uneven-hangers",
    "cell-fault",
)


class Work(Frames):
    """Somebody who works: most of the weight on the bars, more and less of it, with a hand's tremor."""

    def __init__(self, seed, boot):
        super().__init__(seed, boot)
        chance = np.random.default_rng(seed)
        time_s, share = np.arange(1280)[:, None] * 0.0125, chance.uniform(0.7, 1.3, CELLS)
        stroke = 22 * np.sin(2 * np.pi * (time_s / 8 + chance.uniform(0, 0.2, CELLS)))
        shift = 12 * np.tanh(4 * np.sin(2 * np.pi * time_s / 16)) * np.array([1, -1, 1, -1])
        tremor = 0.8 * np.sin(2 * np.pi * (7 * time_s + chance.uniform(0, 1, CELLS)))
        force_n = share * (70 + stroke) + shift + tremor
        noise = chance.normal(0, NOISE_COUNT, force_n.shape)
        self.counts = np.rint(ZERO_COUNT + force_n / SPAN_N_PER_COUNT + noise).astype("<i4")


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
    names, frames = node_names(NODES), [Work(number, number + 1) for number in range(NODES)]
    publisher = RawPublisher(port)
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


def announce(port):
    """Let all nodes say what they are."""
    publisher = RawPublisher(port, "bench-nodes")
    for number, name in enumerate(node_names(NODES)):
        publisher.publish(topic(name, "about"), about(number + 1), retain=True)
    publisher.wait()
    publisher.close()


def begin_sessions(port):
    """Begin a session on every rig, with the studio's body weight and limits."""
    for number in range(1, NODES + 1):
        words = {"by": "bench", "rig": f"room-{number}", "therapist": f"t-{number}", "client_code": "A-17"}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/v1/sessions",
            json.dumps(words).encode(),
            {"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=10).close()


def alarms_raised(port):
    """Return the alarms of the signal that stand on any rig: the load is one at which there are none."""
    found = []
    for number in range(1, NODES + 1):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/alarms?rig=room-{number}") as answer:
            found += [each["key"] for each in json.load(answer) if each["state"].startswith(("un", "ack"))]
    return [key for key in found if key.split(":")[0] in OF_SIGNAL]


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


def ashibar(directory, seconds, *, with_influx=True, page=True):
    broker, influx = Mosquitto(directory / "mosquitto").start(), Influx(directory / "influx").start()
    url = influx.url if with_influx else None
    daemon = DaemonProcess(directory / "daemon", node_names(NODES), broker.port, influx_url=url)
    config = directory / "daemon" / "ashibar.toml"
    config.write_text(config.read_text() + LIMITS)
    try:
        daemon.start()
        wait_until(lambda: accepts(daemon.port), "the page", 30)
        announce(broker.port)
        time.sleep(1.5)
        begin_sessions(daemon.port)
        feed = Feed(daemon.port) if page else None
        share, sent = measured(daemon.pid, broker.port, seconds)
        assert not alarms_raised(daemon.port)
        if feed is None:
            return share, []
        delays = [(feed.seen[index] - at) * 1000 for index, at in sent.items() if index in feed.seen]
        return share, sorted(delays[len(delays) // 5 :])
    finally:
        daemon.stop()
        influx.stop()
        broker.stop()


def main(seconds=60.0, rounds=2):
    ways = {
        "careful script, InfluxDB": careful,
        "ashibar": lambda directory, length: ashibar(directory, length, with_influx=False, page=False),
        "ashibar, InfluxDB": lambda directory, length: ashibar(directory, length, page=False),
        "ashibar, InfluxDB, a page watches": ashibar,
    }
    table = {name: [] for name in ways}
    with tempfile.TemporaryDirectory(prefix="ashibar-steady-") as folder:
        for number in range(int(rounds)):
            for place, (name, play) in enumerate(ways.items()):
                table[name].append(play(Path(folder) / f"{number}-{place}", seconds))
                print(f"round {number + 1} {name}: {table[name][-1][0]:.2%} of a processor", flush=True)
    script = median(share for share, _ in table["careful script, InfluxDB"])
    print(
        "| consumer at 80 frames/s | of one processor | times the script | broker to feed, ms p50, p99 |\n"
        "|---|---|---|---|"
    )
    for name, rows in table.items():
        delays = sorted(delay for _, each in rows for delay in each)
        words = f"{median(delays):.0f}, {delays[int(len(delays) * 0.99)]:.0f}" if delays else "-"
        share = median(share for share, _ in rows)
        print(f"| {name} | {share:.1%} | {share / script:.2f} | {words} |")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
