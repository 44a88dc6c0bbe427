"""What the node may take of the chip: heap after start, room in the flash; sizes are in test_mpy_sizes."""

import json
from pathlib import Path

import pytest
from ashibar.node import application
from firmware_paths import FIRMWARE, ON_DEVICE

# An ESP32's heap is 112 KB after growth. Here a word, and with it nearly every object, is twice as wide.
CHIP_HEAP = 112_000
WIDE = 2
IMPORTED = 60_000  # all modules of the application, on the chip
NODE = 9_000  # what a started node makes of it, its backlog apart
LEAST_FRAMES = 80  # 10 s at the full rate, a hundred decimated, even where memory is shortest
# The data partition of a chip with 4 MB is 2 MB in blocks of 4 KB; three versions may lie there at once
FLASH_BYTES, BLOCK = 2 << 20, 4096
CONFIG = {"studio": "studio", "node": "bars", "broker": {"host": "127.0.0.1"}}


def blocks(version):
    """Blocks of the flash its files take, each at least one."""
    return sum(-(-len(data) // BLOCK) for data in version.files.values())


@pytest.fixture(scope="module")
def sources():
    return application.read(FIRMWARE)


@pytest.fixture(scope="module")
def compiled(sources, tmp_path_factory):
    return application.compiled(sources, tmp_path_factory.mktemp("mpy"))


def test_the_started_node_fits_the_heap_of_the_chip_twice_as_wide(run_micropython, record_property):
    took = json.loads(
        run_micropython(
            ON_DEVICE / "heap_after_start.py", heapsize=CHIP_HEAP * WIDE, args=(json.dumps(CONFIG),)
        )
    )
    record_property("heap", took)
    assert took["imported"] <= IMPORTED * WIDE
    assert took["node"] <= NODE * WIDE
    assert took["slots"] >= LEAST_FRAMES


def test_the_sources_copied_by_cable_and_two_compiled_updates_fit_three_quarters_of_the_flash(
    sources, compiled
):
    assert (blocks(sources) + 2 * blocks(compiled)) * BLOCK <= FLASH_BYTES * 3 // 4


def test_what_is_compiled_for_the_chip_is_sent_in_less_than_100_kb(compiled):
    assert "barnode/node.mpy" in compiled.files
    assert "barnode/boards/esp32-hx711-4.json" in compiled.files
    assert sum(map(len, compiled.files.values())) <= 100_000


def test_the_loader_stays_small_because_no_update_can_ever_mend_it():
    assert len(Path(FIRMWARE / "loader.py").read_text().splitlines()) <= 190
