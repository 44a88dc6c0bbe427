"""Signals for the tests of alarms and summaries: a rig of four hangers at 80 samples a second."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
from ashibar.core.alarm_bank import advance, first_bank
from ashibar.core.alarm_conditions import Limits, SignalBlock, plan_alarms
from ashibar.core.units import NEWTON_PER_KG as KG
from ashibar.core.validity import CellFault, Validity
from hypothesis import Phase
from hypothesis import strategies as st

CELLS = ("left-head", "left-foot", "right-head", "right-foot")
QUICK = {
    "deadline": None,
    "phases": [Phase.explicit, Phase.reuse, Phase.generate],
}  # shrinking arrays takes minutes
START_US = 1_790_000_000_000_000
SPACING_US = 12_500
WEIGHT_N = 70 * KG
LIMITS = Limits(
    (100 * KG,) * 4, (0.5,) * 4, client_limit_n=60 * KG, body_weight_n=WEIGHT_N, rig_rating_n=200 * KG
)
PLAN = plan_alarms(CELLS, LIMITS)


def signal(force_kg, *, times_us=None, fault=None, weight_n=WEIGHT_N, ripple_n=0.01):
    """A block from forces in kg [S, 4], or [S] for the sum; a ripple keeps cells from looking stuck."""
    force_kg = np.asarray(force_kg, dtype=float)
    if force_kg.ndim == 1:
        force_kg = np.repeat(force_kg[:, None] / 4, 4, axis=1)
    samples = len(force_kg)
    force_n = force_kg * KG + ripple_n * (np.arange(samples) % 2)[:, None]
    fault = np.zeros(force_n.shape, np.uint8) if fault is None else np.asarray(fault, np.uint8)
    force_n = np.where(fault != 0, np.nan, force_n)
    bar_n = force_n.sum(axis=1)
    if times_us is None:
        times_us = START_US + np.arange(samples) * SPACING_US
    validity = np.where(np.isnan(bar_n), Validity.FAULT, Validity.VALID).astype(np.uint8)
    return SignalBlock(
        np.asarray(times_us, np.int64), force_n, fault, bar_n, weight_n - bar_n, np.full(samples, 1.5 * KG),
        np.zeros(samples, bool), validity,
    )  # fmt: skip


def seconds(*parts):
    """Loads in kg, each held for some seconds: (load, seconds), ..."""
    return np.concatenate([np.full(round(duration * 80), float(load)) for load, duration in parts])


def missing(samples, cell, start_s, stop_s, code=CellFault.MISSING):
    """Faults [samples, 4] with `code` in one cell for a while."""
    fault = np.zeros((samples, 4), np.uint8)
    fault[round(start_s * 80) : round(stop_s * 80), cell] = code
    return fault


def run(block, cuts=(), plan=PLAN, bank=None):
    """Take a block, cut at these samples, through a bank; its end and all transitions."""
    bank = bank or first_bank(plan)
    lines = []
    edges = [0, *sorted(cuts), len(block.utc_us)]
    for start, stop in pairwise(edges):
        bank, more = advance(plan, bank, block.part(start, stop))
        lines += more
    return bank, lines


@st.composite
def wild_signals(draw):
    """Some seconds of anything: loads, blows, lost cells, stuck cells, noise, holes in time."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pieces = draw(
        st.lists(
            st.tuples(st.sampled_from([-20, 0, 9, 11, 20, 60, 90, 450]), st.integers(1, 500)),
            min_size=2,
            max_size=7,
        )
    )
    load = np.concatenate([np.full(count, float(kg)) for kg, count in pieces])
    samples = len(load)
    shares = rng.dirichlet(np.ones(4) * draw(st.sampled_from([0.3, 20.0])), size=1)
    force = load[:, None] * shares + rng.normal(0, draw(st.sampled_from([0.0, 0.02, 0.4])), (samples, 4))
    fault = np.zeros((samples, 4), np.uint8)
    for cell, start, length in draw(
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 999), st.integers(1, 90)), max_size=4)
    ):
        fault[start : start + length, cell] = draw(st.integers(1, 7))
    spacing = rng.integers(11_000, 15_000, samples)
    for place, hole_us in draw(
        st.lists(st.tuples(st.integers(0, 999), st.integers(90_000, 6_000_000)), max_size=3)
    ):
        spacing[place % samples] = hole_us
    block = signal(force, times_us=START_US + np.cumsum(spacing), fault=fault, ripple_n=0.0)
    return replace(block, motion=rng.random(samples) < 0.05)


def at_work(seed, samples):
    """Somebody who works: 20 to 60 kg on the bars, evenly, with strokes, a hand's tremor and real noise."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(samples) * SPACING_US / 1e6
    strokes_kg = 40 + rng.uniform(0, 15) * np.sin(2 * np.pi * time_s / rng.uniform(3, 9))
    shares = 0.25 + 0.05 * rng.uniform(-1, 1, 4)
    force_kg = strokes_kg[:, None] * shares + rng.normal(0, 0.01, (samples, 4))
    block = signal(
        force_kg, times_us=START_US + np.cumsum(rng.integers(12_300, 12_700, samples)), ripple_n=0.0
    )
    return replace(block, motion=np.repeat(rng.random(samples // 20 + 1) < 0.5, 20)[:samples])


@st.composite
def works(draw):
    """Somebody who works, with a jump of the load, a code or a hole in time here and there."""
    block = at_work(draw(st.integers(0, 2**32 - 1)), draw(st.integers(50, 1000)))
    for place, what in draw(st.lists(st.tuples(st.integers(0, 999), st.integers(0, 2)), max_size=2)):
        at = place % len(block.utc_us)
        if what == 0:
            block.force_n[at:] += 8 * KG
            block.bar_n[at:] += 32 * KG
            block.client_n[at:] -= 32 * KG
        elif what == 1:
            block.cell_fault[at, 1] = CellFault.MISSING
            block.force_n[at, 1] = block.bar_n[at] = block.client_n[at] = np.nan
        else:
            block.utc_us[at:] += 300_000
    return block
