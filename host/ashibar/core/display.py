"""From full-rate samples to digits a person can read: the 1-euro filter, the display step and the text.

Never used for alarms, peaks or the record.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, pi
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ashibar.core.units import NEWTON_PER_KG, Unit, newtons_per

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MINUS: Final = "\u2212"
STEPS: Final[dict[Unit, float]] = {"kg": 0.5, "lb": 1.0, "N": 5.0, "%": 1.0}
DECIMALS: Final[dict[Unit, int]] = {"kg": 1, "lb": 0, "N": 0, "%": 0}
HOLD_STEPS: Final = (
    0.7  # a shown step is kept until the value is this far from it: 0.5 would flicker at the edge
)

MIN_CUTOFF_HZ: Final = 1.0  # at rest
CUTOFF_PER_SPEED: Final = 0.08 / NEWTON_PER_KG  # Hz per N/s: 100 kg/s opens the filter to 9 Hz
SPEED_CUTOFF_HZ: Final = 2.0
TURN: Final = 2.0 * pi
LEAST_S: Final = 1e-4  # between two samples: closer ones are a fault of the stamps


@dataclass(frozen=True, slots=True)
class Digits:
    """A value and its uncertainty as shown."""

    text: str
    u_text: str
    unit: Unit


class OneEuro(NamedTuple):
    """Where the 1-euro filter stands: time of the newest value (microseconds), value and speed, filtered."""

    at_us: int
    value: float
    speed: float


def one_euro(
    times_us: Sequence[int], values: Sequence[float], since: OneEuro | None = None
) -> tuple[OneEuro, list[float]]:
    """Return the filter after values [S], with the share that each new one had in it; `since` goes on.

    Casiez, Roussel and Vogel, "1 EUR filter", CHI 2012: a first-order low pass whose cut-off rises with the
    speed. `values` has no nan, and one at least where nothing came before.
    """
    alphas: list[float] = []
    if since is None:
        before_us, smooth, speed = times_us[0], values[0], 0.0
        times_us, values = times_us[1:], values[1:]
        alphas.append(1.0)
    else:
        before_us, smooth, speed = since
    of_speed, least, per_speed = TURN * SPEED_CUTOFF_HZ, TURN * MIN_CUTOFF_HZ, TURN * CUTOFF_PER_SPEED
    for now_us, newest in zip(times_us, values, strict=True):  # the inner loop of every figure: plain
        dt_s = max((now_us - before_us) * 1e-6, LEAST_S)
        before_us = now_us
        off = newest - smooth
        ratio = of_speed * dt_s
        mix = ratio / (ratio + 1.0)
        speed += mix * (off / dt_s * mix - speed)
        ratio = (least + per_speed * abs(speed)) * dt_s
        alpha = ratio / (ratio + 1.0)
        smooth += alpha * off
        alphas.append(alpha)
    return OneEuro(before_us, smooth, speed), alphas


def one_euro_weights(utc_us: NDArray[np.int64], value: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return weights [S], sum 1, that give the newest value of `one_euro` as `weights @ value`.

    Given as weights so that hangers and sums are filtered alike and still add up.
    """
    alphas = np.array(one_euro(utc_us.tolist(), value.tolist())[1])
    kept = np.ones(len(alphas))
    kept[-2::-1] = (1.0 - alphas)[:0:-1].cumprod()
    weights: NDArray[np.float64] = alphas * kept
    return weights


def digits(
    value_n: float, u_n: float, unit: Unit, *, body_weight_n: float | None = None, shown: str | None = None
) -> Digits:
    """Return `value_n` in words at the display step of `unit`, `u_n` (expanded, newtons) rounded up to it.

    `shown` is the text on display now: it stays while the value is within 0.7 steps of it. Percent without a
    body weight is shown in kg.
    """
    if unit == "%" and body_weight_n is None:
        unit = "kg"
    step = STEPS[unit]
    per = newtons_per(unit, body_weight_n)
    stepped = _held(value_n / per / step, shown, step)
    above = ceil(u_n / per / step - 1e-9)
    return Digits(_text(stepped * step, DECIMALS[unit]), _text(above * step, DECIMALS[unit]), unit)


def _held(value_steps: float, shown: str | None, step: float) -> int:
    nearest = floor(value_steps + 0.5)
    if shown is None:
        return nearest
    try:
        before = round(float(shown.replace(MINUS, "-")) / step)
    except ValueError:
        return nearest
    return before if abs(value_steps - before) <= HOLD_STEPS else nearest


def _text(value: float, decimals: int) -> str:
    text = f"{abs(value):.{decimals}f}"
    return MINUS + text if value < 0 and float(text) != 0 else text
