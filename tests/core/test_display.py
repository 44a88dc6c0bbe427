"""From the full rate to digits: steps, rounding, hysteresis and the 1-euro filter."""

import numpy as np
import pytest
from ashibar.core.display import MINUS, digits, one_euro_weights
from ashibar.core.units import UNITS, newtons_per
from hypothesis import given
from hypothesis import strategies as st
from loads import KG, stamps


@pytest.mark.parametrize(
    ("value_n", "unit", "text"),
    [
        (38.6 * KG, "kg", "38.5"),
        (38.76 * KG, "kg", "39.0"),
        (38.6 * KG, "lb", "85"),
        (378.0, "N", "380"),
        (378.0, "%", "54"),
        (-20.0 * KG, "kg", f"{MINUS}20.0"),
        (-0.2 * KG, "kg", "0.0"),
    ],
)
def test_a_value_is_rounded_to_the_step_of_its_unit(value_n, unit, text):
    assert digits(value_n, 1.0, unit, body_weight_n=700.0).text == text


@pytest.mark.parametrize(("u_kg", "text"), [(1.5, "1.5"), (1.51, "2.0"), (0.01, "0.5"), (0.0, "0.0")])
def test_uncertainty_is_rounded_up(u_kg, text):
    assert digits(0.0, u_kg * KG, "kg").u_text == text


@given(st.floats(-2000, 2000), st.floats(0, 200), st.sampled_from(UNITS))
def test_the_text_is_within_half_a_step_and_the_uncertainty_never_understated(value_n, u_n, unit):
    made = digits(value_n, u_n, unit, body_weight_n=700.0)
    per, step = newtons_per(unit, 700.0), {"kg": 0.5, "lb": 1, "N": 5, "%": 1}[unit]
    assert abs(float(made.text.replace(MINUS, "-")) - value_n / per) <= step / 2 + 1e-9
    assert float(made.u_text) >= u_n / per - 1e-6
    assert made.unit == unit


def test_percent_without_a_body_weight_falls_back_to_kilograms():
    assert digits(10 * KG, 1.0, "%").unit == "kg"


def test_digits_do_not_flicker_at_the_edge_of_a_step():
    shown, texts = None, []
    for kg in (38.74, 38.76, 38.74, 38.78, 38.72):
        shown = digits(kg * KG, 1.0, "kg", shown=shown).text
        texts.append(shown)
    assert set(texts) == {"38.5"}
    assert digits(38.9 * KG, 1.0, "kg", shown=shown).text == "39.0"


def test_what_is_shown_now_in_no_number_is_no_hindrance():
    assert digits(38.9 * KG, 1.0, "kg", shown="NO DATA").text == "39.0"


def filtered(value, utc_us=None):
    utc_us = stamps(len(value)) if utc_us is None else utc_us
    return np.array(
        [one_euro_weights(utc_us[: n + 1], value[: n + 1]) @ value[: n + 1] for n in range(len(value))]
    )


def test_the_weights_add_up_to_one_and_are_not_negative():
    weights = one_euro_weights(stamps(80), np.random.default_rng(1).normal(0, 50, 80))
    assert weights.sum() == pytest.approx(1.0)
    assert weights.min() >= 0


def test_at_rest_the_filter_calms_the_noise():
    noise = np.random.default_rng(2).normal(0, 0.1 * KG, 240)
    assert filtered(noise)[80:].std() < 0.4 * noise.std()


def test_when_the_load_moves_the_filter_is_quick():
    step = np.where(np.arange(160) < 80, 0.0, 30 * KG)
    after = filtered(step)[80:]
    assert np.flatnonzero(after > 0.9 * 30 * KG)[0] <= 16, "nine tenths within 0.2 s"
    assert after.max() <= 30 * KG + 1e-6


def test_uneven_stamps_are_used_as_measured():
    utc_us = np.array([0, 12_500, 512_500]) + 1
    near, far = one_euro_weights(utc_us[:2], np.zeros(2)), one_euro_weights(utc_us[1:], np.zeros(2))
    assert far[-1] > near[-1]
