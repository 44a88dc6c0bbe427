"""The shapes of the REST answers, for validation and for the OpenAPI description. No behaviour lives here."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class _Model(BaseModel):
    model_config = ConfigDict(extra="allow", from_attributes=True)


class Problem(_Model):
    """An error in words."""

    expected: str = Field(description="What would have been right")
    came: str = Field(description="What was received or found")
    do: str = Field(description="What to do about it")


class Gap(_Model):
    """Samples that the record should have and has not, from and to inclusive; null: not known."""

    node: str
    boot: int
    reason: str = Field(description="pending: may still come; lost; not_sent: taken, never framed")
    from_seq: int
    to_seq: int | None
    from_index: int | None = Field(description="Sample index within the boot")
    to_index: int | None
    from_utc: float | None = Field(description="Seconds since 1970")
    to_utc: float | None
    samples: int | None


class BootAccount(_Model):
    """What became of the samples of one boot of one node."""

    node: str
    boot: int
    taken: int = Field(description="Samples the node has taken, by their index")
    stored: int
    pending: int
    lost: int
    not_sent: int
    duplicates: int
    late_frames: int


class Accounting(_Model):
    """Every sample taken: stored exactly once, or part of a counted gap."""

    samples_taken: int
    samples_stored: int
    missing: int = Field(description="pending + lost + not_sent")
    pending: int
    lost: int
    not_sent: int
    duplicates: int = Field(description="Samples received again and not stored again")
    late: int = Field(description="Frames that came after younger ones")
    unreadable: int = Field(description="Payloads that were no frame")
    gaps: list[Gap] = []
    boots: list[BootAccount] = []
    influxdb: dict[str, Any] | None = Field(None, description="How far the copy is, None without one")


class Health(_Model):
    """The process answers; `status` is `ok` or says in a word what it is busy with."""

    status: str


class Ready(_Model):
    """Whether the daemon can do its work, and if not, why."""

    ready: bool
    reasons: list[str]


class RigInfo(_Model):
    """One pair of bars over one table."""

    name: str


class NodeInfo(_Model):
    """One ESP32 as last heard of."""

    name: str
    state: str = Field(description="online, offline, lost or unknown")
    problems: list[str] = Field(default=[], description="What is wrong with it, in words")


class Quantity(_Model):
    """A measured quantity with its expanded uncertainty (k = 2), in newtons and as the display words it."""

    value_n: float
    u_n: float
    text: str
    u_text: str
    unit: str


class Hanger(_Model):
    """One hanger's force; none when its cell cannot be read."""

    name: str
    force: Quantity | None = None
    state: str


class Figure(_Model):
    """What the display shows, or why it shows nothing."""

    sample_utc_us: int | None = None
    age_s: float | None = None
    validity: str
    reason: str | None = None
    remedy: str | None = None
    flags: list[str] = []
    client: Quantity | None = Field(
        default=None, description="Load on client (max): an upper bound in statics"
    )
    bar: Quantity | None = None
    fraction: float | None = Field(default=None, description="Client load over body weight")
    body_weight: Quantity | None = None
    motion: bool = False
    hands_off: bool = False
    band: str | None = Field(default=None, description="Where the figure lies against the studio's band")
    left: Quantity | None = None
    right: Quantity | None = None
    hangers: list[Hanger] = []
    peak: Quantity | None = None
    spikes_dropped: int = 0
