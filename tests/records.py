"""Journals made for tests and benchmarks: frames of a known load, with the tables a running daemon writes."""

import msgspec
import numpy as np
from ashibar.core.bodyweight import BodyWeight
from ashibar.core.frame import Frame, encode
from ashibar.core.rig import Cell, RigParameters, Zero
from ashibar.core.units import NEWTON_PER_KG as KG
from ashibar.io.journal import Batch, FrameRow
from ashibar.rigs import to_json

HANGERS = ("left-head", "left-foot", "right-head", "right-foot")
DAY_US = 86_400_000_000
T0 = 1_790_035_200_000_000  # a midnight in UTC
SPAN = 0.001  # newtons per count
ZERO = 1000
SPACING_US = 12_500
PER_FRAME = 10
FRAME_US = PER_FRAME * SPACING_US
NODE = 1
BOOT = 77


def params(now_us=T0, weight_kg=70.0, **changes):
    cells = tuple(Cell(name, "bars", i, 200 * KG) for i, name in enumerate(HANGERS))
    weight = None if weight_kg is None else BodyWeight(weight_kg * KG, "scale", 0.3 * KG, now_us)
    zero = Zero("session", (float(ZERO),) * 4, now_us)
    return RigParameters(cells, body_weight=weight, zero=zero, **changes)


def load(seconds, seed=1, noise_n=0.05):
    """Forces [S, 4] of a therapist at work: leaning in and out, with the noise of four cells."""
    rng = np.random.default_rng(seed)
    at_s = np.arange(round(seconds * 1e6 / SPACING_US)) * SPACING_US / 1e6
    total_kg = 20 + 12 * np.sin(at_s / 3) + 4 * np.sin(at_s * 1.3 + seed)
    return total_kg[:, None] * KG * np.array([0.3, 0.2, 0.3, 0.2]) + rng.normal(0, noise_n, (len(at_s), 4))


def payloads(force_n, first_seq=0, boot=BOOT, calibration=1):
    """The frames a node makes of forces [S, 4]: (sequence, bytes)."""
    counts = np.rint(np.asarray(force_n) / SPAN + ZERO).astype(np.int32)
    spacing = np.full(PER_FRAME, SPACING_US // 10, np.uint16)
    spacing[0] = 0
    for number in range(len(counts) // PER_FRAME):
        seq = first_seq + number
        part = counts[number * PER_FRAME : (number + 1) * PER_FRAME]
        index = seq * PER_FRAME
        frame = Frame(0, boot, seq, index * SPACING_US, index, calibration, 0, spacing, part)
        yield seq, encode(frame)


def frame_rows(force_n, *, from_us=T0, first_seq=0, boot=BOOT, node=NODE, boot_began_us=None):
    """Rows of the journal for forces that begin at `from_us`."""
    began_us = from_us - first_seq * PER_FRAME * SPACING_US if boot_began_us is None else boot_began_us
    last_us = (PER_FRAME - 1) * SPACING_US
    for seq, payload in payloads(force_n, first_seq, boot):
        device_us = seq * PER_FRAME * SPACING_US
        utc_us = began_us + device_us
        yield FrameRow(
            node, boot, seq, seq * PER_FRAME, PER_FRAME, 4, 0, device_us, utc_us, utc_us + last_us, 1,
            utc_us + last_us + 50_000, payload,
        )  # fmt: skip


def calibration_record(identity=1):
    cells = [{"zero_count": ZERO, "span_n_per_count": SPAN}] * 4
    return msgspec.json.encode(
        {"id": identity, "by": "bench", "unix_s": T0 / 1e6 - 3600, "cells": cells}
    ).decode()


def first_batch(rig="room-1", from_us=0, parameters=None):
    """Node, calibration and parameters of a journal whose record begins."""
    return Batch(
        nodes=[(NODE, "bars", T0)],
        calibrations={(NODE, 1): (T0, calibration_record())},
        parameters=[(rig, from_us, to_json(parameters or params()))],
    )
