"""Traces: read from CSV with mistakes named by line and column, averaged exactly."""

import contextlib

import numpy as np
import pytest
from ashibar.core.trace import Trace, TraceError, parse_trace
from hypothesis import given
from hypothesis import strategies as st

GOOD = "t_s,cell_0_n,cell_1_n\n0,1,-2\n0.5,3,-4\n2,3,6\n"


def test_a_trace_is_read_with_its_cells_in_order():
    trace = parse_trace(GOOD)
    assert trace.names == ("0", "1")
    assert trace.times_s.tolist() == [0, 0.5, 2]
    assert trace.forces_n.tolist() == [[1, -2], [3, -4], [3, 6]]
    assert trace.total_n.tolist() == [-1, -1, 9]
    assert trace.duration_s == 2


def test_cells_may_be_named_and_a_byte_order_mark_and_empty_lines_do_no_harm():
    trace = parse_trace("\ufefft_s, cell_left-head_n\r\n\r\n0,1\r\n\r\n1,2\r\n")
    assert trace.names == ("left-head",)
    assert trace.forces_n.tolist() == [[1], [2]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["line 1", "t_s,cell_0_n"]),
        ("0,1\n1,2\n", ["line 1", "t_s,cell_0_n", "0,1"]),
        ("t_s,cell_0_n,force\n0,1,2\n", ["line 1, column 3", "cell_1_n", "force"]),
        ("t_s\n0\n", ["line 1", "1 to 4", "0"]),
        ("t_s," + ",".join(f"cell_{k}_n" for k in range(5)) + "\n0,1,2,3,4,5\n", ["1 to 4", "5"]),
        ("t_s,cell_0_n,cell_2_n\n0,1,2\n", ["missing column cell_1_n"]),
        ("t_s,cell_0_n,cell_0_n\n0,1,2\n", ["line 1", "different"]),
        ("t_s,cell_0_n\n", ["rows of numbers"]),
        (GOOD + "3,1\n", ["line 5", "column cell_1_n", "3 values", "2 values"]),
        (GOOD + "3,1,2,3\n", ["line 5", "3 values", "4 values"]),
        (GOOD + "3,1,heavy\n", ["line 5", "column cell_1_n", "'heavy'"]),
        (GOOD + "3,nan,1\n", ["line 5", "column cell_0_n", "'nan'"]),
        (GOOD + "3,1,inf\n", ["line 5", "column cell_1_n", "'inf'"]),
        (GOOD + "3,1,\n", ["line 5", "column cell_1_n", "''"]),
        (GOOD + "1.5,1,1\n", ["line 5", "column t_s", "from 2 s on", "1.5", "backwards"]),
        (GOOD + "3,1,2e6\n", ["line 5", "column cell_1_n", "newtons"]),
    ],
)
def test_a_mistake_is_named_with_its_place(text, words):
    with pytest.raises(TraceError) as caught:
        parse_trace(text)
    for word in words:
        assert word in str(caught.value)


@given(st.text())
def test_any_text_is_a_trace_or_a_named_mistake(text):
    with contextlib.suppress(TraceError):
        assert parse_trace(text).cells >= 1


def test_the_average_of_a_ramp_is_its_middle():
    ramp = Trace(np.array([0.0, 10.0]), np.array([[0.0, 5.0], [100.0, 5.0]]), ("0", "1"))
    assert ramp.mean_over([0, 2, 3.25], [10, 4, 3.25]).tolist() == [[50, 5], [30, 5], [32.5, 5]]


def test_before_the_start_and_after_the_end_the_force_is_held():
    ramp = Trace(np.array([1.0, 2.0]), np.array([[10.0], [20.0]]), ("0",))
    assert ramp.mean_over([-5, 3, 0], [0, 9, 3])[:, 0] == pytest.approx([10, 20, 15])
    assert ramp.at([0, 9])[:, 0].tolist() == [10, 20]


def test_a_step_at_one_instant_is_kept():
    step = Trace(np.array([0.0, 1.0, 1.0, 2.0]), np.array([[0.0], [0.0], [10.0], [10.0]]), ("0",))
    assert step.mean_over(0.5, 1.5)[0, 0] == pytest.approx(5)


@given(
    st.lists(st.tuples(st.floats(0.001, 1), st.floats(-2000, 2000)), min_size=2, max_size=20),
    st.floats(-1, 5),
    st.floats(0.01, 3),
    st.floats(0.01, 0.99),
)
def test_averages_of_two_parts_make_the_average_of_the_whole(points, start, length, share):
    times = np.cumsum([step for step, _ in points])
    trace = Trace(times, np.array([[force] for _, force in points]), ("0",))
    cut, end = start + share * length, start + length
    parts = trace.mean_over([start, cut], [cut, end])[:, 0] @ [share, 1 - share]
    assert parts == pytest.approx(trace.mean_over(start, end)[0, 0], abs=1e-6)


def test_the_average_agrees_with_a_fine_sum():
    random = np.random.default_rng(1)
    times = np.cumsum(random.uniform(0.01, 0.2, 50))
    trace = Trace(times, random.normal(0, 300, (50, 1)), ("0",))
    fine = np.linspace(1.0, 3.7, 2_000_001)
    assert trace.mean_over(1.0, 3.7)[0, 0] == pytest.approx(trace.at(fine).mean(), abs=0.01)


def test_resampling_keeps_the_line():
    trace = parse_trace(GOOD).resample(4)
    assert trace.times_s.tolist() == [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2]
    assert trace.forces_n[1].tolist() == [2, -3]


@pytest.mark.parametrize(
    ("times", "forces"),
    [([0, 1], [[1]]), ([1, 0], [[1], [1]]), ([0, np.nan], [[1], [1]]), ([], np.empty((0, 1)))],
)
def test_arrays_that_are_no_trace_are_refused(times, forces):
    with pytest.raises(TraceError, match="expected"):
        Trace(np.array(times), np.array(forces), ("0",))
