"""The firmware on MicroPython for WebAssembly, whose small ints have 31 bits as on the chip."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from ashibar.web.build import node_and_npm
from firmware_paths import FIRMWARE, GOLDEN, ON_DEVICE, ROOT

WASM = Path(__file__).parent / "wasm"
INSTALLED = ROOT / ".tools" / "wasm"
PACKAGE = "node_modules/@micropython/micropython-webassembly-pyscript/micropython.mjs"


@pytest.fixture(scope="session")
def run_wasm():
    """Run a script on MicroPython for WebAssembly, installed on first use; answers its output."""
    INSTALLED.mkdir(parents=True, exist_ok=True)
    node, npm = node_and_npm(INSTALLED)
    wanted = hashlib.sha256((WASM / "package-lock.json").read_bytes()).hexdigest()
    stamp = INSTALLED / "stamp"
    if not stamp.exists() or stamp.read_text() != wanted or not (INSTALLED / PACKAGE).exists():
        for name in ("package.json", "package-lock.json"):
            shutil.copy(WASM / name, INSTALLED)
        command = [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(
            command, cwd=INSTALLED, capture_output=True, text=True, timeout=100, check=False
        )
        assert done.returncode == 0, done.stderr
        stamp.write_text(wanted)

    def run(script, *args, mounts=()):
        places = [f"{FIRMWARE}=/fw", *(f"{source}={target}" for source, target in mounts)]
        command = [*node, WASM / "run.mjs", INSTALLED, ON_DEVICE / script, *places, "--", *args]
        done = subprocess.run(
            [str(part) for part in command], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def transcript(run_wasm):
    return json.loads(run_wasm("portable.py", "/update"))


def test_its_small_ints_have_31_bits(run_wasm, tmp_path):
    script = tmp_path / "ints.py"
    script.write_text(
        "import gc, sys\n"
        "def taken(n):\n    before = gc.mem_alloc()\n    1 << n\n    return gc.mem_alloc() - before\n"
        "gc.disable()\nprint(sys.maxsize, taken(29), taken(30) > 0)\n"
    )
    assert run_wasm(script).split() == [str(2**31 - 1), "0", "True"]


def test_golden_frames_come_out_byte_by_byte(run_wasm):
    names = [f"/golden/{path.name}" for path in sorted(GOLDEN.glob("*.json"))]
    assert int(run_wasm("encode_golden.py", *names, mounts=[(GOLDEN, "/golden")])) == len(names)


def test_everything_without_sockets_does_what_it_does_on_64_bits(transcript, run_micropython, tmp_path):
    wide = json.loads(run_micropython(ON_DEVICE / "portable.py", args=(tmp_path / "update",)))
    assert set(wide) == {"clock", "crc", "backlog", "weight", "problems", "update", "allocated"}
    for part in wide:
        assert transcript[part] == wide[part], part


def test_the_path_of_a_sample_allocates_nothing_with_31_bit_ints_even_while_frames_are_merged(transcript):
    assert transcript["allocated"] == [0, True]


def test_an_update_is_taken_tried_and_given_up_there_too(transcript):
    assert transcript["update"][-3:] == [
        ["app_a", True, None],
        ["app_a", True, None],
        ["", False, "app_a"],
    ]
