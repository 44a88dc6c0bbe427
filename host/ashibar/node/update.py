"""Updates one node over the air: sends what is missing in chunks, has it checked, waits for the verdict.

It can be stopped and started again at any time: what the node has already got is not sent again.
"""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ashibar.node.application import MANIFEST, Application
from ashibar.node.commander import Commander, NoReply, Refused
from ashibar.node.errors import NodeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ashibar.core.messages import About

MAINTENANCE_MIN: Final = 30
VERDICT_WITHIN_S: Final = 240.0  # two boots on trial, each with 120 s to become healthy
_ATTEMPTS: Final = 5
_RETRY_AFTER_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """`updated`: the node runs the new version and has confirmed it; `text` says it for a person."""

    updated: bool
    text: str


def update(
    commander: Commander,
    application: Application,
    *,
    progress: Callable[[int, int], None] = lambda _sent, _of: None,
    verdict_within_s: float = VERDICT_WITHIN_S,
) -> Outcome:
    """Bring `application` onto the node. Raises NodeError when the node refuses or stays silent."""
    before = commander.about(lambda _: True, 5.0)
    if before is None:
        raise NodeError(
            f"{commander.node}: expected its `about`, none came: check studio and name of the node"
        )
    if before.manifest == application.digest:
        return Outcome(updated=True, text=f"{commander.node} runs {application.version} already")
    commander.ask("maintenance", on=True, minutes=MAINTENANCE_MIN)
    _send_all(commander, application, progress)
    commander.ask("reboot")
    return _verdict(commander, application, before, verdict_within_s)


def _send_all(commander: Commander, application: Application, progress: Callable[[int, int], None]) -> None:
    for attempt in range(_ATTEMPTS):
        try:
            _send(commander, application, progress)
            commander.ask("update", 30.0, step="finish")
        except NoReply:
            if attempt == _ATTEMPTS - 1:
                raise
            time.sleep(_RETRY_AFTER_S)
        except Refused as refusal:
            # the node removed what was damaged, or has restarted; everything else is a person's to solve
            if attempt == _ATTEMPTS - 1 or not ("again" in str(refusal) or "begin" in str(refusal)):
                raise
        else:
            return


def _send(commander: Commander, application: Application, progress: Callable[[int, int], None]) -> None:
    chunk = int(commander.ask("update", 30.0, step="begin", manifest=application.digest)["chunk"])
    files = [(MANIFEST, application.manifest), *sorted(application.files.items())]
    total, done = sum(len(data) for _, data in files), 0
    for path, data in files:
        have = int(commander.ask("update", step="have", path=path)["have"])
        if not data:  # it has to be there all the same
            commander.ask("update", step="put", path=path, at=0, data="")
        while have < len(data):
            progress(done + have, total)
            part = base64.b64encode(data[have : have + chunk]).decode()
            have = int(commander.ask("update", step="put", path=path, at=have, data=part)["have"])
        done += len(data)
    progress(total, total)


def _verdict(commander: Commander, application: Application, before: About, within_s: float) -> Outcome:
    def decided(about: About) -> bool:
        return about.boot != before.boot and about.update is not None and not about.update.on_trial

    about = commander.about(decided, within_s)
    name, version = commander.node, application.version
    if about is None:
        return Outcome(
            updated=False, text=f"{name} has not confirmed {version} within {within_s:g} s: look at it"
        )
    if about.manifest == application.digest:
        return Outcome(updated=True, text=f"{name} runs {version}")
    return Outcome(
        updated=False, text=f"{name} has returned to {about.firmware}: {version} did not become healthy on it"
    )
