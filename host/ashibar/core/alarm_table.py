"""Every alarm the product has, each declared once. The studio sets the limits; none is shipped.

docs/alarms.md shows this table and is tested against it.
"""

from __future__ import annotations

from typing import NamedTuple

from ashibar.core.alarm import AlarmDefinition
from ashibar.core.alarm_states import TABLE, Priority, State
from ashibar.core.units import NEWTON_PER_KG
from ashibar.core.validity import UNREADABLE_US

DEADBAND_N = (
    2 * NEWTON_PER_KG
)  # twice the expanded uncertainty a good rig has: noise alone cannot toggle an alarm
SETTLE_S = 1.0  # an alarm that returned for less is one event to a person, not two
HOUR_S = 3600.0
LOW, MEDIUM, HIGH = Priority.LOW, Priority.MEDIUM, Priority.HIGH

CLIENT_NEAR = AlarmDefinition(
    key="client-near-limit", kind="limit", source="signal", per="rig",
    condition="client load (max) plus its uncertainty reaches the client limit",
    limit="client_limit_n", off_delay_s=SETTLE_S, deadband_n=DEADBAND_N, priority=LOW, shelve_limit_s=HOUR_S,
    message="Load on the client is near the limit",
    what_to_do="Take more weight on the bars.",
)  # fmt: skip
CLIENT_OVER = AlarmDefinition(
    key="client-over-limit", kind="limit", source="signal", per="rig",
    condition="client load (max) is above the client limit for 0.3 s",
    limit="client_limit_n", on_delay_s=0.3, off_delay_s=SETTLE_S, deadband_n=DEADBAND_N, priority=HIGH,
    realarm_after_s=30.0,
    message="Load on the client is over the limit",
    what_to_do="Take weight on the bars now, step off if need be, and ask the client.",
)  # fmt: skip
FALL = AlarmDefinition(
    key="fall", kind="limit", source="signal", per="rig",
    condition="bar load rises by more than 30 kg within 0.3 s, or exceeds 1.2 body weights",
    off_delay_s=SETTLE_S, deadband_n=DEADBAND_N, priority=HIGH,
    message="Slip or fall onto the bars",
    what_to_do="Stop. See to the client and the therapist, then look over the bars and anchors.",
)  # fmt: skip
OVERLOAD = AlarmDefinition(
    key="hanger-overload", kind="limit", source="signal", per="cell",
    condition="force in the hanger, pull or push, is above its working load",
    limit="working_load_n", deadband_n=DEADBAND_N, priority=HIGH, latching=True,
    message="A hanger carried more than its working load",
    what_to_do="Stop using the rig. Have hanger, anchor and cell inspected; record it by name.",
)  # fmt: skip
UNEVEN = AlarmDefinition(
    key="uneven-hangers", kind="technical", source="signal", per="bar",
    condition="one end of a loaded bar carries less than a tenth of it, for 30 s of loaded time",
    priority=MEDIUM, shelve_limit_s=HOUR_S,
    message="One end of a bar carries what its pair should",
    what_to_do="Look for a loosening anchor or a slipped hanger before the next session.",
)  # fmt: skip
RIG_OVER = AlarmDefinition(
    key="rig-over-rating", kind="limit", source="signal", per="rig",
    condition="bar load is above the engineer's rating of the rig",
    limit="rig_rating_n", off_delay_s=SETTLE_S, deadband_n=DEADBAND_N, priority=HIGH, realarm_after_s=30.0,
    message="The rig carries more than the engineer's rating",
    what_to_do="Take the load off. Have the rig inspected before it is used again.",
)  # fmt: skip
CELL_FAULT = AlarmDefinition(
    key="cell-fault", kind="technical", source="signal", per="cell",
    condition=(
        "the cell is unreadable (saturated, not ready, desync, absent, missing) for 0.2 s, reads one value "
        "for 5 s, or is three times as noisy as its record"
    ),
    on_delay_s=UNREADABLE_US / 1e6, off_delay_s=SETTLE_S, priority=MEDIUM, priority_in_session=HIGH,
    shelve_limit_s=HOUR_S,
    message="A load cell cannot be trusted",
    what_to_do="Do not rely on the figure. Check cable and connector of the cell named here.",
)  # fmt: skip
NO_DATA = AlarmDefinition(
    key="no-data", kind="technical", source="host", per="rig",
    condition="no fresh sample for 1 s in a session",
    priority=HIGH,
    message="No data from the bars",
    what_to_do="Work as if there were no display. Check the node's light, power and Wi-Fi.",
)  # fmt: skip
ZERO_DRIFT = AlarmDefinition(
    key="zero-drift", kind="technical", source="host", per="cell",
    condition="the zero moved by more than 2 % of the cell's capacity since calibration",
    priority=LOW, shelve_limit_s=24 * HOUR_S,
    message="The zero of a cell has drifted far",
    what_to_do="Inspect the hanger, then calibrate again.",
)  # fmt: skip
CALIBRATION_DUE = AlarmDefinition(
    key="calibration-due", kind="technical", source="host", per="rig",
    condition="the calibration is past its date, or there is none",
    priority=LOW, shelve_limit_s=24 * HOUR_S,
    message="Calibration is due", what_to_do="Calibrate the cells with known weights.",
)  # fmt: skip
INSPECTION_DUE = AlarmDefinition(
    key="inspection-due", kind="technical", source="host", per="rig",
    condition="an inspection or the engineer's rating is past its date, or there is none",
    priority=LOW, shelve_limit_s=24 * HOUR_S,
    message="Inspection is due", what_to_do="Have the rig inspected and record it by name.",
)  # fmt: skip
WEIGHT_EXPIRED = AlarmDefinition(
    key="weight-expired", kind="technical", source="host", per="rig",
    condition="the body weight in use is older than 12 h",
    priority=LOW, shelve_limit_s=HOUR_S,
    message="The therapist's body weight is out of date", what_to_do="Weigh again: scale or hang test.",
)  # fmt: skip
CLOCK_UNSURE = AlarmDefinition(
    key="clock-unsure", kind="technical", source="host", per="rig",
    condition="the bound of the time fit is above 0.5 s, or there is no fit",
    priority=LOW, shelve_limit_s=24 * HOUR_S,
    message="Time stamps are unsure", what_to_do="Check the host's time service and the node's Wi-Fi.",
)  # fmt: skip
STORE_FULL = AlarmDefinition(
    key="store-full", kind="technical", source="host", per="rig",
    condition=(
        "less than a tenth of the disk is free, or the journal's budget is too small for `raw_days`, cannot "
        "be kept by letting go, or nothing can be stored"
    ),
    priority=LOW, shelve_limit_s=HOUR_S,
    message="The store is nearly full", what_to_do="Free space, raise max_gb, or lower raw_days.",
)  # fmt: skip
SINK_BEHIND = AlarmDefinition(
    key="influxdb-behind", kind="technical", source="host", per="rig",
    condition="InfluxDB is more than 10 min behind the journal",
    priority=LOW, shelve_limit_s=24 * HOUR_S,
    message="InfluxDB is behind", what_to_do="Nothing is lost. See that InfluxDB runs and answers.",
)  # fmt: skip

