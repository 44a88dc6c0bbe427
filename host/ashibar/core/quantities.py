"""One descriptor per measured quantity: its names on the page and in every format.

Page, Home Assistant, InfluxDB, Prometheus and CSV take them from here; no value passes through.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Quantity:
    """What a quantity is called everywhere.

    `unit` is the SI unit it is stored in; `precision` is decimals in it. `influx_type` is `float`, `integer`,
    `boolean` or `string`; `device_class` is Home Assistant's, None where it has none.
    """

    key: str
    label: str
    unit: str
    precision: int
    influx_field: str
    influx_type: str
    prometheus: str
    device_class: str | None
    csv_header: str


def _force(key: str, label: str) -> Quantity:
    return Quantity(
        key=key,
        label=label,
        unit="N",
        precision=2,
        influx_field=f"{key}_n",
        influx_type="float",
        prometheus=f"ashibar_{key}_newtons",
        device_class="weight",
        csv_header=f"{key} [N]",
    )


CLIENT_LOAD: Final = _force("client_load", "load on client (max)")
CLIENT_LOAD_U: Final = _force("client_load_u", "standard uncertainty of load on client")
BAR_LOAD: Final = _force("bar_load", "bar load")
BAR_LOAD_U: Final = _force("bar_load_u", "standard uncertainty of bar load")
LEFT_LOAD: Final = _force("left_load", "left bar")
RIGHT_LOAD: Final = _force("right_load", "right bar")
BODY_WEIGHT: Final = _force("body_weight", "body weight")
FRACTION: Final = Quantity(
    "client_fraction",
    "share of body weight",
    "1",
    3,
    "client_fraction",
    "float",
    "ashibar_client_fraction_ratio",
    None,
    "client_fraction [1]",
)
MOTION: Final = Quantity(
    "motion",
    "moving",
    "",
    0,
    "motion",
    "boolean",
    "ashibar_motion",
    "moving",
    "motion",
)
VALIDITY: Final = Quantity(
    "validity",
    "validity",
    "",
    0,
    "validity",
    "string",
    "ashibar_validity",
    "enum",
    "validity",
)
AGE: Final = Quantity(
    "age", "age of the newest sample", "s", 2, "age_s", "float", "ashibar_age_seconds", "duration", "age [s]"
)
SPIKES: Final = Quantity(
    "spikes_dropped", "spikes dropped", "", 0, "spikes_dropped", "integer", "ashibar_spikes_dropped_total",
    None, "spikes_dropped",
)  # fmt: skip

QUANTITIES: Final[dict[str, Quantity]] = {
    quantity.key: quantity
    for quantity in (
        CLIENT_LOAD, CLIENT_LOAD_U, BAR_LOAD, BAR_LOAD_U, LEFT_LOAD, RIGHT_LOAD, BODY_WEIGHT, FRACTION,
        MOTION, VALIDITY, AGE, SPIKES,
    )
}  # fmt: skip


def hanger_force(name: str) -> Quantity:
    """Return the descriptor of one hanger's force, `name` such as `left-head`."""
    return _force(name.replace("-", "_"), name.replace("-", " "))
