"""The daemon's memory over ten million samples: `memory.py [MILLIONS]`: resident size after each million.

Four nodes send as fast as the daemon stores, almost nine hours of measuring; its clock goes with the samples.
"""

import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "faults")]

from load import Frames, RawPublisher, about, topic  # noqa: E402
from parts import DaemonProcess, node_names, rss_kb  # noqa: E402
from servers import Mosquitto, wait_until  # noqa: E402

NODES = 4
CHUNK = 250  # frames of each node between looks at what is stored
FRAME_S = 0.125
SETTLED = 3  # million samples: caches are full from here on


class PacedDaemon(DaemonProcess):
    """The daemon in the time of its samples."""

    def command(self):
        config = str(self.directory / "ashibar.toml")
        return [sys.executable, str(HERE / "paced_daemon.py"), config, str(FRAME_S / NODES)]


def main(millions=10):
    with tempfile.TemporaryDirectory(prefix="ashibar-memory-") as folder:
        directory = Path(folder)
        broker = Mosquitto(directory / "mosquitto").start()
        daemon = PacedDaemon(directory / "daemon", node_names(NODES), broker.port)
        try:
            daemon.start()
            wait_until(lambda: daemon.accounting() is not None, "the daemon", 30)
            time.sleep(1.0)
            sizes = play(daemon, broker.port, millions * 100_000 // NODES)
        finally:
            daemon.kill()
            broker.stop()
    later = [kb / 1024 for n, kb in sizes if n >= SETTLED]
    if later:
        print(f"from {SETTLED} million on: {min(later):.0f} to {max(later):.0f} MB")


def play(daemon, port, total):
    names, frames = node_names(NODES), [Frames(number, number + 1) for number in range(NODES)]
    publisher = RawPublisher(port)
    for name, each in zip(names, frames, strict=True):
        publisher.publish(topic(name, "about"), about(each.boot), retain=True)
    sizes, marked = [], 0
    for first in range(0, total, CHUNK):
        for seq in range(first, min(first + CHUNK, total)):
            for name, each in zip(names, frames, strict=True):
                publisher.publish(topic(name), each.frame(seq))
            publisher.wait(behind=400)
        # A chunk may wait while the next is sent.
        stored = (min(first + CHUNK, total) - (CHUNK if first + CHUNK < total else 0)) * NODES * 10
        wait_stored(daemon, stored)
        if stored // 1_000_000 > marked:
            marked = stored // 1_000_000
            sizes.append((marked, rss_kb(daemon.pid)))
            print(f"{marked} million: {sizes[-1][1] / 1024:.0f} MB", flush=True)
    publisher.close()
    return sizes


def wait_stored(daemon, wanted):
    """Wait until so many samples are stored; where they are not, say what the daemon says of them."""
    try:
        wait_until(
            lambda: (daemon.accounting() or {}).get("samples_stored", 0) >= wanted, "storing", within_s=120
        )
    except AssertionError:
        raise AssertionError(f"{wanted} samples stored expected, came {daemon.accounting()}") from None


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
