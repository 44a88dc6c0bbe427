"""The session of one rig on record: entries, rows, and the state a restart finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ashibar.core import decoding, session
from ashibar.core.session import Clock, Loaded, Phase, SessionState
from ashibar.io.journal import safety
from ashibar.service.desk import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ashibar.core.session import Event, Session, SessionRecord, SessionRules
    from ashibar.service.record import Record

US_PER_S = 1_000_000


class RigSession:
    """One rig's session. `changed` is called after each record, with that record. One thread."""

    def __init__(
        self,
        rig: str,
        rules: SessionRules,
        record: Record,
        kept: str | None,
        changed: Callable[[SessionRecord], None],
    ) -> None:
        self.rules = rules
        self._rig = rig
        self._record = record
        self._changed = changed
        self.newest_us: int | None = None  # the newest sample seen, final
        self.state = SessionState(rig=rig)
        if kept is not None:
            self.state = decoding.from_json(kept, SessionState)

    @property
    def running(self) -> Session | None:
        """The session that runs, None where none does."""
        return self.state.session if self.state.phase in (Phase.LIVE, Phase.ASKING) else None

    @property
    def newest(self) -> Session | None:
        """The newest session, also when it has ended."""
        return self.state.session

    def require(self, number: str) -> Session:
        """Return the running session if it has this id; NotFoundError if not."""
        running = self.running
        if running is None or running.id != number:
            runs = "none" if running is None else running.id
            raise NotFoundError(
                f"the running session was expected ({runs}), {number!r} came: choose that one"
            )
        return running

    def step(self, event: Event, now_us: int) -> None:
        """Take an event. RefusedError where it is not possible; nothing is changed then."""
        state, records = session.step(self.rules, self.state, event, now_us)
        before, self.state = self.state, state
        for line in records:
            told = {"rig": self._rig, "session": line.session, "from": line.source}
            data = told | {"after_us": self.newest_us} | line.data
            self._record.entry(line.kind, line.by, data, utc_us=line.at_us)
        if records:
            self.keep()
            if state.session is not None and state.session != before.session:
                self._row(state.session)
        for line in records:
            self._changed(line)

    def loaded(self, runs: list[Loaded], now_us: int) -> None:
        """Take loads that the signal shows, each at its own time."""
        for run in runs:
            self.step(run, now_us)

    def tick(self, now_us: int) -> None:
        """Let time pass."""
        self.step(Clock(), now_us)

    def keep(self) -> None:
        """Keep the state for a restart."""
        self._record.state(self._rig, "session", self.state)

    def page(self, now_us: int) -> dict[str, Any]:
        """Return what the page shows of the session."""
        state, running = self.state, self.running
        closes_us = None
        if state.phase is Phase.ASKING:
            quiet_s = self.rules.ask_after_s + self.rules.close_after_s
            closes_us = state.quiet_since_us + round(quiet_s * US_PER_S)
        shown = None
        if running is not None:
            names = ("id", "therapist", "client_code", "started_us")
            shown = {name: getattr(running, name) for name in names}
        return {
            "rig": self._rig,
            "phase": str(state.phase),
            "session": shown,
            "closes_us": closes_us,
            "unattended_since_us": state.unattended_from_us,
            "elapsed_s": None if running is None else max(0.0, (now_us - running.started_us) / US_PER_S),
        }

    def _row(self, made: Session) -> None:
        self._record.row(
            safety.SESSION,
            made.id,
            made.rig,
            made.therapist,
            made.client_code,
            made.started_us,
            made.ended_us,
            msgspec.json.encode(made).decode(),
        )


def answer(made: Session, summary: str | None = None) -> dict[str, Any]:
    """Return a session as the interfaces say it."""
    told: dict[str, Any] = msgspec.to_builtins(made)
    return told | {"summary": None if summary is None else msgspec.json.decode(summary)}