ALARMS: tuple[AlarmDefinition, ...] = (
    CLIENT_NEAR, CLIENT_OVER, FALL, OVERLOAD, UNEVEN, RIG_OVER, CELL_FAULT, NO_DATA, ZERO_DRIFT,
    CALIBRATION_DUE, INSPECTION_DUE, WEIGHT_EXPIRED, CLOCK_UNSURE, STORE_FULL, SINK_BEHIND,
)  # fmt: skip
INCIDENT_ALARMS = (FALL.key, OVERLOAD.key, CLIENT_OVER.key)  # what an incident is captured for

ZERO_DRIFT_LIMIT = 0.02  # of capacity since calibration
CLOCK_BOUND_S = 0.5  # the age at which a cell counts as missing: beyond it stamps decide nothing
STORE_FREE_LIMIT = 0.1
SINK_LAG_S = 600.0
NO_DATA_AFTER_S = 1.0


class Standing(NamedTuple):
    """What the host knows beside the signal. Times in microseconds UTC or seconds; None: not known."""

    in_session: bool
    last_sample_us: int | None
    calibration_due_us: int | None
    inspection_due_us: int | None
    weight_expires_us: int | None  # None: no body weight in use, so none that expires
    clock_bound_s: float | None
    store_free_fraction: float | None
    sink_lag_s: float | None  # None: no InfluxDB configured
    zero_drift_fraction: tuple[float | None, ...]  # of capacity, a cell each


