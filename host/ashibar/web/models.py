"""The shapes of the REST answers, for validation and for the OpenAPI description. No behaviour lives here."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _Model(BaseModel):
    model_config = ConfigDict(extra="allow", from_attributes=True)


class Problem(_Model):
    """An error in words."""

    expected: str = Field(description="What would have been right")
    came: str = Field(description="What was received or found")
    do: str = Field(description="What to do about it")


class Gap(_Model):
    """A stretch of samples that the record should have and has not, both ends included."""

    first: int = Field(description="Sample index within the boot")
    last: int


class BootAccount(_Model):
    """What became of the samples of one boot of one node."""

    node: str
    boot: int
    taken: int = Field(description="Samples the node has taken, by their index")
    stored: int
    duplicate: int
    missing: int
    late: int
    gaps: list[Gap] = []


class Accounting(_Model):
    """Every sample taken: stored exactly once, or a counted gap."""

    taken: int
    stored: int
    duplicate: int
    missing: int
    late: int
    boots: list[BootAccount] = []


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
    client: Quantity | None = Field(default=None, description="Load on client (max): an upper bound in statics")
    bar: Quantity | None = None
    fraction: float | None = Field(default=None, description="Client load over body weight")
    body_weight: Quantity | None = None
    hangers: list[Hanger] = []
