"""The loss table: 10 nodes, 80 frames a second for 60 s (48,000 samples), one fault at 20 s; each row twice.

`loss_table.py [--parallel N] [--repeats N] [--rows 1,2] [--seconds S]`. The broker saves nothing by itself,
as in the comparison (worse than the set-up of docs/installer.md). Missing: samples not in InfluxDB as one
point each. Asked: points of samples that a 2xx answered, counted before InfluxDB; pointReq: the same by its
own account, which ends with it (`-` where it was killed). Exit status 1: a sample is missing, or a point too
many.
"""

import argparse
import json
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ashibar.point_lines import MEASUREMENT
from stack import Stack

FAULT_AT_S = 20.0
FRAMES_PER_SECOND = 80
# What others lost of 48,000 samples, least to most: Node-RED flows, a script with influxdb-client's batching
# writer, and a careful script that acknowledges after its POST. Measured once, with versions of 2026.
OTHERS = {
    "influxd": ("0..17650", "0", "0"),
    "consumer": ("0..400", "10..770", "0"),
    "broker, session never saved": ("12000..12010", "2400", "830..1380"),
    "broker, session saved once": ("0", "0", "0"),
    "influxd + consumer": ("7990..8000", "8390..8400", "0"),
    "influxd + broker": ("8000", "0", "7900..7960"),
    "influxd 240 s": ("163360", "800", "0"),
}


def influx_down(stack, seconds):
    stack.count_kill("influxd")
    stack.influx.kill()
    stack.influx.proxy.stop()  # so that the connection is refused, as a server's that is not there
    time.sleep(seconds)
    stack.influx.proxy.start()
    stack.influx.start()


def influxd(stack):
    influx_down(stack, 15)


def consumer(stack):
    stack.daemon.kill()
    time.sleep(2)
    stack.daemon.start()


def broker_unsaved(stack):
    stack.broker.kill()
    time.sleep(1)
    stack.broker.start()


def broker_saved(stack):
    stack.broker.save()
    broker_unsaved(stack)


def influxd_and_consumer(stack):
    with ThreadPoolExecutor(1) as pool:
        outage = pool.submit(influx_down, stack, 15)
        time.sleep(10)
        consumer(stack)
        outage.result()


def influxd_and_broker(stack):
    stack.broker.save()
    with ThreadPoolExecutor(1) as pool:
        outage = pool.submit(influx_down, stack, 15)
        time.sleep(10)
        broker_unsaved(stack)
        outage.result()


def influxd_long(stack):
    influx_down(stack, 240)


ROWS = {
    "influxd": (influxd, 60),
    "consumer": (consumer, 60),
    "broker, session never saved": (broker_unsaved, 60),
    "broker, session saved once": (broker_saved, 60),
    "influxd + consumer": (influxd_and_consumer, 60),
    "influxd + broker": (influxd_and_broker, 60),
    "influxd 240 s": (influxd_long, 300),
}


def point_requests(stack):
    """Return the points of samples InfluxDB was asked to write by its own account, None if it was killed."""
    if stack.kills.get("influxd"):
        return None
    with urllib.request.urlopen(f"http://127.0.0.1:{stack.influx.port}/debug/vars", timeout=5) as answer:
        asked = json.load(answer)["write"]["values"]["pointReq"]
    return asked - sum(count for name, count in stack.http.accepted.items() if name != MEASUREMENT)


def one(name, seconds=None):
    """Play a row once; return its verdict and `point_requests`."""
    fault, length = ROWS[name]
    seconds = seconds or length
    with tempfile.TemporaryDirectory(prefix="ashibar-loss-") as folder:
        stack = Stack(Path(folder), shapes=(10,) * 10, together=True, saving=False)
        try:
            stack.start()
            begin = time.monotonic()
            time.sleep(min(FAULT_AT_S, seconds / 3))
            fault(stack)
            time.sleep(max(0.0, begin + seconds - time.monotonic()))
            verdict = stack.finish()
            return verdict, point_requests(stack)
        finally:
            stack.stop()


def line(name, results):
    columns = [
        [each.taken for each, _ in results],
        [each.lost + each.on_record + each.tails for each, _ in results],
        [each.points for each, _ in results],
        [each.doubled + each.points_extra for each, _ in results],
        [each.points + each.rewritten for each, _ in results],
        ["-" if asked is None else asked for _, asked in results],
    ]
    mine = " | ".join(", ".join(map(str, column)) for column in columns)
    return f"| {name} | {mine} | {' | '.join(OTHERS[name])} |"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--parallel", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--rows", default=",".join(str(number) for number in range(1, len(ROWS) + 1)))
    parser.add_argument("--seconds", type=float, help="shorter, to try it")
    options = parser.parse_args()
    names = [list(ROWS)[int(number) - 1] for number in options.rows.split(",")]
    jobs = sorted(names * options.repeats, key=lambda name: -ROWS[name][1])
    with ThreadPoolExecutor(options.parallel) as pool:
        results = list(pool.map(lambda name: one(name, options.seconds), jobs))
    print("| killed | samples taken | missing | points | points too many | asked | pointReq"
          " | missing: Node-RED | batching | careful |")  # fmt: skip
    print("|" + 10 * "---|")
    good = True
    for name in names:
        mine = [result for job, result in zip(jobs, results, strict=True) if job == name]
        print(line(name, mine))
        for each, _ in mine:
            good = good and each.good and not each.on_record and not each.tails
            for note in each.notes:
                print(f"  {name}: {note}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
