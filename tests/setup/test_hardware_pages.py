"""The wiring table on paper is the one the firmware uses."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
BOARD = json.loads((ROOT / "firmware/barnode/boards/esp32-hx711-4.json").read_text())
WIRING = (ROOT / "hardware/wiring.md").read_text()
ROWS = re.findall(r"^\| `(\w+)` \| GPIO(\d+) \|[^|]*\| *(\d*) *\|", WIRING, flags=re.MULTILINE)


def test_the_wiring_table_names_every_pin_of_the_board_file_and_no_other():
    written = {}
    for name, pin, _ in ROWS:
        written.setdefault(name, []).append(int(pin))
    board = {
        name: pin if isinstance(pin, list) else [pin]
        for name, pin in BOARD.items()
        if name.endswith(("_pin", "_pins"))
    }
    assert written == board


def test_the_channels_are_numbered_in_the_order_of_the_board_file():
    channels = [int(channel) for name, _, channel in ROWS if name == "data_pins"]
    assert channels == list(range(len(BOARD["data_pins"])))


def test_the_parts_list_has_one_converter_and_one_cell_for_each_channel():
    bom = (ROOT / "hardware/bom.md").read_text()
    counts = {
        part.strip(): int(n) for n, part in re.findall(r"^\| (\d+) \| ([^,|]*)", bom, flags=re.MULTILINE)
    }
    assert counts["load cell"] == len(BOARD["data_pins"])
    assert next(n for part, n in counts.items() if part.startswith("HX711 board")) == len(BOARD["data_pins"])
    assert f"{BOARD['lights']} LEDs" in bom


def test_every_link_of_the_readme_leads_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text())
    assert len(links) > 5
    assert [link for link in links if not (ROOT / link).exists()] == []
