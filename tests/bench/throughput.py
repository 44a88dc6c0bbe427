"""Frames a second from the broker to committed and evaluated, beside a bare client that only acknowledges.

Interleaved rounds, each consumer on one processor of its own: `python throughput.py [ROUNDS] [FRAMES]`.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "faults")]

from load import Frames, RawPublisher, about, topic  # noqa: E402
from parts import DaemonProcess, node_names  # noqa: E402
from servers import Mosquitto, wait_until  # noqa: E402

NODES = 10
PIN = ("taskset", "-c", "0")
OTHERS = ("taskset", "-c", "1")


class PinnedMosquitto(Mosquitto):
    """A broker on the other processor."""

    def command(self):
        return [*OTHERS, *super().command()]


def run(*arguments):
    done = subprocess.run(
        [*PIN, sys.executable, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def prime_live(broker, nodes, frames):
    """Play three seconds of live frames, so that the journal knows nodes, calibrations and the time."""
    publisher = RawPublisher(broker.port)
    for node, each in zip(nodes, frames, strict=True):
        publisher.publish(topic(node, "about"), about(each.boot), retain=True)
    time.sleep(0.5)
    begin = time.monotonic()
    for seq in range(24):
        time.sleep(max(0.0, begin + (seq + 1) * 0.125 - time.monotonic()))
        for node, each in zip(nodes, frames, strict=True):
            publisher.publish(topic(node), each.frame(seq))
    publisher.wait()
    publisher.close()
    return 24


def preload(broker, nodes, frames, first, count):
    """Put `count` frames of all nodes together into the broker's queue."""
    publisher = RawPublisher(broker.port)
    for seq in range(first, first + count // len(nodes)):
        for node, each in zip(nodes, frames, strict=True):
            publisher.publish(topic(node), each.frame(seq))
        publisher.wait(behind=400)
    publisher.wait()
    publisher.close()


def bare_round(directory, count):
    broker = PinnedMosquitto(directory / "mosquitto").start()
    try:
        run(HERE / "bare_client.py", broker.port, "bare", 0)
        nodes = node_names(NODES)
        preload(broker, nodes, [Frames(n, n + 1) for n in range(NODES)], 0, count)
        return run(HERE / "bare_client.py", broker.port, "bare", count)
    finally:
        broker.stop()


def daemon_round(directory, count, *more):
    broker = PinnedMosquitto(directory / "mosquitto").start()
    try:
        nodes = node_names(NODES)
        frames = [Frames(n, n + 1) for n in range(NODES)]
        clock = directory / "clock"
        clock.write_text(str(-(count / NODES * 0.125 + 3)))  # what is queued later was taken since
        daemon = DaemonProcess(directory / "daemon", nodes, broker.port, build=["--clock", clock]).start()
        wait_until(lambda: "no connection" not in str(daemon.get("readyz")), "the link")
        time.sleep(1.0)
        first = prime_live(broker, nodes, frames)
        wait_until(lambda: daemon.accounting()["samples_stored"] >= first * NODES * 10, "the live frames")
        daemon.stop()
        preload(broker, nodes, frames, first, count)
        result = run(HERE / "daemon_consumer.py", daemon.directory / "ashibar.toml", count, *more)
        assert result["frames"] >= count, result
        return result
    finally:
        broker.stop()


def main(rounds=3, count=20_000):
    table = {"bare": [], "ashibar": []}
    with tempfile.TemporaryDirectory(prefix="ashibar-bench-") as folder:
        for number in range(rounds):
            for name, one in (("bare", bare_round), ("ashibar", daemon_round)):
                result = one(Path(folder) / f"{name}-{number}", count)
                rate, cpu_us = count / result["seconds"], result["cpu_s"] / count * 1e6
                table[name].append((rate, cpu_us))
                print(
                    f"round {number + 1} {name}: {rate:.0f} frames/s, {cpu_us:.1f} us CPU a frame",
                    flush=True,
                )
    report(table)


def report(table):
    print("| consumer on one processor | frames/s median (min..max) | CPU us a frame |\n|---|---|---|")
    for name, rows in table.items():
        rates = [rate for rate, _ in rows]
        cpu_us = median(cpu for _, cpu in rows)
        print(f"| {name} | {median(rates):.0f} ({min(rates):.0f}..{max(rates):.0f}) | {cpu_us:.1f} |")
    share = median(rate for rate, _ in table["ashibar"]) / median(rate for rate, _ in table["bare"])
    print(f"ashibar / bare: {share:.0%}")


if __name__ == "__main__":
    if len(sys.argv) > 3:
        with tempfile.TemporaryDirectory(prefix="ashibar-bench-") as folder:
            print(daemon_round(Path(folder), int(sys.argv[2]), *sys.argv[3:]))
    else:
        main(*map(int, sys.argv[1:]))
