"""Records in the chip's settings memory: whole or refused by name, and what counts then."""

import json

import pytest
from firmware_paths import FIRMWARE

HEAD = f"""
import sys
sys.path[:0] = [{str(FIRMWARE / "virtual")!r}, {str(FIRMWARE)!r}]
import asyncio, json
import board
board.install(board.build({{"chips": [], "nvs_file": sys.argv[1]}}, 0))
sys.path.insert(0, {str(FIRMWARE / "virtual/chip")!r})
from barnode import calibration, records
problems = []
kept = records.Records(problems)
def record(number):
    cells = [dict(zero_count=number - 5, span_n_per_count=0.000456 * number)]
    cells += [dict(zero_count=-8388608, span_n_per_count=-1.0)]
    return dict(id=number, by="Mei Lin", unix_s=4000000000 + number, cells=cells)
"""


@pytest.fixture
def on_chip(run_micropython, tmp_path):
    """Run code on the virtual board with the same settings memory each time; answers its last line."""
    nvs = tmp_path / "nvs.json"

    def run(body):
        return json.loads(run_micropython(HEAD + body, args=[nvs]).splitlines()[-1])

    run.file = nvs
    return run


def spoil(file, key, how):
    content = json.loads(file.read_text())
    blob = bytearray.fromhex(content["ashibar"][key][1])
    content["ashibar"][key][1] = bytes(how(blob)).hex()
    file.write_text(json.dumps(content))


WRITE_TWO = """
for number in (1, 2):
    kept.write("calibration", calibration.pack(record(number)))
print(json.dumps(calibration.stored(kept, None, 2, problems)))
"""
READ = """
print(json.dumps([calibration.stored(kept, {"id": 9}, 2, problems), problems]))
"""


def test_a_record_comes_back_after_a_restart_with_id_date_and_name(on_chip):
    first = on_chip(WRITE_TWO)
    again, problems = on_chip(READ)
    assert again == first
    assert problems == []
    assert (again["id"], again["by"], again["unix_s"]) == (2, "Mei Lin", 4_000_000_002)
    assert again["cells"][0]["span_n_per_count"] == pytest.approx(0.000912, rel=1e-7)
    assert again["cells"][1]["zero_count"] == -8388608


@pytest.mark.parametrize("cut", ["torn", "flipped", "empty"])
def test_a_spoilt_record_is_refused_by_name_and_the_one_before_it_counts(on_chip, cut):
    on_chip(WRITE_TWO)
    ways = {
        "torn": lambda b: b[: len(b) // 2],
        "flipped": lambda b: b[:9] + bytes([b[9] ^ 4]) + b[10:],
        "empty": lambda _: b"",
    }
    spoil(on_chip.file, "calibration-1", ways[cut])
    record, problems = on_chip(READ)
    assert record["id"] == 1
    assert len(problems) == 1
    assert "calibration: a whole record" in problems[0]
    assert "the one before it counts" in problems[0]


def test_every_single_flipped_bit_is_noticed(on_chip):
    assert (
        on_chip("""
import esp32
kept.write("calibration", calibration.pack(record(1)))
nvs = esp32.NVS("ashibar")
buf = bytearray(200)
n = nvs.get_blob("calibration-0", buf)
sound = bytes(buf[:n])
passed = 0
for bit in range(n * 8):
    blob = bytearray(sound)
    blob[bit // 8] ^= 1 << bit % 8
    nvs.set_blob("calibration-0", blob)
    nvs.commit()
    passed += records.Records([]).read("calibration") is not None
print(json.dumps([n, passed]))
""")[1]
        == 0
    )


def test_a_chip_whose_records_are_all_spoilt_is_uncalibrated_and_not_what_its_file_says(on_chip):
    on_chip(WRITE_TWO)
    for key in ("calibration-0", "calibration-1"):
        spoil(on_chip.file, key, lambda blob: blob[:-1])
    record, problems = on_chip(READ)
    assert record is None
    assert "there is none before it" in problems[0]


def test_the_file_counts_only_where_there_never_was_a_record(on_chip):
    assert on_chip(READ) == [{"id": 9}, []]


def test_a_record_of_another_number_of_cells_is_refused(on_chip):
    on_chip(WRITE_TWO)
    record, problems = on_chip("print(json.dumps([calibration.stored(kept, None, 4, problems), problems]))")
    assert record is None
    assert "for each of 4 cells expected, record 2 does not" in problems[0]


def test_records_are_written_by_turns_and_a_failed_write_leaves_the_one_before(on_chip):
    assert on_chip("""
for number in range(1, 6):
    kept.write("calibration", calibration.pack(record(number)))
real = kept._nvs.set_blob
kept._nvs.set_blob = lambda key, blob: real(key, blob[:20])
try:
    kept.write("calibration", calibration.pack(record(6)))
except ValueError as error:
    reason = str(error)
print(json.dumps([reason, calibration.stored(records.Records(problems), None, 2, problems)["id"], problems]))
""")[:2] == ["what was written could not be read back: try again, else exchange the board", 5]
