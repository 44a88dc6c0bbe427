"""A journal of synthetic frames for tests: a rig of four cells, made at once instead of in real time."""

import json

import numpy as np
from ashibar.core.config import check
from ashibar.io.journal import Batch, FrameRow
from ashibar.rigs import configured, to_json
from nodes import SPAN_N_PER_COUNT, ZERO_COUNT, document, frame

T0_US = 1_790_000_000_000_000 // 604_800_000_000 * 604_800_000_000  # on every level's grid
STUDIO, RIG = "quiet-room", "room-1"
FRAME_US = 125_000


def parameters(tmp_path, at_us=T0_US, kg=60):
    """Return a row of parameters of the rig with that body weight."""
    config = check(document(1883, tmp_path / "unused", session={"body_weight_kg": kg, "source": "scale"}))
    return (RIG, at_us, to_json(configured(config, config.rigs[0], at_us)))


def known(tmp_path):
    """Return a batch with node, calibration and parameters."""
    cells = [{"zero_count": ZERO_COUNT, "span_n_per_count": SPAN_N_PER_COUNT}] * 4
    record = json.dumps({"id": 1, "by": "test", "unix_s": T0_US / 1e6, "cells": cells})
    return Batch(
        nodes=[(1, "bars-1", 0)],
        calibrations={(1, 1): (0, record)},
        parameters=[parameters(tmp_path)],
    )


def rows(count, *, first=0, boot=7, at_us=T0_US, seed=1):
    """Return frames of ten samples, eight a second: noise on a slow sway, a dead cell each tenth second."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(first * 10, (first + count) * 10) / 80
    sway = 60_000 + 40_000 * np.sin(2 * np.pi * time_s / 7)
    counts = np.rint(sway[:, np.newaxis] + rng.normal(0, 46, (len(time_s), 4))).astype("<i4")
    counts[(time_s % 10 < 1), 2] = -0x800001
    found = []
    for number in range(count):
        seq = first + number
        start_us = at_us + seq * FRAME_US
        payload = frame(boot, seq, counts=counts[number * 10 : number * 10 + 10].reshape(-1))
        head = (1, boot, seq, seq * 10, 10, 4, 0, seq * FRAME_US)
        found.append(FrameRow(*head, start_us, start_us + 112_500, 1, start_us + 120_000, payload))
    return found
