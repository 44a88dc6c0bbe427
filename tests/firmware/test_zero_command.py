"""The session zero: still, unloaded, near and never far from the calibration's; else refused in words."""

import random

import pytest
from firmware_paths import import_firmware

import_firmware()

from barnode import zero, zero_window  # noqa: E402 - importable only from here on
from barnode.weight import Weight  # noqa: E402

SPAN = 0.0005
KG = round(9.80665 / SPAN)  # counts
NAMES = ("left-head", "left-foot", "right-head", "right-foot")


class Bench:
    """Four cells whose readings a test decides; 250 ms an interval."""

    def __init__(self, monkeypatch, *, capacity_n=1961.33, calibrated=True):
        self.now = 1000
        monkeypatch.setattr(zero_window, "now_ms", lambda: self.now)
        cells = [{"zero_count": 1000 * i, "span_n_per_count": SPAN * (-1) ** i} for i in range(4)]
        self.weight = Weight(4, 1, {"id": 1, "cells": cells} if calibrated else None)
        self.window = zero_window.ZeroWindow(self.weight, 4)
        named = [{"name": name, "capacity_n": capacity_n} for name in NAMES]
        self.rules = zero.Rules(self.window, self.weight, named)
        self.random = random.Random(4)

    def read(self, intervals=20, load=(0, 0, 0, 0), noise=60, passed_ms=250):
        """Intervals of 20 samples; `load` in counts from the calibration's zero."""
        for _ in range(intervals):
            for _ in range(20):
                self.weight.take([1000 * i + round(load[i] + self.random.gauss(0, noise)) for i in range(4)])
            self.weight.report(0)
            self.now += passed_ms
            self.window.note()
        return self

    def refusal(self, *, confirm=False):
        with pytest.raises(ValueError) as caught:
            self.rules.judge(confirm)
        return str(caught.value)


@pytest.fixture
def bench(monkeypatch):
    return Bench(monkeypatch)


def test_still_and_unloaded_gives_the_counts_of_the_last_five_seconds(bench):
    counts, offsets = bench.read(load=(50, -60, 0, 30)).rules.judge(False)
    assert counts == pytest.approx([50, 940, 2000, 3030], abs=12)
    assert offsets == pytest.approx([0.025, 0.03, 0, -0.015], abs=0.01)
    assert all(isinstance(count, int) for count in counts)


def test_less_than_five_seconds_are_refused(bench):
    assert "5 s of readings of all cells without a fault expected, 4 s came" in bench.read(18).refusal()


def test_a_fault_or_a_gap_begins_the_five_seconds_anew(bench):
    bench.read(15)
    bench.weight.take([-0x800001, 0, 0, 0])
    bench.weight.report(0)
    bench.window.note()
    assert "2 s came" in bench.read(9).refusal()
    bench.read(10)
    bench.now += 2000
    assert "0 s came" in bench.refusal()


def test_a_cell_that_failed_since_the_last_interval_is_refused_at_once(bench):
    bench.read(20).weight.take([0, -0x800001, 2000, 3000])
    assert "0 s came" in bench.refusal()


def test_what_moves_is_refused_by_name(bench):
    bench.read(10).read(10, load=(0, KG // 2, 0, 0))
    assert bench.refusal().startswith("left-foot: still within 0.25 kg for 5 s expected, it moved by 0.50 kg")


@pytest.mark.parametrize("load", [(2.2, 0, 0, 0), (0.7, -0.7, 0.7, -0.7), (2.5, 2.5, 0, 0)])
def test_more_than_two_kilograms_are_refused_even_when_confirmed(bench, load):
    bench.read(load=[kg * KG for kg in load])
    reason = bench.refusal(confirm=True)
    assert "free of load within 2 kg expected" in reason
    assert "take everything off" in reason


def test_between_one_and_two_kilograms_somebody_must_confirm(bench):
    bench.read(load=(1.5 * KG, 0, 0, 0))
    assert "then confirm" in bench.refusal()
    assert bench.rules.judge(True)[0][0] == pytest.approx(1.5 * KG, abs=30)


def test_zeros_cannot_creep_beyond_two_percent_of_capacity(bench):
    steps = 0
    while steps < 20:
        steps += 1
        bench.read(21, load=(steps * 0.9 * KG, 0, 0, 0))
        try:
            counts, _ = bench.rules.judge(False)
        except ValueError as error:
            assert "left-head: a drift of at most 2 % of its capacity" in str(error)  # noqa: PT017
            assert "recalibrate" in str(error)  # noqa: PT017
            break
        bench.weight.use_zero(counts)
    assert steps == 5  # 4 kg of a 200 kg cell


def test_a_cell_without_a_capacity_has_no_limit_and_so_no_zero(monkeypatch):
    assert "capacity_n expected" in Bench(monkeypatch, capacity_n=None).read().refusal()


def test_an_uncalibrated_node_has_nothing_to_zero(monkeypatch):
    assert "calibrate it first" in Bench(monkeypatch, calibrated=False).read().refusal()


@pytest.mark.parametrize(
    "request_fields", [{"confirm": 1}, {"unix_s": "now"}, {"unix_s": True}, {"unix_s": -1}]
)
def test_a_request_that_is_none_is_refused(request_fields):
    with pytest.raises(ValueError, match="expected"):
        zero.check(request_fields)
