"""A virtual board with its own flash, a directory with loader and firmware; it restarts at each reset."""

import json
import shutil
import subprocess
import threading

from ashibar.node import virtual_rig
from firmware_paths import FIRMWARE

CELLS = ("left-head", "left-foot", "right-head", "right-foot")
IGNORE = shutil.ignore_patterns("__pycache__")


def copy_firmware(target, version=None, **changes):
    """A copy of the application, with another version and files replaced: {path below barnode: text}."""
    shutil.copytree(FIRMWARE / "barnode", target / "barnode", ignore=IGNORE)
    start = target / "barnode" / "__init__.py"
    if version is not None:
        start.write_text(f'"""The node."""\n\nVERSION = "{version}"\n')
    for path, text in changes.get("files", {}).items():
        (target / "barnode" / path).write_text(text)
    return target


class Device:
    """The chip: `boots` is what each start reported, `lines` everything said. It restarts as a chip does."""

    def __init__(
        self, micropython, folder, port, *, calibrated=True, force_n=0.0, trial_s=1, ticks_start=0, **settings
    ):
        self.flash = folder / "flash"
        self.flash.mkdir(parents=True)
        copy_firmware(self.flash)
        shutil.copy(FIRMWARE / "loader.py", self.flash)
        cells = virtual_rig.draw_cells(CELLS, 1)
        calibration = virtual_rig.calibration_record(cells, 1_790_000_000)
        for cell in calibration["cells"]:
            cell["zero_count"] -= round(force_n / 4 / cell["span_n_per_count"])
        node = {
            "studio": "studio",
            "node": "bars",
            "broker": {"host": "127.0.0.1", "port": port},
            "board": virtual_rig.board_file(4),
            "cells": [{"name": name, "capacity_n": 1961.33} for name in CELLS],
            "calibration": calibration if calibrated else None,
            "trial_s": trial_s,
            **settings,
        }
        self.config = folder / "config.json"
        text = {
            "node": node,
            "board": virtual_rig.board_config(cells, 1)
            | {
                "ticks_start": ticks_start,
                "nvs_file": str(folder / "nvs.json"),
                "rtc_file": str(folder / "rtc.json"),
            },
            "device": str(self.flash),
            "control": True,
        }
        self.config.write_text(json.dumps(text))
        self._command = [
            micropython,
            "-X",
            "heapsize=448k",
            str(FIRMWARE / "virtual/run.py"),
            str(self.config),
        ]
        self.lines = []
        self.boots = []
        self._ended = False
        self._process = None
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._live)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended = True
        self._process.kill()
        self._thread.join(15)

    def cut_power(self):
        """The process is gone at once, and comes back as after a reset."""
        self._process.kill()

    def tell(self, **request):
        """A line of firmware/virtual/control.py."""
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def wait_line(self, part, within_s=20):
        with self._news:
            assert self._news.wait_for(lambda: self.said(part), within_s), self.lines[-30:]

    def wait_boots(self, count, within_s=20):
        with self._news:
            assert self._news.wait_for(lambda: len(self.boots) >= count, within_s), self.lines[-30:]

    def said(self, part):
        return [line for line in self.lines if part in line]

    def _live(self):
        while not self._ended:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for line in self._process.stdout:
                with self._news:
                    self.lines.append(line.strip())
                    if line.startswith('{"') and json.loads(line).get("event") == "boot":
                        self.boots.append(json.loads(line))
                    self._news.notify_all()
            self._process.stdout.close()
            self._process.wait()
            self._process.stdin.close()
