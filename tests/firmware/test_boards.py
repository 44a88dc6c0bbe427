"""The board files that are flashed, and what a board is refused for."""

import pytest
from firmware_paths import import_firmware

import_firmware()
from barnode import boards  # noqa: E402 - found only after that


@pytest.mark.parametrize("name", ["esp32-hx711-4", "esp32-ads131m04-4", "esp32s3-hx711-4"])
def test_every_board_file_passes_its_own_check(name):
    assert boards.channels(boards.load(name)) == 4


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("esp32s3-hx711-4", {"clock_pin": 19}, "USB"),
        ("esp32s3-hx711-4", {"clock_pin": 22}, "a pin of the ESP32-S3"),
        ("esp32s3-hx711-4", {"light_pin": 5}, "used twice"),
        ("esp32s3-hx711-4", {"chip": "esp8266"}, "esp32 or esp32s3"),
        ("esp32-ads131m04-4", {"drdy_pin": 19}, "used twice, by drdy_pin and miso_pin"),
        ("esp32-ads131m04-4", {"cs_pin": 34}, "can only read"),
        ("esp32-ads131m04-4", {"channels": 5}, "1 to 4"),
    ],
)
def test_a_board_whose_pins_collide_or_cannot_be_is_refused(name, change, reason):
    with pytest.raises(ValueError, match=reason):
        boards.check(boards.load(name) | change)


def test_a_rate_that_clock_and_settings_do_not_give_is_refused(run_micropython):
    code = """
from ads131m04_bench import *
from barnode import boards
make()
board = boards.load("esp32-ads131m04-4")
board["rate_hz"] = 125
try:
    boards.open_adc(board)
except ValueError as error:
    print(error)
"""
    assert "rate_hz 83 expected" in run_micropython(code)
