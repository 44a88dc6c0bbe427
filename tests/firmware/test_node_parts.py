"""Small parts of the node: the weight report, the waits between connections, the memory of the backlog."""

import json
import random

import pytest
from firmware_paths import import_firmware
from hypothesis import given
from hypothesis import strategies as st

import_firmware()

from barnode import pool  # noqa: E402 - importable only from here on
from barnode.diagnose import Cell  # noqa: E402
from barnode.link import jittered_ms  # noqa: E402
from barnode.weight import Weight  # noqa: E402

SPANS = (0.000234, 0.000231, -0.000236, 0.000229)
ZEROS = (84213, -20000, 5, 0)
CALIBRATION = {
    "id": 7,
    "cells": [{"zero_count": z, "span_n_per_count": s} for z, s in zip(ZEROS, SPANS, strict=True)],
}
COUNT = st.integers(-0x800000, 0x7FFFFF)


def report(weight, samples, index=419):
    for counts in samples:
        weight.take(counts)
    return json.loads(weight.report(index))


@given(st.lists(st.tuples(COUNT, COUNT, COUNT, COUNT), min_size=1, max_size=64))
def test_the_means_and_extremes_agree_with_floating_point(samples):
    forces = [[s * (n - z) for n, z, s in zip(row, ZEROS, SPANS, strict=True)] for row in samples]
    told = report(Weight(4, 1, CALIBRATION), samples)
    means = [sum(column) / len(samples) for column in zip(*forces, strict=True)]
    assert told["cells_n"] == pytest.approx(means, abs=0.006)
    assert told["sum_n"] == pytest.approx(sum(means), abs=0.006)
    sums = [sum(row) for row in forces]
    # a cell's share is weighted to 1 in 2**11 of the largest span, and cut to 128 counts
    allowed = (
        4 * (128 * 0.000236) + sum(max(abs(f) for f in column) for column in zip(*forces, strict=True)) / 1800
    )
    assert told["min_n"] == pytest.approx(min(sums), abs=allowed)
    assert told["max_n"] == pytest.approx(max(sums), abs=allowed)
    assert (told["validity"], told["calibration"], told["index"]) == ("valid", 7, 419)


def test_a_cell_with_a_code_is_null_and_so_is_every_sum():
    told = report(Weight(4, 1, CALIBRATION), [(1, 2, 3, 4), (1, -0x800002, 3, 4)])
    assert told["cells_n"][1] is None
    assert None not in [told["cells_n"][i] for i in (0, 2, 3)]
    assert (told["sum_n"], told["min_n"], told["max_n"], told["validity"]) == (None, None, None, "fault")


def test_what_bars_carry_stays_known_by_the_cells_that_can_be_read_and_for_two_seconds_without():
    weight = Weight(4, 1, CALIBRATION)
    report(weight, [(84213 + 100000, -20000 + 100000, 5, 0)])
    assert weight.known_n == pytest.approx(46.5)
    report(weight, [(-0x800001, -20000 + 200000, 5, 0)])
    assert (weight.sum_n, weight.known_n) == (None, pytest.approx(46.2))
    for _ in range(8):
        report(weight, [(-0x800001,) * 4])
        assert weight.known_n == pytest.approx(46.2)
    report(weight, [(-0x800001,) * 4])
    assert weight.known_n is None


def test_an_uncalibrated_node_tells_no_force():
    weight = Weight(4, 1)
    told = report(weight, [(1, 2, 3, 4)])
    assert told["cells_n"] == [None] * 4
    assert (told["sum_n"], told["calibration"], told["validity"]) == (None, None, "uncalibrated")
    assert weight.known_n is None


def test_an_interval_without_samples_is_stale_and_a_fault_ends_with_its_interval():
    weight = Weight(4, 1, CALIBRATION)
    assert report(weight, [])["validity"] == "stale"
    assert report(weight, [(-0x800001,) * 4])["validity"] == "fault"
    assert report(weight, [(1, 2, 3, 4)])["validity"] == "valid"


def test_the_sums_stay_small_ints_of_the_chip():
    weight = Weight(16, 1, {"id": 1, "cells": [{"zero_count": -0x800000, "span_n_per_count": 1.0}] * 16})
    for _ in range(200):
        weight.take([0x7FFFFF] * 16)
    assert abs(weight._greatest) < 1 << 30
    assert all(abs(total) < 1 << 30 for total in weight._sums)


def test_waits_are_spread_by_a_quarter_either_way():
    waits = [jittered_ms(1000, byte) for byte in range(256)]
    assert (min(waits), max(waits)) == (750, 1250)


def test_the_backlog_takes_what_the_heap_can_spare_and_no_more_than_wanted():
    random.seed(2)
    for _ in range(200):
        free, wanted = random.randrange(0, 4_000_000), random.randrange(4, 2000)
        frames = pool.frames_that_fit(216, free, wanted)
        assert 4 <= frames <= wanted
        assert frames == 4 or frames * 216 + pool.RESERVE <= free


@given(st.lists(COUNT, min_size=1, max_size=64))
def test_the_mean_of_a_diagnosis_is_that_of_all_readings_to_half_a_count(counts):
    cell = Cell(20000)
    for count in [*counts, -0x800001]:
        cell.take(count)
    assert abs(cell.mean() - sum(counts) / len(counts)) <= 0.5


def test_the_mean_of_a_diagnosis_keeps_to_small_ints_over_its_whole_capture():
    cell = Cell(20000)
    for count in [-0x800000, *[0x7FFFFF] * 3000]:
        cell.take(count)
    assert max(abs(cell._high), abs(cell._low)) < 2**30
