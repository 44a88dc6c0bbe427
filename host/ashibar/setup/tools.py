"""The programs beside Python that the project uses: what provides each, and whether it is here already."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Debian keeps daemons in sbin, which is not on an ordinary user's PATH.
SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
PROBE_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Tool:
    """A program, the Debian packages that bring it (the first offered counts), releases to borrow it from.

    `inside`: the program came with a Python package, here in the checkout; Debian brings its libraries.
    """

    program: str
    packages: tuple[str, ...]
    use: str
    wanted_by: tuple[str, ...]
    elsewhere: tuple[str, ...] = ()
    probe: tuple[str, ...] = ()
    extra_packages: tuple[str, ...] = ()
    inside: str = ""


TOOLS = (
    Tool("mosquitto", ("mosquitto",), "the broker", ("demo", "test")),
    Tool(
        "micropython",
        ("micropython",),
        "runs the firmware",
        ("demo", "test"),
        elsewhere=("trixie",),
        # The firmware uses asyncio and the module vfs: both are there since 1.23.
        probe=("-c", "import sys, asyncio, vfs; sys.exit(sys.implementation.version[:2] < (1, 23))"),
    ),
    Tool(
        "chromium",
        ("chromium",),
        "tests of the page",
        ("test",),
        extra_packages=("fonts-dejavu-core",),
    ),
    Tool(
        "playwright-node",
        ("libatomic1",),
        "drives the browser in tests",
        ("test",),
        probe=("--version",),
        inside=".venv/lib/python*/site-packages/playwright/driver/node",
    ),
    Tool("influxd", ("influxdb",), "tests of the InfluxDB sink", ("test",), elsewhere=("bookworm",)),
    Tool("nginx", ("nginx-light", "nginx"), "tests of the InfluxDB sink", ("test",)),
)


def private_bin(root: Path) -> Path:
    """Where this checkout keeps programs of its own."""
    return root / ".tools" / "bin"


def find(program: str, root: Path) -> str | None:
    """Path of a program: the checkout's own, then PATH, then the folders of daemons; None if nowhere."""
    folders = [str(private_bin(root)), os.environ.get("PATH", os.defpath), *SBIN]
    return shutil.which(program, path=os.pathsep.join(folders))


def present(tool: Tool, root: Path) -> bool:
    """Whether the tool is here and, where that is in doubt, runs and is new enough."""
    path = find(tool.program, root) or next((str(found) for found in root.glob(tool.inside or "-")), None)
    if path is None or not tool.probe:
        return path is not None
    try:
        done = subprocess.run([path, *tool.probe], capture_output=True, timeout=PROBE_TIMEOUT_S, check=False)
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def remedy(tools: list[Tool]) -> str:
    """The one command that would install these tools here."""
    packages = " ".join(" ".join((tool.packages[0], *tool.extra_packages)) for tool in tools)
    commands = {
        "apt-get": "sudo apt-get install --no-install-recommends ",
        "brew": "brew install ",
        "pacman": "sudo pacman -S --needed ",
        "dnf": "sudo dnf install ",
        "zypper": "sudo zypper install ",
        "apk": "sudo apk add ",
    }
    manager = next((name for name in commands if shutil.which(name)), "apt-get")
    return commands[manager] + packages
