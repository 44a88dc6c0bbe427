"""The rig's parameters: what is refused, what is derived."""

from dataclasses import replace

import numpy as np
import pytest
from ashibar.core.calibration import NodeCalibration
from ashibar.core.rig import Cell, RigParameters, Zero, left_right, shares
from loads import HANGERS, KG, rig, steady


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cells": ()}, "at least one cell"),
        ({"cells": (Cell("a", "n", 0, 0.0),)}, "capacity above 0"),
        ({"cells": (Cell("a", "n", 16, 1.0),)}, "channel"),
        ({"cells": (Cell("a", "n", 0, 1.0, "C9"),)}, "class"),
        ({"cells": (Cell("a", "n", 0, 1.0), Cell("a", "n", 1, 1.0))}, "each hanger once"),
        ({"cells": (Cell("a", "n", 0, 1.0), Cell("b", "n", 0, 1.0))}, "channel of a node once"),
        ({"zero": Zero("session", (1.0,), 0)}, "4 counts, got 1; zero again"),
        ({"unit": "stone"}, "stone"),
        ({"motion_n": 0.0}, "motion"),
        ({"motion_window_s": 60.0}, "motion"),
    ],
)
def test_what_does_not_fit_is_refused_and_named(changes, words):
    with pytest.raises(ValueError, match=words):
        replace(rig(), **changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id": 0}, "1 to 65535"),
        ({"zero_count": (1.0,)}, "1 zeros and 2 spans"),
        ({"zero_count": (1.0, float("nan"))}, "finite"),
        ({"span_n_per_count": (0.001, 0.0)}, "known load"),
    ],
)
def test_a_calibration_that_cannot_be_used_is_refused(changes, words):
    good = {"id": 1, "at_us": 0, "zero_count": (0.0, 0.0), "span_n_per_count": (0.001, -0.001)}
    assert NodeCalibration(**good).span[1] < 0
    with pytest.raises(ValueError, match=words):
        NodeCalibration(**{**good, **changes})


def test_left_and_right_are_the_sums_of_their_hangers():
    left, right = left_right(steady([10, 5, 8, -3], 2), rig())
    assert (left / KG).tolist() == pytest.approx([15, 15])
    assert (right / KG).tolist() == pytest.approx([5, 5])


def test_a_side_with_an_unknown_cell_is_unknown_and_the_other_is_not():
    force_n = steady([10, 5, 8, 3], 1)
    force_n[0, 1] = np.nan
    left, right = left_right(force_n, rig())
    assert np.isnan(left[0])
    assert right[0] == pytest.approx(11 * KG)


def test_a_rig_without_sides_has_none():
    params = rig(names=("a", "b", "c", "d"))
    assert np.isnan(left_right(steady([1, 1, 1, 1], 1), params)).all()


def test_shares_add_up_to_one_and_are_unknown_near_no_load():
    found = shares(np.vstack([steady([10, 5, 8, -3], 1), steady([0.1, 0.1, 0.1, 0.1], 1)]))
    assert found[0].tolist() == pytest.approx([0.5, 0.25, 0.4, -0.15])
    assert np.isnan(found[1]).all()


def test_cells_know_their_node_and_channel_in_the_rigs_order():
    params = RigParameters(tuple(Cell(HANGERS[i], "ab"[i % 2], i // 2, 1.0) for i in range(4)))
    assert params.nodes == ("a", "b")
    assert params.columns["b"].tolist() == [1, 3]
    assert params.channels["b"].tolist() == [0, 1]


def test_spikes_are_judged_only_where_the_whole_bar_is_on_one_node():
    assert rig().judged["bars"].tolist() == [True] * 4
    by_bar = rig(nodes=("a", "a", "b", "b"))
    assert by_bar.judged["a"].tolist() == [True, True]
    by_end = rig(nodes=("a", "b", "a", "b"))
    assert by_end.judged["a"].tolist() == [False, False]
    single = rig(nodes=("a", "a"), names=("left-head", "right-head"))
    assert single.judged["a"].tolist() == [False, False]
