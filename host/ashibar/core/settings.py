"""What the alarms and sessions of a rig are set to, as kept for those who recompute the record."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from ashibar.core import chain, decoding
from ashibar.core.alarm_conditions import Limits  # noqa: TC001 - msgspec reads the annotation
from ashibar.core.session import SessionRules  # noqa: TC001 - msgspec reads the annotation


class Settings(msgspec.Struct, frozen=True):
    """The stored form. Limits in newtons, one a cell in the order of `cells`."""

    cells: tuple[str, ...]
    limits: Limits
    rules: SessionRules
    live: bool


def stored(settings: Settings) -> tuple[str, str]:
    """Return SHA-256 (hex) and canonical JSON of settings."""
    plain: Any = msgspec.to_builtins(settings)
    text = chain.canonical(plain)
    return hashlib.sha256(text).hexdigest(), text.decode()


def from_stored(record: str) -> Settings:
    """Return the settings of a record; msgspec.ValidationError if it is none."""
    return decoding.from_json(record, Settings)
