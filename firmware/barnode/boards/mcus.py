"""Which pins of which microcontroller a board may use, and why not the others. Tables only.

ESP32: data sheet, "Strapping Pins" and "Pin Overview"; ESP32-S3: the same chapters of its own.
"""

_BOOT = "it selects the boot mode"
_FLASH = "the flash hangs on it"
_MEMORY = "boards with extra memory use it"

RESERVED = {
    "esp32": {
        0: _BOOT,
        1: "the console writes there",
        2: _BOOT,
        3: "the console reads there",
        6: _FLASH,
        7: _FLASH,
        8: _FLASH,
        9: _FLASH,
        10: _FLASH,
        11: _FLASH,
        12: "it sets the flash voltage at boot",
        16: _MEMORY,
        17: _MEMORY,
    },
    "esp32s3": {
        0: _BOOT,
        3: "it selects the debugger at boot",
        19: "USB hangs on it",
        20: "USB hangs on it",
        26: _MEMORY,
        27: _FLASH,
        28: _FLASH,
        29: _FLASH,
        30: _FLASH,
        31: _FLASH,
        32: _FLASH,
        33: _MEMORY,
        34: _MEMORY,
        35: _MEMORY,
        36: _MEMORY,
        37: _MEMORY,
        43: "the console writes there",
        44: "the console reads there",
        45: "it sets the flash voltage at boot",
        46: _BOOT,
    },
}
NAME = {"esp32": "ESP32", "esp32s3": "ESP32-S3"}
COUNT = {"esp32": 40, "esp32s3": 49}
MISSING = {"esp32": (20, 24, 28, 29, 30, 31), "esp32s3": (22, 23, 24, 25)}
INPUT_ONLY = {"esp32": (34, 35, 36, 37, 38, 39), "esp32s3": ()}
