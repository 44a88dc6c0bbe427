"""Body weight: plausible, sourced, and not for ever."""

import pytest
from ashibar.core.bodyweight import BodyWeight, ConfirmationNeeded, enter
from ashibar.core.units import NEWTON_PER_KG
from loads import HOUR_US, KG, T0


@pytest.mark.parametrize(("source", "u_kg"), [("scale", 0.3), ("typed", 1.0)])
def test_the_source_sets_the_uncertainty(source, u_kg):
    assert enter(70 * KG, source, T0).u_n == pytest.approx(u_kg * NEWTON_PER_KG)


@pytest.mark.parametrize("kg", [39.9, 150.1, 0, -70, 1000])
def test_no_adults_weight_is_refused(kg):
    with pytest.raises(ValueError, match="40 to 150 kg"):
        enter(kg * KG, "typed", T0)


@pytest.mark.parametrize("kg", [40.01, 149.99])
def test_the_limits_belong_to_it(kg):
    assert enter(kg * KG, "scale", T0).value_n == kg * KG


def test_a_jump_of_more_than_five_kilograms_asks_first():
    last = enter(70 * KG, "scale", T0)
    assert enter(74.9 * KG, "scale", T0, last=last).value_n == 74.9 * KG
    with pytest.raises(ConfirmationNeeded, match=r"5\.1 kg from the last, 70\.0 kg"):
        enter(75.1 * KG, "scale", T0, last=last)
    assert enter(75.1 * KG, "scale", T0, last=last, confirmed=True).value_n == 75.1 * KG


def test_confirming_does_not_make_the_implausible_plausible():
    with pytest.raises(ValueError, match="40 to 150 kg"):
        enter(170 * KG, "scale", T0, confirmed=True)


def test_a_hang_test_brings_its_own_uncertainty():
    with pytest.raises(ValueError, match="scatter"):
        enter(70 * KG, "hang", T0)
    assert enter(70 * KG, "hang", T0, u_n=4.0).u_n == 4.0


@pytest.mark.parametrize("changes", [{"source": "guess"}, {"u_n": 0.0}, {"value_n": float("nan")}])
def test_a_weight_without_source_size_or_uncertainty_is_refused(changes):
    with pytest.raises(ValueError, match="body weight"):
        BodyWeight(**{"value_n": 700.0, "source": "scale", "u_n": 3.0, "entered_at_us": T0, **changes})


def test_it_expires_after_twelve_hours():
    assert enter(70 * KG, "scale", T0).expires_at_us() == T0 + 12 * HOUR_US
