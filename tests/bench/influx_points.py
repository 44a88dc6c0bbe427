"""Points a second into InfluxDB: the sink, out of the journal, beside posting ready-made bytes.

Interleaved rounds against one server; both through its `/api/v2/write`.
"""

import http.client
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "faults")]

from ashibar.influx_side import make_sink  # noqa: E402
from ashibar.ingest import Ingest  # noqa: E402
from ashibar.io.config_file import load  # noqa: E402
from ashibar.io.journal import Batch, Committer, Journal, Reader  # noqa: E402
from ashibar.io.mqtt import Inbound  # noqa: E402
from ashibar.rigs import configured, to_json  # noqa: E402
from ashibar.service.desk import Desk  # noqa: E402
from load import Frames, about, topic  # noqa: E402
from parts import config_text, node_names  # noqa: E402
from servers import Influx, wait_until  # noqa: E402

NODES = 4
FRAMES = 2500  # of each node: 100,000 points
LINES_A_POST = 5000


def make_journal(config, path):
    """Fill a journal with live frames of four nodes that end 10 s ago."""
    journal, names = Journal(path), node_names(NODES)
    reader = Reader(path)
    ingest = Ingest(config.studio, names, reader)
    frames = [Frames(number, number + 1) for number in range(NODES)]
    begin_us = time.time_ns() // 1000 - FRAMES * 125_000 - 10_000_000
    records = [(rig.name, begin_us, to_json(configured(config, rig, begin_us))) for rig in config.rigs]
    journal.commit(Batch(parameters=records))
    news = [
        Inbound(topic(name, "about"), about(each.boot), 1, 1, True, 0, begin_us, 1)
        for name, each in zip(names, frames, strict=True)
    ]
    journal.commit(ingest.take(news).batch)
    for seq in range(FRAMES):
        at_us = (seq + 1) * 125_000
        batch = [
            Inbound(topic(name), each.frame(seq), 1, 1, False, at_us, begin_us + at_us, 1)
            for name, each in zip(names, frames, strict=True)
        ]
        journal.commit(ingest.take(batch).batch)
    reader.close()
    return journal


def by_sink(config, path, journal):
    """Return seconds and CPU seconds of the copy."""
    committer = Committer(journal)
    sink = make_sink(config, path, committer, Desk(lambda: None))
    highest = journal.next_id - 1
    began, cpu_s = time.perf_counter(), time.process_time()
    committer.start()
    sink.start()
    wait_until(lambda: sink.cursor >= highest, "the copy", 180)
    took = time.perf_counter() - began, time.process_time() - cpu_s
    sink.stop()
    committer.stop()
    return took


def by_bytes(influx, bodies):
    connection = http.client.HTTPConnection("127.0.0.1", influx.proxy.port)
    began, cpu_s = time.perf_counter(), time.process_time()
    for body in bodies:
        connection.request("POST", "/api/v2/write?org=studio&bucket=ashibar&precision=us", body)
        answer = connection.getresponse()
        answer.read()
        assert answer.status < 300, answer.status
    took = time.perf_counter() - began, time.process_time() - cpu_s
    connection.close()
    return took


def ready_made():
    """Return bodies of as many lines as the sink writes, of the same fields."""
    now_us = time.time_ns() // 1000 - 3_600_000_000
    lines = [
        f"load,rig=room-{number % NODES + 1},studio=bench bar_load_n=123.456,bar_load_u_n=4.321,"
        f"client_load_n=465.123,"
        f"client_load_u_n=5.432,left_foot_n=30.123,left_head_n=31.123,motion=f,right_foot_n=32.123,right_head_n=33.123,"
        f'validity="valid" {now_us + number * 12_500 // NODES}'
        for number in range(NODES * FRAMES * 10)
    ]
    return ["\n".join(lines[at : at + LINES_A_POST]) for at in range(0, len(lines), LINES_A_POST)]


def main(rounds=3):
    rates = {"the sink, from the journal": [], "ready-made bytes": []}
    bodies = ready_made()
    points = NODES * FRAMES * 10
    with tempfile.TemporaryDirectory(prefix="ashibar-influx-") as folder:
        for number in range(rounds):
            directory = Path(folder) / str(number)
            influx = Influx(directory / "influx").start()
            try:
                path = directory / "journal.sqlite"
                file = directory / "ashibar.toml"
                file.write_text(config_text(node_names(NODES), 1, 0, influx_url=influx.url))
                config = load(file)
                for name, took in (
                    ("the sink, from the journal", by_sink(config, path, make_journal(config, path))),
                    ("ready-made bytes", by_bytes(influx, bodies)),
                ):
                    rates[name].append((points / took[0], took[1] / points * 1e6))
                    print(f"round {number + 1} {name}: {rates[name][-1][0]:.0f} points/s", flush=True)
            finally:
                influx.stop()
    print("| writer | points/s median (min..max) | client CPU us a point |\n|---|---|---|")
    for name, rows in rates.items():
        each = [rate for rate, _ in rows]
        cpu_us = median(cpu for _, cpu in rows)
        print(f"| {name} | {median(each):.0f} ({min(each):.0f}..{max(each):.0f}) | {cpu_us:.1f} |")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
