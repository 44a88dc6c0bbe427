"""The fault campaign, with a table at its end: `campaign.py [--kills N] [--seed S] [--runs R] [--ack-first]`.

Each run is a studio and a seed of its own: faults one after the other, at random moments, until its share of
kills is done; then everything rests and is compared. Exit status 1: a sample was lost or doubled.
"""

import argparse
import random
import signal
import sqlite3
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from servers import wait_until
from stack import Stack
from verdict import HEADER, total

KEEPALIVE_S = 10  # of the daemon; a broker takes a client for dead after 1.5 times that


class Campaign:
    """The faults. Each undoes itself; what it kills it counts."""

    def __init__(self, stack, seed, *, pace=1.0):
        self.stack, self.chance, self.pace = stack, random.Random(seed), pace
        self.faults = {}
        common = [
            self.kill_daemon, self.kill_daemon, self.kill_broker, self.kill_influx, self.kill_node,
            self.kill_all, self.cut, self.delay, self.influx_answers, self.full_disk, self.clock_step,
        ]  # fmt: skip
        self.common = common + ([self.kill_virtual] if stack.virtual_names else [])
        self.rare = [
            self.freeze_daemon,
            self.freeze_broker,
            self.freeze_influx,
            self.half_open,
            self.damaged_page,
        ]

    def run(self, kills, rare=2):
        """Inject faults until `kills` processes were killed, `rare` of the slow faults among them."""
        slow = self.chance.sample(self.rare, min(rare, len(self.rare)))
        at = sorted(self.chance.uniform(0, kills) for _ in slow)
        while sum(self.stack.kills.values()) < kills:
            self.pause(0.3, 1.5)
            done = sum(self.stack.kills.values())
            fault = (
                slow.pop()
                if at and done >= at[0] and at.pop(0) is not None
                else self.chance.choice(self.common)
            )
            self.inject(fault)
        while slow:
            self.inject(slow.pop())

    def once(self):
        """Inject every kind of fault that is done with in seconds once, and the answers that mean most."""
        for fault in dict.fromkeys(self.common):
            self.inject(fault)
            self.pause(0.3, 1.5)
        self.inject(self.damaged_page)
        self.inject(self.refused_lines)  # after it, for it has all written again
        for mode in (("answer", 400), "lost"):
            self.inject(partial(self.influx_answers, mode))

    def inject(self, fault):
        name = getattr(fault, "__name__", "influx_answers")
        self.faults[name] = self.faults.get(name, 0) + 1
        self.supervise()
        fault()

    def supervise(self):
        """Start a daemon that ended by itself, as systemd would, and say so: that is a fault of ours."""
        daemon = self.stack.daemon
        if daemon.child.poll() is not None:
            name = f"daemon ended by itself with status {daemon.child.returncode}"
            self.faults[name] = self.faults.get(name, 0) + 1
            self.stack.start_daemon()

    def pause(self, least_s, most_s):
        time.sleep(self.pace * self.chance.uniform(least_s, most_s))

    # Kills

    def kill_daemon(self):
        self.stack.daemon.kill()
        self.stack.count_kill("daemon")
        self.pause(0, 1.5)
        self.stack.start_daemon()

    def kill_broker(self):
        self.stack.broker.kill()
        self.stack.count_kill("broker")
        self.pause(0, 2)
        self.stack.broker.start()

    def kill_influx(self):
        self.stack.influx.kill()
        self.stack.count_kill("influxd")
        self.pause(0.2, 4)
        self.stack.influx.start()

    def kill_node(self):
        node = self.chance.choice(self.stack.nodes)
        node.kill()
        self.stack.count_kill("node")
        self.pause(0, 1)
        node.start()

    def kill_virtual(self):
        name = self.chance.choice(self.stack.virtual_names)
        self.stack.virtual[name].kill()
        self.stack.count_kill("virtual node")
        self.stack.start_virtual(name)
        self.stack.virtual[name].wait_boot()
        self.pause(2, 3)

    def kill_all(self):
        """Daemon, broker and InfluxDB within a tenth of a second, back in any order."""
        stack = self.stack
        stack.broker.kill()
        self.pause(0, 0.1)
        stack.daemon.kill()
        stack.influx.kill()
        for part in ("broker", "daemon", "influxd"):
            stack.count_kill(part)
        back = [stack.start_daemon, stack.broker.start, stack.influx.start]
        self.chance.shuffle(back)
        for start in back:
            self.pause(0, 1)
            start()

    # Frozen processes

    def freeze(self, part, seconds):
        part.signal(signal.SIGSTOP)
        time.sleep(seconds)
        part.signal(signal.SIGCONT)

    def freeze_daemon(self):
        self.freeze(self.stack.daemon, 1.5 * KEEPALIVE_S + self.chance.uniform(1, 3))

    def freeze_broker(self):
        self.freeze(self.stack.broker, 1.5 * KEEPALIVE_S + self.chance.uniform(1, 3))

    def freeze_influx(self):
        self.freeze(self.stack.influx, 11 + self.chance.uniform(0, 2))  # longer than a request may take

    # Wires

    def wire(self):
        return self.stack.to_broker[self.chance.choice(["nodes", "daemon"])]

    def cut(self):
        wire = self.wire()
        wire.refuse = self.chance.random() < 0.5
        wire.cut()
        self.pause(0.1, 2)
        wire.refuse = False

    def delay(self):
        wire = self.wire()
        wire.delay_s = self.chance.uniform(0.02, 0.4)
        self.pause(1, 4)
        wire.delay_s = 0.0

    def half_open(self):
        """Nothing gets through and nobody is told, for longer than the keep-alive."""
        wire = self.wire()
        wire.stalled = True
        time.sleep(1.5 * KEEPALIVE_S + 2)
        wire.cut()
        wire.stalled = False

    def influx_answers(self, mode=None):
        http = self.stack.http
        http.mode = mode or self.chance.choice(
            [("answer", 500), ("answer", 503), ("answer", 401), ("answer", 404), ("answer", 429),
             ("answer", 400), ("wrong", 499), ("wrong", 499), ("slow", 3), "lost"]
        )  # fmt: skip
        self.pause(1, 4)
        http.mode = "pass"

    def refused_lines(self):
        """Some lines are refused until one of them was put aside."""
        before = len(self.stack.aside())
        self.stack.http.mode = ("wrong", 199)  # fewer of a write than make it the bucket's fault
        wait_until(lambda: len(self.stack.aside()) > before, "a refused line", 45, 0.2)
        self.stack.http.mode = "pass"

    # Disk and clock

    def full_disk(self):
        """No room for a few seconds; in half of the cases the daemon is killed meanwhile."""
        stack = self.stack
        if stack.disk is None:
            return
        stack.disk.fill(stack.daemon)
        self.pause(1, 3)
        killed = self.chance.random() < 0.5
        if killed:
            stack.daemon.kill()
            stack.count_kill("daemon")
        stack.disk.free(stack.daemon)
        if killed:
            stack.start_daemon()

    def damaged_page(self):
        """The daemon is killed and a page of its frames is overwritten."""
        stack = self.stack
        stack.daemon.kill()
        stack.count_kill("daemon")
        database = sqlite3.connect(stack.daemon.journal)
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        leaves = "SELECT pageno FROM dbstat WHERE name = 'frames' AND pagetype = 'leaf' ORDER BY pageno"
        page = self.chance.choice(database.execute(leaves).fetchall())[0]
        size = database.execute("PRAGMA page_size").fetchone()[0]
        database.close()
        with stack.daemon.journal.open("r+b") as file:
            file.seek((page - 1) * size)
            file.write(bytes(self.chance.randrange(256) for _ in range(size)))
        stack.start_daemon()

    def clock_step(self):
        clock = self.stack.clock
        step_s = self.chance.choice([-1, 1]) * self.chance.uniform(0.3, 60)
        clock.write_text(str(float(clock.read_text()) + step_s))
        self.pause(1, 2)


