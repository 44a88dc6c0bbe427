"""The node's configuration, read and checked field by field. A mistake is named and its default stands in: a
bad file never keeps a node from starting, it starts and says what is wrong."""

import json

from barnode import boards
from barnode.calibration import FITTING, fits, whole

DEFAULT_BOARD = "esp32-hx711-4"
_NAME = "a name of 1 to 32 characters out of a-z, 0-9 and - expected"
VALUES = (
    "studio", "node", "board", "channels", "rate_hz", "samples_per_frame", "backlog_frames", "trial_s",
    "wifi", "broker", "cells", "calibration", "factory_zero", "overload", "watchdog",
)  # fmt: skip


class Settled:
    """The values of a Config."""


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
        channels = boards.channels(self.board) if self.board else 4
        self.channels = channels
        self.rate_hz = self._take(
            "rate_hz", self.board["rate_hz"] if self.board else 80, _in(10, 1000), "10 to 1000 Hz expected"
        )
        self.samples_per_frame = self._take("samples_per_frame", 6, _in(1, 255), "1 to 255 expected")
        self.backlog_frames = self._take(
            "backlog_frames", 0, _in(0, 32000), "0 (as memory allows) to 32000 expected"
        )
        self.trial_s = self._take("trial_s", 30, _in(1, 600), "1 to 600 s expected")
        self.wifi = self._wifi(given.get("wifi"))
        self.broker = self._broker(given.get("broker"))
        self.cells = self._cells(given.get("cells"), channels)
        self.calibration = self._calibration(given.get("calibration"), channels)
        self.factory_zero = self._factory_zero(given.get("factory_zero"), channels)
        self.overload = self._overload(given.get("overload"))
        self.watchdog = self._take(
            "watchdog", True, lambda value: value in (True, False), "true or false expected"
        )

    def settled(self):
        """The values alone, so that the code that checked them need not stay in memory."""
        plain = Settled()
        for name in VALUES:
            setattr(plain, name, getattr(self, name))
        return plain

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
        broker = {
            "host": None, "port": 1883, "user": None, "password": None, "protocol": "auto", "ca_file": None
        }  # fmt: skip
        if not isinstance(given, dict):
            self._refuse("broker", "an object with host and port expected", given)
            return broker
        checks = (
            ("host", lambda value: _is_text(value, 253), "a host name or address expected"),
            ("port", _in(1, 65535), "1 to 65535 expected"),
            ("user", lambda value: value is None or isinstance(value, str), "text or null expected"),
            ("password", lambda value: value is None or isinstance(value, str), "text or null expected"),
            (
                "ca_file",
                lambda value: value is None or _is_text(value, 200),
                "a file's path or null expected",
            ),
            ("protocol", lambda value: value in ("auto", "5", "3.1.1"), 'auto, "5" or "3.1.1" expected'),
        )
        for field, valid, expected in checks:
            value = given.get(field, broker[field])
            if valid(value):
                broker[field] = value
            else:
                self._refuse("broker." + field, expected, "something else" if field == "password" else value)
                if field == "ca_file":
                    broker[field] = "?"  # no connection rather than one in the clear
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
        if fits(given, channels):
            return {
                "id": given["id"],
                "by": given.get("by"),
                "unix_s": given.get("unix_s"),
                "cells": given["cells"],
            }
        self._refuse(
            "calibration",
            FITTING % channels,
            given,
        )
        return None

    def _overload(self, given):
        """Limits in newtons: of each cell, its capacity if none is given, and of all together, none if none
        is."""
        limits = {"cell_n": [cell["capacity_n"] for cell in self.cells], "sum_n": None}
        if given is None:
            return limits
        if not isinstance(given, dict) or any(field not in limits for field in given):
            self._refuse("overload", "an object with cell_n, sum_n or both expected", given)
            return limits
        for field in limits:
            value = given.get(field)
            if value is not None and not _is_positive(value):
                self._refuse("overload." + field, "newtons above 0 or null expected", value)
            elif value is not None:
                limits[field] = [value] * len(self.cells) if field == "cell_n" else value
        return limits

    def _factory_zero(self, given, channels):
        if given is None:
            return [0] * channels
        if (
            isinstance(given, list)
            and len(given) == channels
            and all(_in(-0x800000, 0x7FFFFF)(count) for count in given)
        ):
            return given
        self._refuse("factory_zero", "%d counts expected" % channels, given)
        return [0] * channels


def read(path, problems):
    """What a JSON file says; a file that cannot be read is an empty object, with the problem named."""
    try:
        with open(path) as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        problems.append("%s: a JSON file expected, it could not be read (%s): write it again" % (path, error))
        return {}


def load(path):
    """The Config of a JSON file."""
    problems: list = []
    config = Config(read(path, problems))
    config.problems[:0] = problems
    return config


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


def _in(least, most):
    return lambda value: whole(value, least, most)


def _shown(value):
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
