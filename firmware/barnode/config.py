"""The node's configuration, read and checked field by field. A mistake is named and its default stands in: a
bad file never keeps a node from starting, it starts and says what is wrong."""

import json

from barnode import boards

DEFAULT_BOARD = "esp32-hx711-4"
_NAME = "a name of 1 to 32 characters out of a-z, 0-9 and - expected"


class Config:
    """Checked settings; `problems` lists each mistake as expected, came, what to do."""

    def __init__(self, given):
        self.problems = []
        if not isinstance(given, dict):
            self._refuse("the file", "an object with fields", given)
            given = {}
        self._given = given
        self.studio = self._take("studio", "studio", is_name, _NAME)
        self.node = self._take("node", "node", is_name, _NAME)
        self.board = self._load_board(given.get("board", DEFAULT_BOARD))
        channels = len(self.board["data_pins"]) if self.board else 4
        self.channels = channels
        self.rate_hz = self._take(
            "rate_hz", self.board["rate_hz"] if self.board else 80, _whole(10, 1000), "10 to 1000 Hz expected"
        )
        self.samples_per_frame = self._take("samples_per_frame", 10, _whole(1, 255), "1 to 255 expected")
        self.backlog_frames = self._take(
            "backlog_frames", 0, _whole(0, 32000), "0 (as memory allows) to 32000 expected"
        )
        self.trial_s = self._take("trial_s", 30, _whole(1, 600), "1 to 600 s expected")
        self.wifi = self._wifi(given.get("wifi"))
        self.broker = self._broker(given.get("broker"))
        self.cells = self._cells(given.get("cells"), channels)
        self.calibration = self._calibration(given.get("calibration"), channels)
        self.factory_zero = self._factory_zero(given.get("factory_zero"), channels)

    def _refuse(self, field, expected, came):
        self.problems.append("%s: %s, %s came: correct it in config.json" % (field, expected, _shown(came)))

    def _take(self, field, default, valid, expected):
        value = self._given.get(field, default)
        if not valid(value):
            self._refuse(field, expected, value)
            return default
        if field in ("studio", "node") and field not in self._given:
            self._refuse(field, expected, None)
        return value

    def _load_board(self, given):
        try:
            if isinstance(given, dict):
                boards.check(given)
                return given
            return boards.load(str(given))
        except ValueError as error:
            self.problems.append("board: %s" % error)
            return None

    def _wifi(self, given):
        if given is None:
            return {"ssid": None, "password": None}
        if (
            not isinstance(given, dict)
            or not _is_text(given.get("ssid"), 32)
            or not _is_text(given.get("password", ""), 64, 0)
        ):
            self._refuse("wifi", "ssid (1 to 32 characters) and password expected", "something else")
            return {"ssid": None, "password": None}
        return {"ssid": given["ssid"], "password": given.get("password")}

    def _broker(self, given):
        broker = {"host": None, "port": 1883, "user": None, "password": None, "protocol": "auto"}
        if not isinstance(given, dict):
            self._refuse("broker", "an object with host and port expected", given)
            return broker
        checks = (
            ("host", lambda value: _is_text(value, 253), "a host name or address expected"),
            ("port", _whole(1, 65535), "1 to 65535 expected"),
            ("user", lambda value: value is None or isinstance(value, str), "text or null expected"),
            ("password", lambda value: value is None or isinstance(value, str), "text or null expected"),
            ("protocol", lambda value: value in ("auto", "5", "3.1.1"), 'auto, "5" or "3.1.1" expected'),
        )
        for field, valid, expected in checks:
            value = given.get(field, broker[field])
            if valid(value):
                broker[field] = value
            else:
                self._refuse("broker." + field, expected, "something else" if field == "password" else value)
        return broker

    def _cells(self, given, channels):
        if given is None:
            return [{"name": "cell-%d" % i, "capacity_n": None} for i in range(channels)]
        cells = []
        if isinstance(given, list):
            for cell in given:
                if (
                    isinstance(cell, dict)
                    and is_name(cell.get("name"))
                    and _is_positive(cell.get("capacity_n"))
                ):
                    cells.append({"name": cell["name"], "capacity_n": cell["capacity_n"]})
        if len(cells) == channels and len({cell["name"] for cell in cells}) == channels:
            return cells
        self._refuse(
            "cells", "%d cells with different names and capacity_n above 0 expected" % channels, given
        )
        return self._cells(None, channels)

    def _calibration(self, given, channels):
        if given is None:
            return None
        cells = given.get("cells") if isinstance(given, dict) else None
        valid = isinstance(cells, list) and len(cells) == channels and _whole(1, 65535)(given.get("id"))
        for cell in (cells or ()) if valid else ():
            valid = valid and isinstance(cell, dict) and _whole(-0x800000, 0x7FFFFF)(cell.get("zero_count"))
            valid = valid and _is_number(cell.get("span_n_per_count")) and cell["span_n_per_count"] != 0
        if valid:
            return {"id": given["id"], "by": given.get("by"), "unix_s": given.get("unix_s"), "cells": cells}
        self._refuse(
            "calibration",
            "id 1 to 65535 and zero_count, span_n_per_count for each of %d cells expected" % channels,
            given,
        )
        return None

    def _factory_zero(self, given, channels):
        if given is None:
            return [0] * channels
        if (
            isinstance(given, list)
            and len(given) == channels
            and all(_whole(-0x800000, 0x7FFFFF)(count) for count in given)
        ):
            return given
        self._refuse("factory_zero", "%d counts expected" % channels, given)
        return [0] * channels


def load(path):
    """The Config of a JSON file; a file that cannot be read is an empty one, with the problem named."""
    try:
        with open(path) as file:
            given = json.load(file)
    except (OSError, ValueError) as error:
        config = Config({})
        config.problems.insert(
            0, "%s: a JSON file expected, it could not be read (%s): write it again" % (path, error)
        )
        return config
    return Config(given)


def is_name(value):
    """Whether it may stand in a topic: [a-z0-9-]{1,32}."""
    if not isinstance(value, str) or not 1 <= len(value) <= 32:
        return False
    return all(c in "abcdefghijklmnopqrstuvwxyz0123456789-" for c in value)


def _is_text(value, longest, least=1):
    return isinstance(value, str) and least <= len(value) <= longest


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_positive(value):
    return _is_number(value) and value > 0


def _whole(least, most):
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _shown(value):
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
