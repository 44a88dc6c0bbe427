"""What the alarms and sessions of a rig are to be set to.

It reads no file: the studio's configuration, the session's terms and the engineer's rating come in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ashibar.core.alarm_conditions import Limits
from ashibar.core.session import SessionRules, Terms

if TYPE_CHECKING:
    from ashibar.core.bodyweight import BodyWeight
    from ashibar.core.config import Config, RigConfig


def rules_of(config: Config) -> SessionRules:
    """Return when a session counts as forgotten."""
    return SessionRules(ask_after_s=config.session.ask_after_s, close_after_s=config.session.close_after_s)


def terms_of(config: Config, weight: BodyWeight | None) -> Terms:
    """Return the studio's own terms for a person of this weight; None: no limit can be said."""
    limits = config.limits
    banded = limits.target_low is not None and limits.target_high is not None
    limit = None if weight is None or limits.client_limit is None else limits.client_limit * weight.value_n
    return Terms(
        body_weight=weight,
        client_limit_n=limit,
        target_low=limits.target_low if banded else None,
        target_high=limits.target_high if banded else None,
    )


def limits_of(rig: RigConfig, terms: Terms, rating_n: float | None, *, live: bool) -> Limits:
    """Return the figures the alarms compare with. Without a session there is no client to limit for."""
    return Limits(
        working_load_n=tuple(cell.working_load_n for cell in rig.cells),
        noise_record_n=tuple(cell.noise_n for cell in rig.cells),
        client_limit_n=terms.client_limit_n if live else None,
        body_weight_n=None if terms.body_weight is None else terms.body_weight.value_n,
        rig_rating_n=rating_n,
    )
