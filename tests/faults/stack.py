"""A whole studio under a campaign: broker, daemon, InfluxDB and nodes as processes, proxies between them."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import time
import urllib.error
import urllib.request

import numpy as np
from ashibar.boots import DAMAGE_REASON
from ashibar.core.trace import Trace
from ashibar.io.journal import Reader, salvage
from ashibar.node import VirtualNode
from parts import HERE, STUDIO, DaemonProcess, spawn
from proxies import HttpFaults, TcpProxy
from servers import Influx, Mosquitto, wait_until
from verdict import judge, taken_frames

LEANING = Trace(
    np.linspace(0, 8, 81), np.outer(120 + 80 * np.sin(np.linspace(0, 2 * np.pi, 81)), [1, 0.8, 0.6, 0.1]),
    ("0", "1", "2", "3"),
)  # fmt: skip


class SyntheticProcess:
    """One process of synthetic nodes; after a SIGKILL `start` is the next boot of each."""

    def __init__(self, directory, names, port, samples=10):
        self.directory, self.names, self.samples = directory, names, samples
        directory.mkdir(parents=True, exist_ok=True)
        self.config = directory / f"{names[0]}.json"
        self.config.write_text(
            json.dumps({"port": port, "studio": STUDIO, "nodes": names, "directory": str(directory),
                        "samples_per_frame": samples})
        )  # fmt: skip
        self.child = None

    def start(self):
        self.child = spawn([HERE / "synthetic_node.py", self.config], self.directory / "log.txt")
        return self

    def signal(self, number):
        self.child.send_signal(number)

    def kill(self):
        self.child.kill()
        self.child.wait()

    def finish(self, within_s=90):
        """Stop the sampling and wait until everything is committed."""
        self.child.terminate()
        try:
            return self.child.wait(within_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return None


class SmallDisk:
    """A tmpfs that can be filled; where mounting is not allowed, a limit on the size of the files."""

    def __init__(self, directory, megabytes=64):
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "ashibar-test", str(directory)]
        self.mounted = (
            os.geteuid() == 0 and subprocess.run(command, check=False, capture_output=True).returncode == 0
        )

    def fill(self, daemon):
        if not self.mounted:
            with contextlib.suppress(OSError):
                hard = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE)[1]
                resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (1024, hard))
            return
        with (self.directory / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(65536)):
                pass
        with (self.directory / "ballast2").open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(512)):
                pass

    def free(self, daemon):
        if not self.mounted:
            with contextlib.suppress(OSError):
                hard = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE)[1]
                resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (hard, hard))
            return
        for name in ("ballast", "ballast2"):
            (self.directory / name).unlink(missing_ok=True)

    def close(self):
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.directory)], check=False, capture_output=True)


class Stack:
    """Everything, started in order. `shapes`: samples a frame of each synthetic node."""

    def __init__(self, directory, *, shapes=(10, 2), virtual=0, influx=True, build=(), small_disk=False,
                 saving=True, together=None):  # fmt: skip
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        count = len(shapes) + virtual
        self.names = [f"bars-{number}" for number in range(1, count + 1)]
        self.samples = dict(zip(self.names, shapes, strict=False))
        self.broker = Mosquitto(directory / "mosquitto", saving=saving)
        self.to_broker = {"nodes": TcpProxy(self.broker.port), "daemon": TcpProxy(self.broker.port)}
        self.influx = Influx(directory / "influx") if influx else None
        self.http = HttpFaults(self.influx.proxy.port) if influx else None
        self.disk = SmallDisk(directory / "daemon") if small_disk else None
        self.clock = directory / "clock"
        self.clock.write_text("0")
        self.daemon = DaemonProcess(
            directory / "daemon", self.names, self.to_broker["daemon"].port,
            influx_url=self.http.url if influx else None, build=build,
        )  # fmt: skip
        groups = [[name] for name in self.samples] if together is None else [list(self.samples)]
        port = self.to_broker["nodes"].port
        self.nodes = [
            SyntheticProcess(directory / "nodes", names, port, self.samples[names[0]]) for names in groups
        ]
        self.virtual_names = self.names[len(shapes) :]
        self.virtual = {}
        self.kills = {}
        self.reports = []

    def start(self):
        self.broker.start()
        if self.influx is not None:
            self.influx.start()
        self.start_daemon()
        wait_until(self.linked, "the daemon's link", 30)
        for each in self.nodes:
            each.start()
        for name in self.virtual_names:
            self.start_virtual(name)
        return self

    def linked(self):
        said = self.daemon.get("api/v1/accounting")
        return said is not None and "no connection" not in json.dumps(self.readiness())

    def readiness(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.daemon.port}/readyz", timeout=5) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return json.load(error)
        except OSError as error:
            return {"reasons": [f"no connection: {error}"]}

    def start_virtual(self, name):
        node = VirtualNode(
            "127.0.0.1", self.to_broker["nodes"].port, STUDIO, name, LEANING,
            work_dir=self.directory / name, loop=True, seed=3,
        )  # fmt: skip
        node.start()
        self.virtual[name] = node

    def count_kill(self, part):
        self.kills[part] = self.kills.get(part, 0) + 1

    def start_daemon(self):
        """Start the daemon as a supervisor does: again and again until it runs."""
        for _ in range(30):
            try:
                self.daemon.start()
            except AssertionError:
                self.daemon.kill()  # it may only be slow, and there must not be two
                time.sleep(1.0)
                continue
            return
        raise AssertionError((self.daemon.directory / "log.txt").read_text()[-2000:])

    def settled(self):
        reader = Reader(self.daemon.journal)
        try:
            return not reader.boots_with_provisional() and not salvage.pending(
                reader.connection, self.daemon.journal
            )
        finally:
            reader.close()

    def aside(self):
        """Return what the journal keeps of lines InfluxDB refused."""
        reader = Reader(self.daemon.journal)
        try:
            return [row for row in reader.aside() if row[0] == "sink/influx"]
        finally:
            reader.close()

    def finish(self):
        """Let everything come to rest, then stop the nodes, wait for InfluxDB, and judge."""
        time.sleep(2.0)
        wait_until(self.settled, "final stamps", 60, 0.5)
        for name, node in self.virtual.items():
            node._tell({"do": "stop"})
            self.reports.append((name, node._await("stopped", 60)))
            node.kill(after_s=2)
        notes = [f"nodes {each.names} did not end" for each in self.nodes if each.finish() != 0]
        if self.influx is not None:
            self.wait_copied()
        verdict = self.verdict()
        verdict.notes += notes
        if notes:
            verdict.unexplained += 1
        self.daemon.stop()
        return verdict

    def wait_copied(self, patience_s=90):  # a pause of the sink is 30 s
        """Wait until InfluxDB has as many points as the journal has samples, or no more come."""
        newest, since = -1, time.monotonic()
        while time.monotonic() - since < patience_s:
            verdict = self.verdict()
            if not verdict.points_missing:
                return
            if verdict.points > newest:
                newest, since = verdict.points, time.monotonic()
            time.sleep(1.0)

    def verdict(self):
        taken = taken_frames(self.directory / "nodes")
        samples = dict(self.samples)
        for name, report in self.reports:
            taken[name, report["boot"]] = None
        verdict = judge(
            self.daemon.journal, taken, samples, self.influx, self.http.accepted if self.http else None
        )
        self._judge_virtual(verdict)
        return verdict

    def _judge_virtual(self, verdict):
        """A real node's last boot said how many samples it took: all of them have to be there."""
        reader = Reader(self.daemon.journal)
        try:
            numbers = {name: number for number, name, *_ in reader.nodes()}
            gaps = [gap for gap in reader.gaps() if gap[4] != DAMAGE_REASON]
            damaged = [gap for gap in reader.gaps() if gap[4] == DAMAGE_REASON]
            for name, report in self.reports:
                frames = reader.frames_of(numbers[name], report["boot"])
                stored = sum(each.row.samples for each in frames)
                verdict.taken += report["samples"]
                lost = report["samples"] - stored
                recorded = [gap for gap in gaps if gap[:2] == (numbers[name], report["boot"])]
                frames_lost = report["frames"] - len(frames)
                if 0 < frames_lost <= report["held"]:  # it stops within 2 s, and says what it still held
                    verdict.tails += lost
                elif lost and recorded:
                    verdict.on_record += lost
                elif (
                    0
                    < frames_lost
                    <= sum(
                        gap[3] - gap[2] + 1 for gap in damaged if gap[:2] == (numbers[name], report["boot"])
                    )
                ):
                    verdict.moved_aside += lost
                else:
                    verdict.unexplained += abs(lost)
        finally:
            reader.close()

    def complaints(self, lines=40):
        """Return the last words of the daemon that are not about what went well."""
        words = (self.daemon.directory / "log.txt").read_text(errors="replace").splitlines(keepends=True)
        return [line for line in words if " INFO " not in line][-lines:]

    def stop(self):
        for node in self.virtual.values():
            node.kill()
        for each in self.nodes:
            if each.child is not None and each.child.poll() is None:
                each.signal(signal.SIGCONT)
                each.kill()
        for each in (self.daemon, self.influx, self.broker):
            if each is not None and each.child is not None:
                each.signal(signal.SIGCONT)
                each.kill()
        if self.influx is not None:
            self.influx.proxy.stop()
            self.http.stop()
        for proxy in self.to_broker.values():
            proxy.stop()
        if self.disk is not None:
            self.disk.close()
