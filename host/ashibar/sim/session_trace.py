"""The built-in session: a therapist on two bars, made of smooth moves between forces on the four hangers.

The person and every force are invented; the shapes are those of steps, strokes and hangs, not of a recording.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ashibar.core.trace import Trace

if TYPE_CHECKING:
    from numpy.typing import NDArray

CELLS: Final = ("left-head", "left-foot", "right-head", "right-foot")
BODY_WEIGHT_N: Final = 686.4655  # 70 kg under standard gravity
RATE_HZ: Final = 500  # fine enough that straight lines between instants are a hundredth of a newton off
SHORTEST_S: Final = 10.0
PLAYED_AS_WRITTEN_S: Final = 60.0  # below this the session is played faster; above, it is played again
MOVE_SHARE: Final = 0.35  # of a posture's time; the rest it is held still
STILL_S: Final = 0.6  # a posture held at least so long counts as quiet

# What the hands take, in parts of body weight: left bar, right bar; how far towards the head end; its share
# of time; depth of a swaying move in it (0: held still), and how many times it sways. Slow enough at half a
# minute's length that nothing looks like a fall (30 kg within 0.3 s).
_Posture = tuple[str, float, float, float, float, float, int]
POSTURES: Final[tuple[_Posture, ...]] = (
    ("bars unloaded", 0.00, 0.00, 0.50, 4.0, 0.00, 0),
    ("hands light", 0.04, 0.05, 0.50, 5.0, 0.00, 0),
    ("deep strokes", 0.16, 0.17, 0.58, 10.0, 0.11, 3),
    ("both hands, still", 0.22, 0.20, 0.55, 5.0, 0.00, 0),
    ("stepping", 0.24, 0.24, 0.45, 8.0, 0.12, 4),
    ("one hand", 0.00, 0.28, 0.40, 5.0, 0.00, 0),
    ("hands light", 0.05, 0.04, 0.50, 4.0, 0.00, 0),
    ("hang", 0.51, 0.49, 0.52, 8.0, 0.00, 0),
    ("hands light", 0.06, 0.05, 0.50, 7.0, 0.00, 0),
    ("push-up against the bar", -0.09, -0.08, 0.50, 4.0, 0.00, 0),
    ("hands off", 0.00, 0.00, 0.50, 5.0, 0.00, 0),
)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the session by name; quiet if every force in it stands still."""

    start_s: float
    end_s: float
    label: str
    quiet: bool


@dataclass(frozen=True, slots=True)
class Session:
    """The trace, what happens when, and the weight of the person in it."""

    trace: Trace
    spans: tuple[Span, ...]
    body_weight_n: float = BODY_WEIGHT_N

    @property
    def quiet_spans(self) -> tuple[tuple[float, float], ...]:
        """Start and end of each stretch in which nothing moves."""
        return tuple((span.start_s, span.end_s) for span in self.spans if span.quiet)


def built_in_session(seconds: float) -> Session:
    """The session for `seconds` (at least 10): played faster in less than a minute, repeated in more."""
    if seconds < SHORTEST_S:
        raise ValueError(
            f"a session of at least {SHORTEST_S:g} s expected, got {seconds:g}: ask for a longer one"
        )
    rounds = max(1, round(seconds / PLAYED_AS_WRITTEN_S))
    length_s = seconds / rounds
    times = np.arange(int(seconds * RATE_HZ) + 1) / RATE_HZ
    spans: list[Span] = []
    for number in range(rounds):
        spans += _spans(number * length_s, length_s)
    forces = _round_forces(np.mod(times, length_s) / length_s)
    return Session(Trace(times, forces, CELLS), tuple(spans))


def _edges() -> NDArray[np.float64]:
    shares = np.array([posture[4] for posture in POSTURES])
    return np.concatenate(([0.0], np.cumsum(shares) / shares.sum()))


def _spans(start_s: float, length_s: float) -> list[Span]:
    """A posture is moved into, then held (quiet, if nothing sways) until the next begins."""
    edges = _edges() * length_s + start_s
    spans = []
    for number, posture in enumerate(POSTURES):
        begin, end = float(edges[number]), float(edges[number + 1])
        held = begin + (end - begin) * (MOVE_SHARE if number else 0.0)
        if number:
            spans.append(Span(begin, held, f"to {posture[0]}", quiet=False))
        spans.append(Span(held, end, posture[0], quiet=not posture[6] and end - held >= STILL_S))
    return spans


def _round_forces(phase: NDArray[np.float64]) -> NDArray[np.float64]:
    """Forces on the four hangers at parts of one round, float64[T, 4]."""
    edges = _edges()
    number = np.clip(np.searchsorted(edges, phase, side="right") - 1, 0, len(POSTURES) - 1)
    within = (phase - edges[number]) / np.diff(edges)[number]
    arrived = _smooth(np.clip(within / MOVE_SHARE, 0.0, 1.0))
    held = np.array([posture[1:4] for posture in POSTURES])
    bars = held[number - 1] + (held[number] - held[number - 1]) * arrived[:, None]
    bars[:, :2] += _sway(number, within)
    left, right, head = bars.T * np.array([[BODY_WEIGHT_N], [BODY_WEIGHT_N], [1.0]])
    return np.stack((left * head, left * (1 - head), right * head, right * (1 - head)), axis=1)


def _sway(number: NDArray[np.intp], within: NDArray[np.float64]) -> NDArray[np.float64]:
    """Strokes and steps: the bars take more in turn, in opposite phase for the two hands by a quarter."""
    depth = np.array([posture[5] for posture in POSTURES])[number]
    times = np.array([posture[6] for posture in POSTURES])[number]
    since = np.clip((within - MOVE_SHARE) / (1 - MOVE_SHARE), 0.0, 1.0)
    envelope = np.sin(np.pi * since) ** 2
    left = np.sin(2 * np.pi * times * since)
    right = np.sin(2 * np.pi * times * since + np.pi / 2)
    return np.asarray(np.stack((left, right), axis=1) * (depth * envelope)[:, None], dtype=np.float64)


def _smooth(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """From 0 to 1 with no jump in speed or acceleration (the quintic of minimum jerk)."""
    return np.asarray(x**3 * (10 - 15 * x + 6 * x**2), dtype=np.float64)
