"""Finds what runs the firmware here: MicroPython, or CPython where there is none. Starts nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from ashibar.node.errors import NodeError

CHECKOUT: Final = Path(__file__).resolve().parents[3]
PROBE_TIMEOUT_S: Final = 10.0
PROBE: Final = "import sys, asyncio; print(sys.implementation.name, *sys.implementation.version[:3])"

RuntimeChoice = Literal["auto", "micropython", "cpython"]


@dataclass(frozen=True, slots=True)
class Runtime:
    """`name` as people say it ("micropython 1.25.0"), `command` to put before a script."""

    name: str
    command: tuple[str, ...]
    is_micropython: bool

    def with_heap(self, heap: str | None) -> tuple[str, ...]:
        """The command with a heap of that size ("224k"); CPython has no such limit and ignores it."""
        if heap is None or not self.is_micropython:
            return self.command
        return (*self.command, "-X", f"heapsize={heap}")


def find_runtime(choice: RuntimeChoice = "auto") -> Runtime:
    """MicroPython of $ASHIBAR_MICROPYTHON, the checkout's .tools/bin or PATH; else CPython.

    Raises NodeError if MicroPython was asked for and there is none, or if the variable names none that runs.
    """
    if choice == "cpython":
        return _cpython()
    named = os.environ.get("ASHIBAR_MICROPYTHON")
    if named:
        runtime = _probe(named)
        if runtime is None:
            raise NodeError(
                f"ASHIBAR_MICROPYTHON: expected a MicroPython that runs, got {named!r}: correct or unset it"
            )
        return runtime
    for program in (str(CHECKOUT / ".tools" / "bin" / "micropython"), shutil.which("micropython")):
        runtime = _probe(program) if program else None
        if runtime is not None:
            return runtime
    if choice == "micropython":
        raise NodeError(
            "expected MicroPython (1.23 or later), found none: run `make setup`, or set ASHIBAR_MICROPYTHON"
        )
    return _cpython()


def find_firmware() -> Path:
    """The directory of the firmware: $ASHIBAR_FIRMWARE, else the checkout's. Raises NodeError without it."""
    named = os.environ.get("ASHIBAR_FIRMWARE")
    folder = Path(named) if named else CHECKOUT / "firmware"
    if not (folder / "virtual" / "run.py").is_file():
        raise NodeError(
            f"expected the firmware in {folder}, it is not there: "
            "run from a checkout of the project, or set ASHIBAR_FIRMWARE"
        )
    return folder


def _cpython() -> Runtime:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Runtime(f"cpython {version}", (sys.executable, "-u"), is_micropython=False)


def _probe(program: str) -> Runtime | None:
    try:
        done = subprocess.run(
            [program, "-c", PROBE], capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    words = done.stdout.split()
    if len(words) < 3 or words[0] != "micropython":
        return None
    return Runtime(f"micropython {'.'.join(words[1:])}", (program,), is_micropython=True)
