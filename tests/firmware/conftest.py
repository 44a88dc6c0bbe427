"""What firmware tests stand on: the real MicroPython with the firmware on its path."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from firmware_paths import ROOT, device_command


@pytest.fixture(scope="session")
def micropython():
    """Path of the interpreter; its absence is a failure, because these tests are worth nothing without it."""
    for found in (
        os.environ.get("ASHIBAR_MICROPYTHON"),
        ROOT / ".tools/bin/micropython",
        shutil.which("micropython"),
    ):
        if found and Path(found).exists():
            return str(found)
    pytest.fail(
        "MicroPython expected in ASHIBAR_MICROPYTHON, .tools/bin or PATH, none found: `make test` fetches it"
    )


@pytest.fixture
def run_micropython(micropython, tmp_path):
    """Run code (or a Path) on real MicroPython; answers its output, fails with it when it ends badly."""

    def run(code_or_file, heapsize=None, args=()):
        script = code_or_file
        if not isinstance(script, Path):
            script = tmp_path / "code.py"
            script.write_text(code_or_file)
        command, env = device_command(micropython, script, heapsize, args)
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run
