"""The hang test: a person hangs from the bars, feet clear, and the bars weigh them. A guided, pure procedure.

It checks the rig against the scale, and gives a body weight where there is no scale.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from ashibar.core.bodyweight import MAX_N, MIN_N, BodyWeight
from ashibar.core.units import NEWTON_PER_KG
from ashibar.core.validity import UNREADABLE_US, CellFault, Validity, fault_reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ashibar.core.evaluate import Evaluation

HANG_S: Final = 10.0
USED_S: Final = 5.0  # the last of them: the first go into swinging
HANGING_N: Final = 30 * NEWTON_PER_KG  # nobody to be weighed is lighter, hands at rest are
WAIT_S: Final = 60.0  # then the procedure ends by itself
GAP_S: Final = 0.5
SPREAD_N: Final = 0.5 * NEWTON_PER_KG  # median absolute deviation at most
APART_N: Final = 1.0 * NEWTON_PER_KG  # from the scale at most, or
APART_RELATIVE: Final = 0.015  # this share of it, whichever is more
NORMAL_PER_MAD: Final = 1.4826  # standard deviation of a normal distribution over its MAD

Phase = Literal["waiting", "hanging", "passed", "failed"]

SAY: Final[dict[Phase, str]] = {
    "waiting": "Take both bars and lift both feet clear of everything.",
    "hanging": "Hang still, feet clear, until ten seconds are over.",
    "passed": "Done. Put your feet down.",
    "failed": "Put your feet down.",
}


@dataclass(frozen=True, slots=True)
class HangTest:
    """Where the procedure stands: what to say, and after it pass or fail with the reason and the remedy.

    `scale_n` is what a scale said, None without one. `median_n`, `mad_n` and `u_n` (standard) are newtons,
    None before the end. `progress` runs from 0 to 1 while hanging. `unread_us` is since when samples cannot
    be read, None while they can.
    """

    phase: Phase
    began_at_us: int
    scale_n: float | None = None
    since_us: int | None = None
    utc_us: NDArray[np.int64] | None = None
    bar_n: NDArray[np.float64] | None = None
    unread_us: int | None = None
    progress: float = 0.0
    median_n: float | None = None
    mad_n: float | None = None
    u_n: float | None = None
    reason: str = ""
    remedy: str = ""

    @property
    def say(self) -> str:
        """What to tell the person now."""
        return SAY[self.phase]

    @property
    def over(self) -> bool:
        """Whether it has passed or failed."""
        return self.phase in {"passed", "failed"}

    def body_weight(self, at_us: int) -> BodyWeight:
        """Return the body weight a passed test gives; ValueError of any other."""
        if self.phase != "passed" or self.median_n is None or self.u_n is None:
            raise ValueError(f"hang test: expected one that passed, got one that {self.phase}: hang again")
        return BodyWeight(self.median_n, "hang", self.u_n, at_us)


def begin(now_us: int, scale_n: float | None = None) -> HangTest:
    """Return a test that waits for the person to hang; None where there is no scale.

    `scale_n` is their weight by a scale, newtons.
    """
    return HangTest("waiting", now_us, scale_n)


def advance(test: HangTest, seen: Evaluation, names: Sequence[str] = ()) -> HangTest:
    """Return the test after the final results `seen` (newer than the last ones given).

    `names` are the rig's hangers, to name a cell that fails it.
    """
    for at in range(len(seen)):
        if test.over:
            break
        test = _step(test, seen, at, names)
    return test


def cancel(test: HangTest) -> HangTest:
    """Return the test given up by the person."""
    return test if test.over else _failed(test, "The test was stopped.", "Start it again when ready.")


def fraction(bar_n: float, hang_n: float) -> float:
    """Return client load over body weight from two readings of the same bars: 1 - B / B_hang.

    A span error common to all cells cancels, so this needs no span calibration at all.
    """
    if hang_n < MIN_N:
        raise ValueError(
            f"hang test: expected a reading of 40 kg or more, got {hang_n / NEWTON_PER_KG:.1f} kg"
        )
    return 1.0 - bar_n / hang_n


def _step(test: HangTest, seen: Evaluation, at: int, names: Sequence[str]) -> HangTest:
    now_us, load_n = int(seen.utc_us[at]), float(seen.bar_n[at])
    if now_us < test.began_at_us:
        return test
    if seen.validity[at] == Validity.FAULT:
        return _unreadable(test, now_us, dict(zip(names, seen.fault[at].tolist(), strict=False)))
    if test.unread_us is not None:
        test = replace(test, unread_us=None)
    if not seen.zeroed[at]:
        return _failed(test, "The bars are not zeroed.", "Zero the bars, then start again.")
    if test.phase == "waiting":
        return _waiting(test, now_us, load_n)
    return _hanging(test, now_us, load_n, float(seen.u_bar_n[at]))


def _unreadable(test: HangTest, now_us: int, faults: dict[str, int]) -> HangTest:
    """Pass over what cannot be read for so short a time that the alarm of the cell does not come either."""
    since_us = now_us if test.unread_us is None else test.unread_us
    if now_us - since_us < UNREADABLE_US:
        return replace(test, unread_us=since_us)
    reason, remedy = fault_reason({name: CellFault(code) for name, code in faults.items() if code})
    return _failed(test, reason, f"{remedy} Then start again.")


def _waiting(test: HangTest, now_us: int, load_n: float) -> HangTest:
    if load_n >= HANGING_N:
        utc_us, bar_n = np.array([now_us]), np.array([load_n])
        return replace(test, phase="hanging", since_us=now_us, utc_us=utc_us, bar_n=bar_n)
    if now_us - test.began_at_us > WAIT_S * 1e6:
        return _failed(test, "Nobody hung from the bars.", "Start it again when ready.")
    return test


def _hanging(test: HangTest, now_us: int, load_n: float, u_bar_n: float) -> HangTest:
    if test.utc_us is None or test.bar_n is None or test.since_us is None:
        raise AssertionError("a hanging test has its samples")
    if now_us - int(test.utc_us[-1]) > GAP_S * 1e6:
        return _failed(test, "Data were missing meanwhile.", "Start it again.")
    if load_n < HANGING_N:
        return _failed(test, "The feet came down before ten seconds were over.", "Rest, then start again.")
    keep = test.utc_us > now_us - round(USED_S * 1e6)
    utc_us, bar_n = np.append(test.utc_us[keep], now_us), np.append(test.bar_n[keep], load_n)
    progress = min((now_us - test.since_us) / (HANG_S * 1e6), 1.0)
    test = replace(test, utc_us=utc_us, bar_n=bar_n, progress=progress)
    return _judged(test, u_bar_n) if progress >= 1.0 else test


def _judged(test: HangTest, u_bar_n: float) -> HangTest:
    """Return the test with its verdict.

    The standard uncertainty joins the scatter (the person's own: not divided by the number of samples, which
    are not independent) and the bars' at that load.
    """
    load_n = np.empty(0) if test.bar_n is None else test.bar_n
    median_n = float(np.median(load_n))
    mad_n = float(np.median(np.abs(load_n - median_n)))
    u_n = float(np.hypot(NORMAL_PER_MAD * mad_n, u_bar_n))
    test = replace(test, median_n=median_n, mad_n=mad_n, u_n=u_n, utc_us=None, bar_n=None)
    kg = median_n / NEWTON_PER_KG
    if mad_n >= SPREAD_N:
        return _failed(
            test,
            f"The reading moved by {mad_n / NEWTON_PER_KG:.1f} kg, allowed is 0.5 kg.",
            "Hang more still.",
        )
    if not MIN_N <= median_n <= MAX_N:
        return _failed(test, f"The bars read {kg:.1f} kg, expected 40 to 150 kg.", "Lift both feet clear.")
    if test.scale_n is not None and abs(median_n - test.scale_n) > max(
        APART_N, APART_RELATIVE * test.scale_n
    ):
        return _failed(
            test,
            f"The bars read {kg:.1f} kg, the scale {test.scale_n / NEWTON_PER_KG:.1f} kg.",
            "Lift both feet clear and check the scale. If it stays, have the bars calibrated.",
        )
    compared = "" if test.scale_n is not None else " There was no scale to compare with."
    return replace(test, phase="passed", reason=f"The bars read {kg:.1f} kg.{compared}")


def _failed(test: HangTest, reason: str, remedy: str) -> HangTest:
    return replace(test, phase="failed", reason=reason, remedy=remedy, utc_us=None, bar_n=None)
