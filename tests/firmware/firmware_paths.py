"""Where the firmware's tests find it, how they run it, and the shim under which its pure modules load in
CPython too."""

import os
import sys
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = ROOT / "firmware"
ON_DEVICE = Path(__file__).parent / "on_device"
GOLDEN = ROOT / "tests" / "wire" / "golden"


def import_firmware():
    """Make `barnode` importable here, with the one name of `micropython` that pure modules use."""
    if str(FIRMWARE) not in sys.path:
        sys.path.insert(0, str(FIRMWARE))
    if "micropython" not in sys.modules:
        shim = types.ModuleType("micropython")
        shim.const = lambda value: value
        sys.modules["micropython"] = shim


def device_command(micropython, script, heapsize=None, args=()):
    """Command line and environment that run `script` with the firmware's modules on the path."""
    heap = ["-X", f"heapsize={heapsize}"] if heapsize else []
    path = f"{FIRMWARE}:{ON_DEVICE}:.frozen"
    return [micropython, *heap, str(script), *map(str, args)], {**os.environ, "MICROPYPATH": path}