def standing_truths(standing: Standing, cells: tuple[str, ...], now_us: int) -> dict[str, bool | None]:
    """Give the condition of every alarm with source "host", by instance key; None: cannot be evaluated."""
    silent = standing.last_sample_us is None or now_us - standing.last_sample_us > NO_DATA_AFTER_S * 1e6
    due, weight = standing.calibration_due_us, standing.weight_expires_us
    free, inspection = standing.store_free_fraction, standing.inspection_due_us
    truths: dict[str, bool | None] = {
        NO_DATA.key: standing.in_session and silent,
        CALIBRATION_DUE.key: due is None or now_us > due,
        INSPECTION_DUE.key: inspection is None or now_us > inspection,
        WEIGHT_EXPIRED.key: weight is not None and now_us > weight,
        CLOCK_UNSURE.key: standing.clock_bound_s is None or standing.clock_bound_s > CLOCK_BOUND_S,
        STORE_FULL.key: None if free is None else free < STORE_FREE_LIMIT,
        SINK_BEHIND.key: standing.sink_lag_s is not None and standing.sink_lag_s > SINK_LAG_S,
    }
    for cell, drift in zip(cells, standing.zero_drift_fraction, strict=True):
        truths[f"{ZERO_DRIFT.key}:{cell}"] = None if drift is None else abs(drift) > ZERO_DRIFT_LIMIT
    return truths


def alarms_as_markdown() -> str:
    """Write the declarations as the table of docs/alarms.md."""
    lines = ["| alarm | condition | on, off delay | deadband | priority | more |", "|---" * 6 + "|"]
    for alarm in ALARMS:
        delays = f"{alarm.on_delay_s:g} s, {alarm.off_delay_s:g} s"
        deadband = f"{alarm.deadband_n / NEWTON_PER_KG:g} kg" if alarm.deadband_n else "none"
        lines.append(
            f"| **{alarm.key}** ({alarm.kind}, per {alarm.per}): {alarm.message}. {alarm.what_to_do} "
            f"| {alarm.condition} | {delays} | {deadband} | {_priority(alarm)} | {_more(alarm)} |"
        )
    return "\n".join(lines) + "\n"


def _priority(alarm: AlarmDefinition) -> str:
    if alarm.priority_in_session is None:
        return str(alarm.priority)
    return f"{alarm.priority}, {alarm.priority_in_session} in a session"


def _more(alarm: AlarmDefinition) -> str:
    notes = [f"armed by `{alarm.limit}`"] if alarm.limit else []
    notes += ["latched until an inspection is recorded"] if alarm.latching else []
    notes += [f"alarms again after {alarm.realarm_after_s:g} s"] if alarm.realarm_after_s else []
    hours = alarm.shelve_limit_s / HOUR_S
    notes += [f"shelved for at most {hours:g} h" if hours else "never shelved"]
    return "; ".join(notes)


def transitions_as_markdown() -> str:
    """Write the transition table of alarm_states.py as the table of docs/alarms.md."""
    lines = ["| state | what happens | if | then |", "|---|---|---|---|"]
    for row in TABLE:
        given = ", ".join(sorted(row.given)) or "always"
        lines.append(f"| {row.state} | {row.cause} | {given} | {_then(row.state, row.next)} |")
    return "\n".join(lines) + "\n"


def _then(before: State, after: State) -> str:
    return "stays" if after is before else str(after)
