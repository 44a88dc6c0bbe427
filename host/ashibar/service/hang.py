"""The hang test of one rig as it runs, from its begin to the entry with its verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ashibar.core import hangtest
from ashibar.core.records import RefusedError, require_name

if TYPE_CHECKING:
    from ashibar.core.evaluate import Evaluation
    from ashibar.core.hangtest import HangTest
    from ashibar.core.requests import HangTestStart
    from ashibar.service.record import Record
    from ashibar.service.rig_service import RigService

SILENT_US: Final = 3_000_000  # without samples nobody is weighed


class RigHangTest:
    """The newest hang test, None before the first. One thread."""

    def __init__(self, rig: str, record: Record) -> None:
        self._rig = rig
        self._record = record
        self._test: HangTest | None = None
        self._asked: HangTestStart | None = None
        self._used = False

    @property
    def going_on(self) -> bool:
        """Whether somebody hangs, or is about to."""
        return self._test is not None and not self._test.over

    def begin(self, asked: HangTestStart, now_us: int) -> dict[str, Any]:
        """Begin one. RefusedError while another is going on, or where nobody signed for it."""
        require_name(asked.by, "a hang test")
        require_name(asked.therapist, "a hang test: the therapist")
        if self._test is not None and not self._test.over:
            raise RefusedError("no hang test going on was expected, one is: finish or cancel it first.")
        self._asked, self._used = asked, False
        self._test = hangtest.begin(now_us, asked.scale_n)
        return self.answer() or {}

    def cancel(self, by: str, now_us: int) -> dict[str, Any]:
        """Give it up. RefusedError where none is going on."""
        require_name(by, "to cancel a hang test")
        if self._test is None or self._test.over:
            raise RefusedError("a hang test going on was expected, there is none: nothing to cancel.")
        self._end(hangtest.cancel(self._test), now_us)
        return self.answer() or {}

    def take(self, seen: Evaluation, rig: RigService) -> None:
        """Follow the samples; a passed test is used as the body weight if that was asked for."""
        if self._test is None or self._test.over or self._asked is None:
            return
        self._test = hangtest.advance(self._test, seen, rig.live.params.names)
        if not self._test.over:
            return
        asked, at_us = self._asked, int(seen.utc_us[-1])
        self._used = asked.use and self._test.phase == "passed"
        self._end(self._test, rig.now_us)
        if self._used:
            rig.use_weight(asked.therapist, self._test.body_weight(at_us), asked.by, asked.source)

    def tick(self, newest_us: int | None, now_us: int) -> None:
        """End a test that hears nothing any more."""
        if self._test is None or self._test.over:
            return
        heard_us = max(newest_us or 0, self._test.began_at_us)
        if now_us - heard_us > SILENT_US:
            self._end(hangtest.cancel(self._test), now_us)

    def answer(self) -> dict[str, Any] | None:
        """Return the test as the interfaces say it."""
        test, asked = self._test, self._asked
        if test is None or asked is None:
            return None
        names = ("phase", "say", "progress", "scale_n", "median_n", "mad_n", "u_n", "reason", "remedy")
        told = {name: getattr(test, name) for name in names}
        return {"rig": self._rig, "therapist": asked.therapist, "used": self._used} | told

    def _end(self, test: HangTest, now_us: int) -> None:
        self._test = test
        if self._asked is not None:
            data = (self.answer() or {}) | {"from": self._asked.source}
            self._record.entry("hang-test", self._asked.by, data, utc_us=now_us)
