"""The parts of a campaign as processes of their own: the daemon, as it is or in a test build, and nodes."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

from servers import ROOT, Process, free_port, wait_until

STUDIO = "quiet-room"
HANGERS = ("left-head", "left-foot", "right-head", "right-foot")
HERE = Path(__file__).resolve().parent
MAIN = "import sys; from ashibar.cli import main; sys.exit(main())"


def node_names(count):
    return [f"bars-{number}" for number in range(1, count + 1)]


def config_text(nodes, broker_port, web_port, *, influx_url=None, journal="journal.sqlite"):
    """Return an ashibar.toml: one rig of four cells a node."""
    head = (
        f'[studio]\nname = "{STUDIO}"\n[mqtt]\nport = {broker_port}\n[journal]\npath = "{journal}"\n'
        f'[web]\nport = {web_port}\n[session]\nbody_weight_kg = 60\nsource = "scale"\n'
    )
    parts = [head]
    for number, node in enumerate(nodes, 1):
        parts.append(f'[[rig]]\nname = "room-{number}"\n')
        parts += [
            f'[[rig.cell]]\nhanger = "{hanger}"\nnode = "{node}"\nchannel = {channel}\n'
            'capacity_kg = 200\nclass = "C3"\n'
            for channel, hanger in enumerate(HANGERS)
        ]
    if influx_url is not None:
        parts.append(f'[influx]\nurl = "{influx_url}"\norg = "studio"\nbucket = "ashibar"\n')
    return "".join(parts)


class DaemonProcess(Process):
    """`ashibar run --config`; with `build` arguments the test build of daemon_build.py instead."""

    def __init__(
        self, directory, nodes, broker_port, *, influx_url=None, build=(), journal="journal.sqlite", prefix=()
    ):
        super().__init__(directory, free_port())
        self.build, self.prefix = [str(each) for each in build], list(prefix)
        self.journal = self.directory / journal
        text = config_text(nodes, broker_port, self.port, influx_url=influx_url, journal=journal)
        (self.directory / "ashibar.toml").write_text(text)

    def command(self):
        config = str(self.directory / "ashibar.toml")
        if self.build:
            return [*self.prefix, sys.executable, str(HERE / "daemon_build.py"), config, *self.build]
        return [*self.prefix, sys.executable, "-c", MAIN, "run", "--config", config]

    def get(self, path):
        """Return the JSON the daemon answers, None while it does not."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=5) as answer:
                return json.load(answer)
        except OSError:
            return None

    def accounting(self):
        return self.get("api/v1/accounting")

    @property
    def pid(self):
        return self.child.pid


def cpu_s(pid):
    """Return the processor time a process has used, with all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def rss_kb(pid):
    """Return the memory a process has resident."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    return 0


def spawn(arguments, log):
    """Start one of this directory's programs; its words go to the file `log`."""
    with Path(log).open("ab") as words:
        return subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            env=None,
            cwd=ROOT,
        )


__all__ = ["DaemonProcess", "config_text", "cpu_s", "node_names", "rss_kb", "spawn", "wait_until"]
