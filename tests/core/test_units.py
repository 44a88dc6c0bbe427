"""Units at the edges."""

import pytest
from ashibar.core.units import UNITS, from_newtons, newtons_per, to_newtons


@pytest.mark.parametrize(
    ("value", "unit", "newtons"), [(1, "kg", 9.80665), (1, "lb", 4.4482216152605), (3, "N", 3)]
)
def test_a_unit_is_its_newtons(value, unit, newtons):
    assert to_newtons(value, unit) == pytest.approx(newtons)


def test_percent_is_of_body_weight():
    assert from_newtons(350.0, "%", 700.0) == pytest.approx(50.0)


@pytest.mark.parametrize("unit", UNITS)
def test_there_and_back_is_the_same(unit):
    assert from_newtons(to_newtons(12.5, unit, 700.0), unit, 700.0) == pytest.approx(12.5)


def test_percent_without_a_body_weight_is_refused_with_what_to_do():
    with pytest.raises(ValueError, match="weigh in first"):
        newtons_per("%")


def test_an_unknown_unit_is_refused_by_name():
    with pytest.raises(ValueError, match="stone"):
        newtons_per("stone")
