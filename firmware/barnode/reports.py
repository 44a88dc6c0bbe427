"""What a node tells of itself: the `about`, `state` and `health` payloads of docs/protocol.md."""

import binascii
import gc
import json
import sys

from barnode import VERSION


def state(word, boot):
    """`online`, `lost` or `offline`."""
    return json.dumps({"state": word, "boot": boot, "hardware": hardware()}).encode()


def hardware():
    """The board's own number in hex, or None where there is none."""
    try:
        import machine

        return binascii.hexlify(machine.unique_id()).decode()
    except (ImportError, AttributeError):
        return None


def about(config, boot, notes, backlog_frames, problems, versions, calibration, session_zero):
    """Who this node is. `notes`: (reset cause, last error, failed boots before this one). `problems`: what is
    wrong with it, in words; `versions`: update's."""
    payload = {
        "firmware": VERSION,
        "manifest": versions["manifest"],
        "update": versions["update"],
        "board": config.board["board"] if config.board else None,
        "adc": config.board["adc"] if config.board else None,
        "runtime": _runtime(),
        "boot": boot,
        "hardware": hardware(),
        "reset_cause": notes[0],
        "last_error": notes[1],
        "failed_boots": notes[2],
        "rate_hz": config.rate_hz,
        "samples_per_frame": config.samples_per_frame,
        "backlog_frames": backlog_frames,
        "cells": config.cells,
        "calibration": calibration,
        "zeros": {
            "factory": config.factory_zero,
            "calibration": [cell["zero_count"] for cell in calibration["cells"]] if calibration else None,
            "session": session_zero,
        },
    }
    if problems:
        payload["problems"] = problems
    return json.dumps(payload).encode()


class Health:
    """The health report; keeps what it needs to turn counters into a rate."""

    def __init__(self, boot, cells, reset_cause):
        self._boot = boot
        self._none = [0] * cells
        self._reset_cause = reset_cause
        self._last_us = 0
        self._last_samples = 0

    def report(self, clock, builder, backlog, link, wifi, adc, overloads):
        now_us = clock.us()
        samples = builder.taken()
        elapsed_ms = (now_us - self._last_us) // 1000
        rate_hz = (samples - self._last_samples) * 1000 / elapsed_ms if elapsed_ms else None
        self._last_us = now_us
        self._last_samples = samples
        payload = {
            "boot": self._boot,
            "uptime_s": now_us // 1000000,
            "reset_cause": self._reset_cause,
            "rssi_dbm": wifi.rssi_dbm(),
            "heap_free": gc.mem_free() if hasattr(gc, "mem_free") else None,
            "rate_hz": rate_hz,
            "samples": samples,
            "frames": builder.frames,
            "sent": backlog.sent,
            "resent": backlog.resent,
            "held": backlog.held,
            "dropped": backlog.dropped,
            "dropped_samples": backlog.dropped_samples,
            "let_go": backlog.let_go,
            "decimated": backlog.decimated(),
            "reconnects": link.reconnects(),
            "not_ready": list(adc.not_ready) if adc else self._none,
            "desync": list(adc.desync) if adc else self._none,
            "saturated": list(adc.saturated) if adc else self._none,
            "overloads": overloads,
            "temperature_c": temperature_c(),
        }
        return json.dumps(payload).encode()


def reset_cause():
    """Why the chip started, in words."""
    try:
        import machine

        cause = machine.reset_cause()
    except (ImportError, AttributeError):
        return "unknown"
    for name, words in (
        ("PWRON_RESET", "power on"),
        ("HARD_RESET", "hard reset"),
        ("WDT_RESET", "watchdog"),
        ("DEEPSLEEP_RESET", "deep sleep"),
        ("SOFT_RESET", "soft reset"),
    ):
        if cause == getattr(machine, name, None):
            return words
    return "unknown"


def temperature_c():
    """The chip's own temperature, or None."""
    try:
        import esp32

        if hasattr(esp32, "mcu_temperature"):
            return esp32.mcu_temperature()
        return round((esp32.raw_temperature() - 32) / 1.8, 1)
    except (ImportError, AttributeError, OSError):
        return None


def _runtime():
    name = sys.implementation.name
    return name + " " + ".".join(str(part) for part in sys.implementation.version[:3] if part != "")
