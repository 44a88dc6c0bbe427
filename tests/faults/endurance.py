"""The firmware in a chip's heap for ten minutes, the broker killed three times: `endurance.py [SECONDS]`.

Heap: 112 KB of an ESP32, doubled because words are twice as wide here; the virtual board shares it. The
broker saves nothing by itself; the first kill comes before it ever saved its session. Exit status 1: samples
are lost, or memory grows.
"""

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from ashibar.core.trace import Trace
from ashibar.io.journal import Reader
from ashibar.node import VirtualNode, find_runtime
from ashibar.node.runtime import Runtime
from parts import STUDIO, DaemonProcess, rss_kb
from servers import Mosquitto, wait_until

HEAP = "224k"
RATE_HZ = 80
KILLS_AT = (0.2, 0.5, 0.8)  # parts of the run; the broker is told to save once before the second
DOWN_S = 2.0


def watched_runtime():
    found = find_runtime("micropython")
    launcher = (sys.executable, str(Path(__file__).with_name("watched.py")))
    return Runtime(found.name, (*launcher, *found.command), is_micropython=True)


def trace():
    """A minute of leaning and hanging, on four cells."""
    times = np.linspace(0, 60, 601)
    load = 150 + 120 * np.sin(times * 2 * np.pi / 6)
    return Trace(times, np.stack([load, load * 0.8, load * 0.6, -load * 0.1], axis=1), ("0", "1", "2", "3"))


def play(broker, seconds):
    """Run for `seconds`, killing the broker on the way."""
    begin = time.monotonic()
    for number, part in enumerate(KILLS_AT):
        if number == 1:
            broker.save()
        time.sleep(max(0.0, begin + part * seconds - time.monotonic()))
        broker.kill()
        time.sleep(DOWN_S)
        broker.start()
        print(f"{time.monotonic() - begin:6.1f} s: broker killed, back after {DOWN_S:g} s", flush=True)
    time.sleep(max(0.0, begin + seconds - time.monotonic()))


def run(seconds, directory):
    broker = Mosquitto(directory / "mosquitto").start()
    daemon = DaemonProcess(directory / "daemon", ["bars-1"], broker.port).start()
    node = VirtualNode(
        "127.0.0.1", broker.port, STUDIO, "bars-1", trace(),
        work_dir=directory / "node", loop=True, heap=HEAP, runtime=watched_runtime(),
    )  # fmt: skip
    try:
        node.start()
        boot = node.wait_boot()
        wait_until(lambda: (daemon.accounting() or {}).get("samples_stored", 0) > 0, "the first samples")
        play(broker, seconds)
        resident_kb = rss_kb(node.pid)
        report = node.stop(20)
        accounting = wait_until(
            lambda: (said := daemon.accounting()) and said["samples_stored"] >= report.samples and said,
            "the last samples",
            20,
        )
        memory = [int(line.split()[1]) for line in node.log if line.startswith("memory ")]
        return judge(report, accounting, stored(daemon.journal, boot.boot), memory, resident_kb)
    finally:
        node.kill()
        daemon.stop()
        broker.stop()


def stored(journal, boot):
    reader = Reader(journal)
    try:
        return [(frame.row.seq, frame.row.samples) for frame in reader.frames_of(1, boot)]
    finally:
        reader.close()


def judge(report, accounting, frames, memory, resident_kb):
    """Print what came out; return the exit status."""
    third = len(memory) // 3
    early, late = memory[third : 2 * third], memory[2 * third :]
    growth = np.mean(late) - np.mean(early)
    samples = sum(count for _, count in frames)
    whole = [seq for seq, _ in frames] == list(range(report.frames)) and samples == report.samples
    print(f"node: {report}")
    print(
        f"samples taken {report.samples}, stored {samples}; frames taken {report.frames}, "
        f"stored {len(frames)}"
    )
    print(f"missing {accounting['missing']}, received again {accounting['duplicates']} samples")
    print(
        f"heap in use after collection, every 5 s: n {len(memory)}, min {min(memory)}, max {max(memory)}, "
        f"mean of 2nd third {np.mean(early):.0f}, of last third {np.mean(late):.0f} bytes; "
        f"resident {resident_kb} KB"
    )
    good = whole and accounting["missing"] == 0 and report.dropped == 0 and growth < 500
    print("all stored, memory flat" if good else "FAILED: something is lost, or memory grows")
    return 0 if good else 1


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="ashibar-endurance-") as folder:
        sys.exit(run(float(sys.argv[1]) if len(sys.argv) > 1 else 600.0, Path(folder)))
