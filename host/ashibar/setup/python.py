"""Finds a Python new enough for the project. Runs on older ones too: they get a message, no traceback."""

from __future__ import annotations

import shutil
import subprocess
import sys

MINIMUM = (3, 11)
CANDIDATES = ("python3.13", "python3.12", "python3.11", "python3.14", "python3")
VERSION_TIMEOUT_S = 20.0


def new_enough(version: tuple[int, ...]) -> bool:
    """Whether this version, major first, runs the project."""
    return tuple(version[:2]) >= MINIMUM


def version_of(program: str) -> tuple[int, ...]:
    """Version of a Python by running it; empty if it does not run (a shim may have nothing behind it)."""
    command = [program, "-c", "import sys; print(*sys.version_info[:2])"]
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=VERSION_TIMEOUT_S, check=True
        )
        return tuple(int(word) for word in done.stdout.split())
    except (OSError, ValueError, subprocess.SubprocessError):
        return ()


def fitting_python() -> str | None:
    """The running Python if it is new enough, else the first one on PATH that is, else None."""
    if new_enough(sys.version_info[:2]):
        return sys.executable
    found = (shutil.which(name) for name in CANDIDATES)
    return next((path for path in found if path and new_enough(version_of(path))), None)


def refusal() -> str:
    """What to tell a person whose Pythons are all too old."""
    return (
        "Python {}.{} or newer is needed; this is {}.{}, and no newer one is on PATH (looked for {}).\n"
        "Install one (Debian 12, Ubuntu 24.04 and later: sudo apt-get install python3 python3-venv; "
        "macOS: brew install python@3.13) and run the same command again."
    ).format(MINIMUM[0], MINIMUM[1], sys.version_info[0], sys.version_info[1], ", ".join(CANDIDATES))
