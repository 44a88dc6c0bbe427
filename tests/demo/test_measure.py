"""The demo's measurement, held against cases whose answer is known by hand."""

import numpy as np
from ashibar.core.trace import Trace
from ashibar.sim.measure import Arrival, latency_ms, quiet, spread


def arrival(at_us, index):
    return Arrival(at_us, {"n": index}, None, None)


def test_a_sample_counts_from_its_force_to_the_first_arrival_that_covers_it():
    arrivals = [arrival(1_150_000, 9), arrival(1_275_000, 19)]
    indices = np.array([0, 9, 10, 19])
    applied = np.array([1_000_000, 1_112_500, 1_125_000, 1_237_500])
    assert latency_ms(arrivals, "n", indices, applied, 0).tolist() == [150.0, 37.5, 150.0, 37.5]


def test_samples_from_before_the_client_attached_and_samples_not_covered_are_left_out():
    indices, applied = np.array([0, 1, 2]), np.array([100_000, 200_000, 300_000])
    assert latency_ms([arrival(400_000, 1)], "n", indices, applied, 150_000).tolist() == [200.0]


def test_an_arrival_that_runs_backwards_covers_nothing_new():
    arrivals = [arrival(1000, 5), arrival(2000, 3), arrival(3000, 8)]
    assert latency_ms(arrivals, "n", np.array([4, 6]), np.array([0, 0]), 0).tolist() == [1.0, 3.0]


def test_no_arrival_of_the_node_gives_no_latency_and_no_percentile():
    latencies = latency_ms([arrival(1, 1)], "other", np.array([0]), np.array([0]), 0)
    assert spread(latencies, (50, 99)) == {"p50": None, "p99": None, "max": None}


def test_quiet_is_a_second_within_half_a_kilogram():
    trace = Trace(np.array([0.0, 2.0, 2.1, 5.0]), np.array([[0.0], [0.0], [50.0], [50.0]]), ("0",))
    assert quiet(trace, np.array([1.5, 2.05, 2.5, 3.2])).tolist() == [True, False, False, True]


def test_percentiles_come_with_the_maximum():
    assert spread(np.array([1.0, 2.0, 3.0]), (50,)) == {"p50": 2.0, "max": 3.0}
