"""The one descriptor per measured quantity."""

import re

import pytest
from ashibar.core.quantities import QUANTITIES, hanger_force

ALL = [*QUANTITIES.values(), hanger_force("left-head")]


@pytest.mark.parametrize("quantity", ALL, ids=lambda quantity: quantity.key)
def test_names_fit_the_formats_they_are_for(quantity):
    assert re.fullmatch(r"[a-z][a-z0-9_]*", quantity.key)
    assert re.fullmatch(r"[a-z][a-z0-9_]*", quantity.influx_field)
    assert re.fullmatch(r"ashibar_[a-z0-9_]+", quantity.prometheus)
    assert quantity.influx_type in {"float", "integer", "boolean", "string"}
    assert "pressure" not in f"{quantity}".lower()


@pytest.mark.parametrize("quantity", ALL, ids=lambda quantity: quantity.key)
def test_a_unit_stands_in_the_column_header(quantity):
    assert quantity.csv_header.endswith(f"[{quantity.unit}]") == bool(quantity.unit)


@pytest.mark.parametrize("attribute", ["key", "influx_field", "prometheus", "csv_header", "label"])
def test_no_two_quantities_share_a_name(attribute):
    names = [getattr(quantity, attribute) for quantity in ALL]
    assert len(set(names)) == len(names)


def test_client_load_is_called_an_upper_bound():
    assert QUANTITIES["client_load"].label == "load on client (max)"
