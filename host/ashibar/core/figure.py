"""What the live page, the node's light and Home Assistant are shown: one figure, or the reason why there is none.

Does not evaluate samples and does not format numbers; it puts both together for one moment.
"""

import msgspec


class Reading(msgspec.Struct, frozen=True):
    """A quantity with its uncertainty: exact in newtons, and in words for a person.

    `u_n` is the expanded uncertainty U = 2u. `text` is rounded to the display step, `u_text` is rounded up to it.
    """

    value_n: float
    u_n: float
    text: str
    u_text: str
    unit: str


class HangerReading(msgspec.Struct, frozen=True):
    """One hanger: its force, or None and the state that says why."""

    name: str
    force: Reading | None
    state: str


class Figure(msgspec.Struct, frozen=True):
    """The state of a rig at one moment. `client` is None unless it may be shown as a number.

    `validity` is the worst condition that applies, `reason` and `remedy` say it in words; `flags` are all conditions
    that apply. `fraction` is client load over body weight. `age_s` is the age of the newest sample at the moment asked.
    """

    sample_utc_us: int | None
    age_s: float | None
    validity: str
    reason: str
    remedy: str
    flags: list[str]
    client: Reading | None
    bar: Reading | None
    fraction: float | None
    body_weight: Reading | None
    motion: bool
    hands_off: bool
    band: str | None
    left: Reading | None
    right: Reading | None
    hangers: list[HangerReading]
    peak: Reading | None
    spikes_dropped: int
