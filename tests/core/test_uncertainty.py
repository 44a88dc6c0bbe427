"""The uncertainty budget: what it says, that it holds, and that the script in hardware/ derives the same."""

import runpy
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from ashibar.core import uncertainty
from ashibar.core.uncertainty import BUDGET, bar_uncertainty, cell_uncertainty, client_uncertainty, rig_budget
from hypothesis import given
from hypothesis import strategies as st
from loads import KG, column, rig, run, samples, steady

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "hardware" / "error_budget.py"))


def u_bar_kg(kind, loads_kg, hours, capacity_kg=200.0):
    budget = rig_budget([(capacity_kg * KG, kind)] * len(loads_kg))
    force_n = np.array([loads_kg]) * KG
    return float(bar_uncertainty(force_n, np.array([hours * 3600.0]), budget)[0]) / KG


@pytest.mark.parametrize(("kind", "about_kg"), [("0.2%", 1.6), ("C3", 0.7)])
def test_four_cells_of_200_kg_and_a_scale_give_the_stated_figure(kind, about_kg):
    u_kg = np.hypot(u_bar_kg(kind, [7.5] * 4, hours=1), 0.3)
    assert 2 * u_kg == pytest.approx(about_kg, abs=0.05)


@given(
    kind=st.sampled_from(sorted(BUDGET)),
    loads_kg=st.lists(st.floats(-60, 150), min_size=1, max_size=8),
    hours=st.floats(0, 48),
    capacity_kg=st.sampled_from([50.0, 200.0, 500.0]),
    weight_kg=st.sampled_from([None, 0.3, 1.0]),
)
def test_the_script_in_hardware_and_the_daemon_agree(kind, loads_kg, hours, capacity_kg, weight_kg):
    by_script = SCRIPT["combined_kg"](SCRIPT["rows"](kind, capacity_kg, loads_kg, hours, weight_kg))
    by_daemon = np.hypot(u_bar_kg(kind, loads_kg, hours, capacity_kg), weight_kg or 0.0)
    assert by_script == pytest.approx(by_daemon, rel=1e-4)


def test_the_stream_uses_this_budget():
    _, parts = run(rig(), samples(steady([10, 5, 8, 7])))
    first = 3600.0 / 3600.0
    assert column(parts, "u_bar_n")[0] / KG == pytest.approx(u_bar_kg("0.2%", [10, 5, 8, 7], first), rel=1e-5)
    assert column(parts, "u_client_n")[0] == pytest.approx(np.hypot(column(parts, "u_bar_n")[0], 0.3 * KG))


def test_errors_shared_by_the_room_add_linearly_and_the_others_in_quadrature():
    budget, one = rig_budget([(1000.0, "0.2%")] * 4), rig_budget([(1000.0, "0.2%")])
    assert budget.drift_n == pytest.approx(4 * one.drift_n)
    assert budget.temperature_n == pytest.approx(4 * one.temperature_n)
    assert budget.constant_var_n2 == pytest.approx(4 * one.constant_var_n2)


def test_a_single_cell_knows_as_much_alone_as_a_rig_of_one():
    budget = rig_budget([(1000.0, "C3")])
    force_n, age_s = np.array([[100.0], [-40.0]]), np.array([0.0, 7200.0])
    assert cell_uncertainty(force_n, age_s, budget)[:, 0] == pytest.approx(
        bar_uncertainty(force_n, age_s, budget)
    )


def test_uncertainty_grows_with_the_age_of_the_zero_and_never_with_its_future():
    ages = [u_bar_kg("0.2%", [5] * 4, hours) for hours in (-1, 0, 0.5, 1, 4, 12)]
    assert ages[0] == ages[1]
    assert all(a < b for a, b in pairwise(ages[1:]))


def drawn(kind, hours, weight_u_kg, seed, rigs=10_000):
    """Truth, reading and stated uncertainty (newtons) of rigs drawn from the written budget."""
    random = np.random.default_rng(seed)
    capacity_n, terms = 200 * KG, {term.key: term for term in BUDGET[kind]}

    def draw(key, size):
        limit = terms[key].limit
        even = terms[key].shape == "rectangular"
        return random.uniform(-limit, limit, size) if even else random.normal(0, limit, size)

    weight_n = random.uniform(50, 110, rigs) * KG
    force_n = (random.uniform(0, 50, rigs) * KG)[:, None] * random.dirichlet([4] * 4, rigs)
    hours = random.uniform(*hours, rigs)
    read_n = force_n * np.cos(random.uniform(0, uncertainty.SWING_RAD, (rigs, 1)))
    read_n += force_n * sum(draw(key, (rigs, 4)) for key in ("span", "hysteresis", "creep"))
    read_n += capacity_n * draw("repeatability", (rigs, 4))
    warmed_k = uncertainty.ROOM_K * np.minimum(hours, 1.0)
    shared = draw("zero_drift", rigs) * np.sqrt(hours) + draw("zero_temperature", rigs) * warmed_k
    read_n += capacity_n * shared[:, None]
    said_n = weight_n + random.normal(0, weight_u_kg * KG, rigs)
    budget = rig_budget([(capacity_n, kind)] * 4)
    u_n = client_uncertainty(bar_uncertainty(read_n, hours * 3600, budget), weight_u_kg * KG)
    return weight_n - force_n.sum(axis=1), said_n - read_n.sum(axis=1), 2 * u_n


@pytest.mark.parametrize("kind", sorted(BUDGET))
@pytest.mark.parametrize("weight_u_kg", [0.3, 1.0])
@pytest.mark.parametrize("hours", [(0, 0.1), (1, 1), (0, 12)])
def test_ten_thousand_rigs_lie_within_the_stated_interval_and_seldom_above(kind, weight_u_kg, hours):
    truth_n, client_n, big_u_n = drawn(kind, hours, weight_u_kg, seed=7)
    covered = (np.abs(truth_n - client_n) <= big_u_n).mean()
    too_low = (truth_n > client_n + big_u_n).mean()
    assert 0.94 <= covered <= 0.97
    assert too_low < 0.025


def test_the_swing_of_the_hangers_makes_the_figure_too_high_not_too_low():
    truth_n, client_n, _ = drawn("C3", (0, 1), 0.3, seed=3)
    assert (client_n - truth_n).mean() > 0


def test_every_line_of_the_budget_has_a_known_scale_and_both_classes_the_same_lines():
    assert {term.key for term in BUDGET["0.2%"]} == {term.key for term in BUDGET["C3"]}
    for terms in BUDGET.values():
        assert all(term.limit > 0 for term in terms)
