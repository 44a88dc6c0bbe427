"""The therapist's body weight: its source, its uncertainty, how long it holds and whether it is plausible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from ashibar.core.units import NEWTON_PER_KG

Source = Literal["scale", "typed", "hang"]
SOURCES: Final[tuple[str, ...]] = get_args(Source)

MIN_N: Final = 40 * NEWTON_PER_KG  # lighter and heavier adults are typing errors far more often
MAX_N: Final = 150 * NEWTON_PER_KG
EXPIRES_AFTER_S: Final = 12 * 3600.0  # a working day; clothes, meals and shoes change by the next
JUMP_N: Final = 5 * NEWTON_PER_KG  # more than a person gains or loses between two sessions
SCALE_U_N: Final = 0.3 * NEWTON_PER_KG  # a household scale and clothing, standard uncertainty
TYPED_U_N: Final = 1.0 * NEWTON_PER_KG  # from memory, standard uncertainty


@dataclass(frozen=True, slots=True)
class BodyWeight:
    """A body weight: `value_n` newtons, standard uncertainty `u_n`.

    Entered at `entered_at_us` (Unix microseconds). ValueError when it is no adult's weight or has no
    uncertainty.
    """

    value_n: float
    source: Source
    u_n: float
    entered_at_us: int

    def __post_init__(self) -> None:
        if not MIN_N <= self.value_n <= MAX_N:
            raise ValueError(
                f"body weight: expected 40 to 150 kg, got {self.value_n / NEWTON_PER_KG:.1f} kg; "
                "check the unit"
            )
        if self.source not in SOURCES:
            raise ValueError(f"body weight source: expected one of {', '.join(SOURCES)}, got {self.source!r}")
        if not 0.0 < self.u_n < self.value_n:
            raise ValueError(f"body weight uncertainty: expected above 0 N, got {self.u_n}")

    def expires_at_us(self, after_s: float = EXPIRES_AFTER_S) -> int:
        """Return when this weight stops being used, Unix microseconds."""
        return self.entered_at_us + round(after_s * 1e6)


def enter(
    value_n: float,
    source: Source,
    entered_at_us: int,
    *,
    last: BodyWeight | None = None,
    confirmed: bool = False,
    u_n: float | None = None,
) -> BodyWeight:
    """Return the weight to use, with the uncertainty of its source.

    `u_n` overrides it; a hang test must give it. ValueError when implausible; ConfirmationNeeded when it is
    more than 5 kg from `last` and not `confirmed`.
    """
    if u_n is None:
        if source == "hang":
            raise ValueError("body weight by hang test: expected the uncertainty from its scatter, got none")
        u_n = SCALE_U_N if source == "scale" else TYPED_U_N
    weight = BodyWeight(value_n=value_n, source=source, u_n=u_n, entered_at_us=entered_at_us)
    if last is not None and not confirmed and abs(value_n - last.value_n) > JUMP_N:
        raise ConfirmationNeeded(last.value_n, value_n)
    return weight


class ConfirmationNeeded(ValueError):  # noqa: N818 - it is a question, not an error
    """The new weight is plausible but far from the last one: ask the person."""

    def __init__(self, last_n: float, value_n: float) -> None:
        kg, last_kg = value_n / NEWTON_PER_KG, last_n / NEWTON_PER_KG
        super().__init__(
            f"body weight: {kg:.1f} kg is {abs(kg - last_kg):.1f} kg from the last, {last_kg:.1f} kg; "
            "confirm it or weigh again"
        )
        self.last_n = last_n
        self.value_n = value_n
