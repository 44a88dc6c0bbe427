"""Rigs, samples and recordings for the tests of the load model."""

from itertools import pairwise

import numpy as np
from ashibar.core.bodyweight import BodyWeight
from ashibar.core.calibration import NodeCalibration
from ashibar.core.evaluate import NodeSamples, advance, flush, start
from ashibar.core.rig import Cell, RigParameters

KG = 9.80665
T0 = 1_790_000_000_000_000
HOUR_US = 3_600_000_000
HANGERS = ("left-head", "left-foot", "right-head", "right-foot")
SPAN = 0.001  # newtons per count: recordings keep their digits
ZERO = 1000


def rig(nodes=("bars",) * 4, weight_kg=70.0, names=HANGERS, capacity_kg=200.0, kind="0.2%", **changes):
    """A rig of one cell per name, `nodes` in step; weighed by scale just now unless `weight_kg` is None."""
    channels, cells = {}, []
    for name, node in zip(names, nodes, strict=True):
        channel = channels[node] = channels.get(node, -1) + 1
        cells.append(Cell(name, node, channel, capacity_kg * KG, kind))
    weight = None if weight_kg is None else BodyWeight(weight_kg * KG, "scale", 0.3 * KG, T0)
    return RigParameters(tuple(cells), body_weight=weight, **changes)


def calibration(channels=4, at_us=T0 - HOUR_US, identity=1):
    return NodeCalibration(identity, at_us, (float(ZERO),) * channels, (SPAN,) * channels)


def counts_of(force_n):
    return np.round(np.asarray(force_n) / SPAN + ZERO).astype(np.int32)


def stamps(count, rate_hz=80.0, from_us=T0):
    return from_us + np.round(np.arange(count) * 1e6 / rate_hz).astype(np.int64)


def samples(force_n, *, node="bars", boot=1, first_index=0, utc_us=None, known=True):
    """Forces [S, C] in newtons as the counts of a calibrated node."""
    force_n = np.atleast_2d(np.asarray(force_n, float))
    utc_us = stamps(len(force_n)) if utc_us is None else utc_us
    return NodeSamples(
        node, boot, first_index, utc_us, counts_of(force_n), calibration(force_n.shape[1]) if known else None
    )


def cut(whole, edges):
    """The same samples in pieces, cut before each sample number of `edges`."""
    edges = [0, *sorted(set(edges)), len(whole.utc_us)]
    return [
        NodeSamples(
            whole.node,
            whole.boot,
            whole.first_index + a,
            whole.utc_us[a:b],
            whole.counts[a:b],
            whole.calibration,
        )
        for a, b in pairwise(edges)
        if b > a
    ]


def run(params, *batches, end=True):
    """Evaluate batches one after the other; the state and one evaluation as a list of parts."""
    state, parts = start(params), []
    for batch in batches:
        state, part = advance(state, batch if isinstance(batch, list) else [batch], params)
        parts.append(part)
    if end:
        state, part = flush(state, params)
        parts.append(part)
    return state, parts


def column(parts, name):
    return np.concatenate([getattr(part, name) for part in parts])


def steady(kg_per_cell, count=200):
    return np.tile(np.asarray(kg_per_cell, float) * KG, (count, 1))


def jump(recordings):
    """Time [s] and vertical force [N] of jump1.txt, 450 Hz."""
    table = np.loadtxt(recordings / "force_plates" / "jump1.txt", skiprows=1)
    return table[:, 0], table[:, 1]


def block_mean(time_s, value, rate_hz=80.0, phase=0.0):
    """Means over each 1/rate, as an averaging converter sees it; `phase` in 0..1 shifts the blocks."""
    number = np.floor(time_s * rate_hz + phase).astype(int)
    number -= number[0]
    size = np.bincount(number)
    return np.bincount(number, time_s) / size, np.bincount(number, value) / size


def kistler(recordings):
    """The four corners [S, 4] of kistler_fp_data.txt in newtons, 100 Hz."""
    table = np.loadtxt(recordings / "force_plates" / "kistler_fp_data.txt", skiprows=1)
    return 1000.0 * table[:, 5:9] / np.array([3.898, 3.889, 3.885, 3.891])


SHARES = np.array([0.35, 0.15, 0.3, 0.2])
