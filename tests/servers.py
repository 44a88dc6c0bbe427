"""Real servers for tests: mosquitto, and InfluxDB with its /api/v2/write path. Private and killable."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PLACES = [
    *os.environ.get("PATH", "").split(os.pathsep),
    "/usr/sbin",
    "/sbin",
    "/usr/local/sbin",
    str(ROOT / ".tools/bin"),
]
READY_WITHIN_S = 45.0


def find_program(name):
    """Return the path of a program, or None; looks into the directories of system programs too."""
    return shutil.which(name, path=os.pathsep.join(PLACES))


def need(*programs):
    """Skip where a system program is missing; `make test` installs them or names the command that would."""
    missing = [name for name in programs if find_program(name) is None]
    if missing:
        pytest.skip(f"not on this machine: {', '.join(missing)}")


def free_port():
    """Return a TCP port of the loopback interface that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def accepts(port):
    """Tell whether somebody listens on a port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
    except OSError:
        return False
    return True


def wait_until(condition, what, within_s=READY_WITHIN_S, every_s=0.02):
    """Wait until a condition holds and return its value; fails by name when the time is over."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(every_s)
    raise AssertionError(f"waited {within_s} s for {what}")


class Process:
    """A child process that can be started again on the same port and directory."""

    def __init__(self, directory, port):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port = port
        self.child = None

    def command(self):
        raise NotImplementedError

    def ready(self):
        return accepts(self.port)

    def start(self):
        with (self.directory / "log.txt").open("ab") as log:
            self.child = subprocess.Popen(
                self.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.directory
            )
        wait_until(lambda: self.ready() or self.ended(), f"{type(self).__name__} on port {self.port}")
        return self

    def ended(self):
        if self.child.poll() is not None:
            raise AssertionError(
                f"{self.command()} ended: {(self.directory / 'log.txt').read_text()[-2000:]}"
            )
        return False

    def signal(self, number):
        if self.child is not None and self.child.poll() is None:
            self.child.send_signal(number)

    def kill(self):
        """SIGKILL: nothing is saved."""
        self.signal(signal.SIGKILL)
        if self.child is not None:
            self.child.wait()

    def stop(self):
        """SIGTERM, then SIGKILL."""
        self.signal(signal.SIGTERM)
        if self.child is not None:
            try:
                self.child.wait(5)
            except subprocess.TimeoutExpired:
                self.kill()


class Mosquitto(Process):
    """A private broker with persistence. Sessions are saved at its end, at `save`, every 10 s if `saving`."""

    def __init__(self, directory, port=None, *, saving=False, extra=""):
        super().__init__(directory, port or free_port())
        user = "user root\n" if os.geteuid() == 0 else ""
        autosave = "autosave_interval 10\n" if saving else ""
        (self.directory / "mosquitto.conf").write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence true\n"
            f"persistence_location {self.directory}/\nmax_queued_messages 0\nset_tcp_nodelay true\n"
            f"{user}{autosave}{extra}"
        )

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def command(self):
        return [find_program("mosquitto"), "-c", str(self.directory / "mosquitto.conf")]

    def save(self):
        """Make the broker save its sessions and messages now."""
        database = self.directory / "mosquitto.db"
        before = database.stat().st_mtime_ns if database.exists() else 0
        self.signal(signal.SIGUSR1)
        wait_until(
            lambda: database.exists() and database.stat().st_mtime_ns > before, "the broker's database"
        )

    def restart(self, *, kill=True):
        """End and start again; with `kill` nothing that was not saved survives."""
        self.kill() if kill else self.stop()
        return self.start()


class Influx(Process):
    """The 1.x engine; `url` is the nginx in front of it that maps /api/v2/write, as a 1.8 server has it."""

    def __init__(self, directory, database="ashibar"):
        super().__init__(directory, free_port())
        self.database = database
        self.rpc_port = free_port()
        self.proxy = InfluxProxy(self.directory / "nginx", self.port)
        (self.directory / "influxdb.conf").write_text(
            f'reporting-disabled = true\nbind-address = "127.0.0.1:{self.rpc_port}"\n'
            f'[meta]\ndir = "{self.directory}/meta"\n[monitor]\nstore-enabled = false\n'
            f'[data]\ndir = "{self.directory}/data"\nwal-dir = "{self.directory}/wal"\n'
            "query-log-enabled = false\n"
            f'[http]\nbind-address = "127.0.0.1:{self.port}"\nlog-enabled = false\n'
        )

    @property
    def url(self):
        return f"http://127.0.0.1:{self.proxy.port}"

    def command(self):
        return [find_program("influxd"), "-config", str(self.directory / "influxdb.conf")]

    def ready(self):
        try:
            self.query(f'CREATE DATABASE "{self.database}"')
        except OSError:
            return False
        return True

    def start(self):
        super().start()
        if self.proxy.child is None:
            self.proxy.start()
        return self

    def query(self, text):
        """Run InfluxQL; return the rows of the first series, [] for none. Times are microseconds."""
        parameters = urllib.parse.urlencode({"db": self.database, "epoch": "u", "q": text})
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/query", parameters.encode())
        with urllib.request.urlopen(request, timeout=20) as answer:
            result = json.load(answer)["results"][0]
        assert "error" not in result, result
        series = result.get("series", [])
        return (
            [dict(zip(series[0]["columns"], row, strict=True)) for row in series[0]["values"]]
            if series
            else []
        )

    def another(self):
        """Return a name for one more database."""
        return f"{self.database}-{time.time_ns()}"

    def need(self, generation):
        """Skip a test of what only one generation has."""
        if generation != 1:
            pytest.skip(f"of {generation}.x; the server is the 1.x engine")

    def retain(self, seconds):
        """Let points stay so long."""
        policy = f'ALTER RETENTION POLICY "autogen" ON "{self.database}"'
        self.query(f"{policy} DURATION {seconds}s SHARD DURATION 1h")

    def asked(self):
        """Return the engine's own count of points it was asked to write, doubles included."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/debug/vars", timeout=5) as answer:
            return json.load(answer)["write"]["values"]["pointReq"]

    def stop(self):
        self.proxy.stop()
        super().stop()


class InfluxProxy(Process):
    """nginx: /api/v2/write to /write, with the units of the 1.x engine (it takes `us` for nanoseconds)."""

    def __init__(self, directory, upstream):
        super().__init__(directory, free_port())
        here = self.directory
        user = "user root;" if os.geteuid() == 0 else ""
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = " ".join(f"{kind}_temp_path {here}/tmp;" for kind in kinds)
        (here / "nginx.conf").write_text(
            f"""daemon off; pid {here}/nginx.pid; error_log {here}/error.log; worker_processes 1; {user}
            events {{ worker_connections 256; }}
            http {{ access_log off; client_max_body_size 64m; {temporary}
              map $arg_precision $unit {{ default n; ns n; us u; ms ms; s s; }}
              server {{ listen 127.0.0.1:{self.port};
                location = /api/v2/write {{ proxy_set_header Authorization "";
                  rewrite ^ /write?db=$arg_bucket&precision=$unit? break;
                  proxy_pass http://127.0.0.1:{upstream}; }}
                location / {{ proxy_pass http://127.0.0.1:{upstream}; }} }} }}"""
        )

    def command(self):
        return [
            find_program("nginx"),
            "-e",
            str(self.directory / "error.log"),
            "-c",
            str(self.directory / "nginx.conf"),
        ]