def stored(daemon):
    """Return how many samples are stored; 0 where a daemon on a busy machine does not say so in time."""
    return (daemon.accounting() or {"samples_stored": 0})["samples_stored"]


def one_run(seed, kills, *, ack_first=False, virtual=1, rare=2, directory=None):
    """Play one campaign; return its verdict, its kills by part and its faults by name.

    `kills` None: every kind of fault once and quickly.
    """
    with tempfile.TemporaryDirectory(prefix="ashibar-campaign-", dir=directory) as folder:
        stack = None
        try:
            build = ["--clock", Path(folder) / "clock", *(["--ack-first"] if ack_first else [])]
            stack = Stack(Path(folder), shapes=(10, 2, 5), virtual=virtual, build=build, small_disk=True)
            stack.start()
            wait_until(lambda: stored(stack.daemon) > 500, "the first samples", 30)
            campaign = Campaign(stack, seed, pace=0.3 if kills is None else 1.0)
            if kills is None:
                campaign.once()
            else:
                campaign.run(kills, rare)
            verdict = stack.finish()
            print(
                f"seed {seed}: {sum(stack.kills.values())} kills; {verdict.row()} {verdict.notes or ''}",
                flush=True,
            )
            if not verdict.good:
                print("".join(stack.complaints()), flush=True)
            return verdict, stack.kills, campaign.faults
        finally:
            if stack is not None:
                stack.stop()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--seed", type=int, default=20260101)
    parser.add_argument("--ack-first", action="store_true", help="the build that has to lose")
    options = parser.parse_args()
    share = -(-options.kills // options.runs)
    seeds = range(options.seed, options.seed + options.runs)
    begin = time.monotonic()
    with ThreadPoolExecutor(options.parallel) as pool:
        results = list(pool.map(lambda seed: one_run(seed, share, ack_first=options.ack_first), seeds))
    print(f"| seed | kills | {HEADER} |\n|---|---|{'---|' * (HEADER.count('|') + 1)}")
    for seed, (verdict, kills, _) in zip(seeds, results, strict=True):
        print(f"| {seed} | {sum(kills.values())} | {verdict.row()} |")
    whole = total([verdict for verdict, *_ in results])
    kills, faults = summed(each[1] for each in results), summed(each[2] for each in results)
    print(f"| all | {sum(kills.values())} | {whole.row()} |")
    print("kills: " + ", ".join(f"{part} {count}" for part, count in sorted(kills.items())))
    print("faults: " + ", ".join(f"{name} {count}" for name, count in sorted(faults.items())))
    print(
        f"{time.monotonic() - begin:.0f} s; " + ("nothing lost, nothing doubled" if whole.good else "FAILED")
    )
    return 0 if whole.good else 1


def summed(counts):
    result = {}
    for each in counts:
        for name, count in each.items():
            result[name] = result.get(name, 0) + count
    return result


if __name__ == "__main__":
    sys.exit(main())
