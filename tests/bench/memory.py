"""The daemon's memory over ten million samples: `memory.py [MILLIONS]`: resident size after each million.

Four nodes send as fast as the daemon stores; its clock is moved along, so that their device time fits.
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
CHUNK = 1000  # frames of each node between looks at what is stored
FRAME_S = 0.125


def main(millions=10):
    total = millions * 100_000 // NODES
    with tempfile.TemporaryDirectory(prefix="ashibar-memory-") as folder:
        directory = Path(folder)
        broker = Mosquitto(directory / "mosquitto").start()
        clock = directory / "clock"
        clock.write_text("0")
        daemon = DaemonProcess(directory / "daemon", node_names(NODES), broker.port, build=["--clock", clock])
        try:
            daemon.start()
            wait_until(lambda: daemon.accounting() is not None, "the daemon", 30)
            time.sleep(1.0)
            sizes = play(daemon, broker.port, clock, total)
        finally:
            daemon.kill()
            broker.stop()
    print("million samples stored: resident MB: " + ", ".join(f"{n}: {kb / 1024:.0f}" for n, kb in sizes))
    later = [kb for n, kb in sizes if n >= 2]
    print(f"growth from 2 million on: {(later[-1] - later[0]) / 1024:.1f} MB")


def play(daemon, port, clock, total):
    names, frames = node_names(NODES), [Frames(number, number + 1) for number in range(NODES)]
    publisher = RawPublisher(port)
    for name, each in zip(names, frames, strict=True):
        publisher.publish(topic(name, "about"), about(each.boot), retain=True)
    begin, sizes, marked = time.monotonic(), [], 0
    for first in range(0, total, CHUNK):
        clock.write_text(str(first * FRAME_S - (time.monotonic() - begin)))
        time.sleep(0.12)  # the daemon looks at the file every 50 ms
        for seq in range(first, min(first + CHUNK, total)):
            for name, each in zip(names, frames, strict=True):
                publisher.publish(topic(name), each.frame(seq))
            publisher.wait(behind=400)
        stored = min(first + CHUNK, total) * NODES * 10
        wait_until(
            lambda wanted=stored: (daemon.accounting() or {}).get("samples_stored", 0) >= wanted,
            "storing",
            120,
        )
        if stored // 1_000_000 > marked:
            marked = stored // 1_000_000
            sizes.append((marked, rss_kb(daemon.pid)))
            print(f"{marked} million: {sizes[-1][1] / 1024:.0f} MB", flush=True)
    publisher.close()
    return sizes


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
