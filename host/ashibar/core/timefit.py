"""Maps a boot's device time to UTC: follows the lower envelope of (arrival - device time), and clock steps.

The map is a chain of straight pieces. What has been stamped is never bent afterwards: a better fit takes over
from the last stamped sample on, slewed. It reads no clock; arrivals come with the caller's two clocks.
"""

from __future__ import annotations

from bisect import bisect_right
from enum import StrEnum
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from ashibar.core import decoding
from ashibar.core.envelope import (
    DRIFT_MAX_PPM,
    FIT_SPAN_US,
    Bucket,
    Line,
    fit_line,
    span_us,
    with_bucket,
)
from ashibar.core.stamps import TAGS

if TYPE_CHECKING:
    from numpy.typing import NDArray

SLEW_PPM: Final = 20_000.0  # 40 ms of first jitter are worked off in 2 s, spacing 2 % off meanwhile
SMEAR_PPM: Final = 990_000.0  # a backlog's stamps are squeezed under its arrival, still in order
TOLERANCE_US: Final = 500  # a hundredth of what the display can show; keeps the chain short
STEP_US: Final = 50_000  # more than two clock reads in a row lie apart on a busy host
JITTER_US: Final = 100_000  # arrivals this much earlier than the fit are not jitter
JUMP_US: Final = 2_000_000  # more than this backwards is the host's clock, not the fit
LATE_US: Final = 500_000  # such a frame waited in a queue: it says nothing about the clock
SETTLE_US: Final = 1_000_000  # arrivals stop falling for this long: no queue is being drained
SETTLE_FRAMES: Final = 3
LATE_PATIENCE_US: Final = 5_000_000  # evenly late for this long is a clock that moved, not a queue
DELAY_BOUND_US: Final = 5_000  # no network is faster than 0 nor, at its best, slower than this
HOLDOVER_PPM: Final = 5.0  # what a fitted crystal still wanders without arrivals
KNOTS_MAX: Final = 256
EPOCHS_MAX: Final = 64


class EpochReason(StrEnum):
    """Why a new stretch of the map began."""

    FIRST_FRAME = "first_frame"
    SETTLED = "settled"  # stamps given while provisional are to be given again
    CLOCK_STEP = "clock_step"  # the host's UTC moved against its monotonic clock
    ARRIVED_EARLY = "arrived_early"  # before the fit allows: the clock moved while nobody looked
    ARRIVED_LATE = "arrived_late"  # evenly, without a queue draining: the same


class Knot(msgspec.Struct, frozen=True, array_like=True):
    """From `device_us` on: utc = utc_us + (device - device_us) * (1 + ppm / 1e6).

    `tag`, below `TAGS`, takes the place of the lowest bits of that: another in each stretch, see `_free_tag`.
    """

    device_us: int
    utc_us: int
    ppm: float
    tag: int = 0


class Epoch(msgspec.Struct, frozen=True, array_like=True):
    """A stretch of the map that does not continue the one before it; `shift_us`: how far it moved."""

    from_device_us: int
    reason: EpochReason
    shift_us: int


class TimeFit(msgspec.Struct, frozen=True):
    """The map of one boot. Store it whenever `version` changes, in the commit of the frames it stamps.

    `provisional`: only backlog, or a queue still draining, has been seen; see `restamp_from`. `tops_us`: the
    latest stamp with each tag, of the boots and stretches before this one; empty: there are none.
    """

    version: int
    knots: tuple[Knot, ...]
    epochs: tuple[Epoch, ...]
    line: Line
    stamped_us: int
    clock_us: int | None
    provisional: bool = True
    buckets: tuple[Bucket, ...] = ()
    live_us: int | None = None
    smeared: bool = False
    settle_mono_us: int | None = None
    settle_frames: int = 0
    late_mono_us: int | None = None
    late_offset_us: int | None = None
    tops_us: tuple[int, ...] = ()


def observe(
    fit: TimeFit | None,
    device_us: int,
    arrival_utc_us: int,
    arrival_mono_us: int,
    live: bool,
    *,
    before: tuple[int, ...] = (),
) -> TimeFit:
    """Learn from one frame's last sample time and arrival; call it before stamping that frame.

    No fit: the first frame of a boot. The arrival is the host's UTC and monotonic clock,
    read together. `live` is false for backlog frames. `before`: `tops_us` of the boot before this one.
    """
    offset_us = arrival_utc_us - device_us
    clock_us = arrival_utc_us - arrival_mono_us
    if fit is None:
        fit = _start(device_us, offset_us, before)
    elif fit.clock_us is not None and abs(clock_us - fit.clock_us) > STEP_US:
        fit = _shift(fit, clock_us - fit.clock_us)
    fit = msgspec.structs.replace(fit, clock_us=clock_us)
    if fit.provisional:
        fit = _observe_provisional(fit, device_us, offset_us, arrival_mono_us, live)
    else:
        fit = _observe_settled(fit, device_us, offset_us, arrival_mono_us, live)
    return _short(msgspec.structs.replace(fit, stamped_us=max(device_us, fit.stamped_us)))


def observe_many(
    fit: TimeFit | None,
    device_us: NDArray[np.int64],
    arrival_utc_us: NDArray[np.int64],
    arrival_mono_us: NDArray[np.int64],
    live: NDArray[np.bool_],
    *,
    before: tuple[int, ...] = (),
) -> TimeFit:
    """Learn from a batch, arrays of length K > 0 in order of arrival; call it before stamping the batch.

    Only the earliest frame of the batch against its device time, and the newest one, can change the fit.
    """
    clock_us = arrival_utc_us - arrival_mono_us
    if fit is not None and fit.clock_us is not None:
        clock_us = np.append(clock_us, fit.clock_us)
    if len(device_us) == 0:
        chosen = []
    elif int(clock_us.max() - clock_us.min()) > STEP_US:
        chosen = list(range(len(device_us)))
    else:
        chosen = _telling(device_us, arrival_utc_us - device_us, live)
    for k in chosen:
        utc, mono = int(arrival_utc_us[k]), int(arrival_mono_us[k])
        fit = observe(fit, int(device_us[k]), utc, mono, bool(live[k]), before=before)
    if fit is None:
        raise ValueError("expected a batch of at least one frame, came an empty one")
    return fit


def _telling(
    device_us: NDArray[np.int64], offset_us: NDArray[np.int64], live: NDArray[np.bool_]
) -> list[int]:
    """Choose the earliest live frame (or the earliest of all) and the newest one, in order of arrival."""
    chosen = {int(device_us.argmax()), int(offset_us.argmin())}
    where = np.flatnonzero(live)
    if len(where):
        chosen.add(int(where[offset_us[where].argmin()]))
    return sorted(chosen)


def stamp(fit: TimeFit, device_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the UTC in microseconds, int64 in the shape of `device_us`, of samples taken at device times.

    Increasing wherever `device_us` is by 1 ms or more, except over the start of an epoch whose `shift_us` is
    negative.
    """
    last = fit.knots[-1]
    if len(fit.knots) == 1 or (device_us.size and int(device_us.min()) >= last.device_us):
        return _on_knot(device_us, last.device_us, last.utc_us, last.ppm, last.tag)
    starts = np.array([knot.device_us for knot in fit.knots], np.int64)
    utc = np.array([knot.utc_us for knot in fit.knots], np.int64)
    ppm = np.array([knot.ppm for knot in fit.knots], np.float64)
    tags = np.array([knot.tag for knot in fit.knots], np.int64)
    at = np.maximum(np.searchsorted(starts, device_us, side="right") - 1, 0)
    return _on_knot(device_us, starts[at], utc[at], ppm[at], tags[at])


def _on_knot(
    device_us: NDArray[np.int64],
    start_us: int | NDArray[np.int64],
    utc_us: int | NDArray[np.int64],
    ppm: float | NDArray[np.float64],
    tag: int | NDArray[np.int64],
) -> NDArray[np.int64]:
    elapsed = device_us - start_us
    utc: NDArray[np.int64] = utc_us + elapsed + np.rint(elapsed * ppm * 1e-6).astype(np.int64)
    return utc - utc % TAGS + tag


def stamp_one(fit: TimeFit, device_us: int) -> int:
    """Return the UTC in microseconds of one device time; as `stamp`."""
    knot = _knot_at(fit, device_us)
    utc_us = _utc_us(knot, device_us)
    return utc_us - utc_us % TAGS + knot.tag


def _knot_at(fit: TimeFit, device_us: int) -> Knot:
    knots = fit.knots
    if device_us >= knots[-1].device_us:
        return knots[-1]
    return knots[max(bisect_right(knots, device_us, key=lambda each: each.device_us) - 1, 0)]


def _utc_us(knot: Knot, device_us: int) -> int:
    """Return the UTC in microseconds by a piece of the map, its lowest bits not yet the tag."""
    elapsed_us = device_us - knot.device_us
    return knot.utc_us + elapsed_us + round(elapsed_us * knot.ppm * 1e-6)


def _at(fit: TimeFit, device_us: int) -> int:
    return _utc_us(_knot_at(fit, device_us), device_us)


def tops_us(fit: TimeFit) -> tuple[int, ...]:
    """Return the latest stamp with each tag so far, for the boot after this one: int microseconds [TAGS]."""
    tops = list(fit.tops_us or (0,) * TAGS)
    for knot, after in zip_longest(fit.knots, fit.knots[1:]):
        end_us = fit.stamped_us if after is None else min(after.device_us, fit.stamped_us)
        tops[knot.tag] = max(tops[knot.tag], _utc_us(knot, max(end_us, knot.device_us)) + TAGS)
    return tuple(tops)


def _free_tag(tops: tuple[int, ...], start_us: int, wanted: int) -> int:
    """Return a tag that no stamp from `start_us` (UTC) on has: `wanted`, or the first after it.

    A clock set back so often that all are taken leaves the one whose stamps end first.
    """
    order = [(wanted + k) % TAGS for k in range(TAGS)]
    spare_us = start_us - JUMP_US  # the map may yet bend so far back
    free = [tag for tag in order if not tops or tops[tag] < spare_us]
    return free[0] if free else min(order, key=tops.__getitem__)


def bound_us(fit: TimeFit) -> int | None:
    """Return how far the newest stamp may be from the truth, or None while that is unknown."""
    if fit.provisional or fit.live_us is None:
        return None
    slewing_us = abs(_at(fit, fit.stamped_us) - fit.line.utc_us(fit.stamped_us))
    holdover_ppm = HOLDOVER_PPM if span_us(fit.buckets) >= FIT_SPAN_US else DRIFT_MAX_PPM
    return DELAY_BOUND_US + slewing_us + round(max(0, fit.stamped_us - fit.live_us) * holdover_ppm * 1e-6)


def restamp_from(before: TimeFit, after: TimeFit) -> int | None:
    """Return the device time from which stamps given by `before` are superseded by `after`, else None.

    It happens once an epoch at most, when a provisional map turns out to have squeezed a backlog together.
    """
    fresh = (
        after.epochs[len(before.epochs) :] if len(after.epochs) > len(before.epochs) else after.epochs[-1:]
    )
    if after.epochs == before.epochs:
        return None
    starts = [epoch.from_device_us for epoch in fresh if epoch.reason is EpochReason.SETTLED]
    return min(starts) if starts else None


def settle(fit: TimeFit) -> TimeFit:
    """Make a provisional map final because no more frames of this boot will come."""
    return (
        msgspec.structs.replace(fit, provisional=False, version=fit.version + 1) if fit.provisional else fit
    )


def restore(fit: TimeFit, stored_device_us: int | None) -> TimeFit:
    """Take up a stored fit: `stored_device_us` is the newest sample time stored with its stamps, if any.

    The monotonic clock may have begun anew, so a step during the pause is left to the arrivals to show.
    """
    return msgspec.structs.replace(
        fit,
        stamped_us=max(fit.stamped_us, stored_device_us or 0),
        clock_us=None,
        settle_mono_us=None,
        settle_frames=0,
        late_mono_us=None,
        late_offset_us=None,
    )


def to_json(fit: TimeFit) -> bytes:
    """Return the fit as JSON for the store."""
    return msgspec.json.encode(fit)


def from_json(data: bytes | str) -> TimeFit:
    """Return the fit that `to_json` wrote; msgspec.ValidationError names what is wrong."""
    return decoding.from_json(data, TimeFit)


def _start(device_us: int, offset_us: int, before: tuple[int, ...]) -> TimeFit:
    utc_us = device_us + offset_us
    latest = max(range(TAGS), key=before.__getitem__) if before else -1
    return TimeFit(
        version=1,
        knots=(Knot(device_us, utc_us, 0.0, _free_tag(before, utc_us, latest + 1)),),
        epochs=(Epoch(0, EpochReason.FIRST_FRAME, 0),),
        line=Line(device_us, offset_us, 0.0),
        stamped_us=device_us,
        clock_us=None,
        tops_us=before,
    )


def _observe_provisional(fit: TimeFit, device_us: int, offset_us: int, mono_us: int, live: bool) -> TimeFit:
    """Follow the least offset down; settle when live arrivals have stopped falling."""
    fall_us = fit.line.utc_us(device_us) - device_us - offset_us
    if fall_us > JITTER_US:
        fit = msgspec.structs.replace(fit, buckets=(), settle_mono_us=None, settle_frames=0, smeared=True)
    if fall_us > 0:
        fit = msgspec.structs.replace(fit, line=Line(device_us, offset_us, fit.line.ppm))
    if live:
        since_us = fit.settle_mono_us if fit.settle_mono_us is not None else mono_us
        fit = msgspec.structs.replace(
            fit,
            buckets=with_bucket(fit.buckets, device_us, offset_us),
            live_us=device_us,
            settle_mono_us=since_us,
            settle_frames=fit.settle_frames + 1,
        )
        if fit.settle_frames >= SETTLE_FRAMES and mono_us - since_us >= SETTLE_US:
            return _settle_on_line(_revise(fit, device_us))
    return _revise(fit, device_us)


def _settle_on_line(fit: TimeFit) -> TimeFit:
    """End the provisional stretch; where it squeezed stamps, offer the whole epoch anew on the line."""
    if not fit.smeared:
        return msgspec.structs.replace(fit, provisional=False, version=fit.version + 1)
    behind_us = _at(fit, fit.stamped_us) - fit.line.utc_us(fit.stamped_us)
    if abs(behind_us) > TOLERANCE_US:
        return fit
    start_us = fit.epochs[-1].from_device_us
    kept = tuple(knot for knot in fit.knots if knot.device_us < start_us)
    utc_us = fit.line.utc_us(start_us) + behind_us
    # Spread out again it may begin long before the time it was squeezed to.
    tag = _free_tag(_tops_before(fit, start_us), utc_us, _knot_at(fit, fit.stamped_us).tag)
    return msgspec.structs.replace(
        fit,
        provisional=False,
        smeared=False,
        version=fit.version + 1,
        knots=(*kept, Knot(start_us, utc_us, fit.line.ppm, tag)),
        epochs=(*fit.epochs, Epoch(start_us, EpochReason.SETTLED, 0))[-EPOCHS_MAX:],
    )


def _observe_settled(fit: TimeFit, device_us: int, offset_us: int, mono_us: int, live: bool) -> TimeFit:
    """Refine the line with a live arrival; an arrival the line cannot explain begins a new epoch."""
    above_us = offset_us - (fit.line.utc_us(device_us) - device_us)
    if above_us < -JITTER_US:
        return _restart(fit, device_us, offset_us, EpochReason.ARRIVED_EARLY)
    if not live:
        return fit
    if above_us > LATE_US:
        return _observe_late(fit, device_us, offset_us, mono_us)
    buckets = with_bucket(fit.buckets, device_us, offset_us)
    if buckets != fit.buckets:
        fit = msgspec.structs.replace(fit, buckets=buckets, line=fit_line(buckets, fit.line.ppm))
    fit = msgspec.structs.replace(fit, live_us=device_us, late_mono_us=None, late_offset_us=None)
    return _revise(fit, device_us)


def _observe_late(fit: TimeFit, device_us: int, offset_us: int, mono_us: int) -> TimeFit:
    """Wait whether late arrivals fall (a queue drains) or stay (the clock moved)."""
    falling = fit.late_offset_us is None or offset_us < fit.late_offset_us - JITTER_US
    if falling or fit.late_mono_us is None:
        return msgspec.structs.replace(fit, late_mono_us=mono_us, late_offset_us=offset_us)
    if mono_us - fit.late_mono_us < LATE_PATIENCE_US:
        return fit
    return _restart(fit, device_us, offset_us, EpochReason.ARRIVED_LATE)


def _restart(fit: TimeFit, device_us: int, offset_us: int, reason: EpochReason) -> TimeFit:
    """Begin an epoch after the last stamped sample from one arrival, provisional again."""
    start_us = fit.stamped_us + 1
    line = Line(device_us, offset_us, fit.line.ppm)
    shift_us = line.utc_us(start_us) - _at(fit, start_us)
    fresh = msgspec.structs.replace(
        fit,
        version=fit.version + 1,
        provisional=True,
        smeared=False,
        buckets=(),
        line=line,
        epochs=(*fit.epochs, Epoch(start_us, reason, shift_us))[-EPOCHS_MAX:],
        settle_mono_us=None,
        settle_frames=0,
        late_mono_us=None,
        late_offset_us=None,
    )
    if -JUMP_US <= shift_us < 0:
        return _revise(fresh, device_us)
    return msgspec.structs.replace(fresh, knots=_stretch(fit, start_us, line))


def _shift(fit: TimeFit, step_us: int) -> TimeFit:
    """Move everything after the last stamped sample by a step of the host's clock, which is known exactly."""
    start_us = fit.stamped_us + 1
    line = Line(fit.line.device_us, fit.line.offset_us + step_us, fit.line.ppm)
    return msgspec.structs.replace(
        fit,
        version=fit.version + 1,
        line=line,
        buckets=tuple(Bucket(b.device_us, b.offset_us + step_us) for b in fit.buckets),
        knots=_stretch(fit, start_us, line),
        epochs=(*fit.epochs, Epoch(start_us, EpochReason.CLOCK_STEP, step_us))[-EPOCHS_MAX:],
    )


def _revise(fit: TimeFit, device_us: int) -> TimeFit:
    """Bend the map onto the line after the last stamped sample, if it misses by more than the tolerance."""
    ahead_us = max(fit.knots[-1].device_us, fit.stamped_us, device_us)
    if abs(_at(fit, ahead_us) - fit.line.utc_us(ahead_us)) <= TOLERANCE_US:
        return fit
    start_us = fit.stamped_us
    knot = _knot_at(fit, start_us)
    utc_us = _utc_us(knot, start_us)
    error_us = utc_us - fit.line.utc_us(start_us)
    slew_ppm = SMEAR_PPM if error_us > JITTER_US else SLEW_PPM
    ppm = fit.line.ppm + (-slew_ppm if error_us > 0 else slew_ppm)
    bend = Knot(start_us, utc_us, ppm, knot.tag)
    meet_us = start_us + max(1, round(abs(error_us) / (slew_ppm * 1e-6)))
    meet = Knot(meet_us, _utc_us(bend, meet_us), fit.line.ppm, knot.tag)
    knots = _cut(fit.knots, start_us, bend, meet)
    return msgspec.structs.replace(fit, version=fit.version + 1, knots=knots)


def _stretch(fit: TimeFit, start_us: int, line: Line) -> tuple[Knot, ...]:
    """Begin a stretch on a line; over time that has been stamped before, its stamps differ by the tag."""
    utc_us = line.utc_us(start_us)
    tag = _free_tag(_tops_before(fit, start_us), utc_us, _knot_at(fit, start_us).tag)
    return _cut(fit.knots, start_us, Knot(start_us, utc_us, line.ppm, tag))


def _tops_before(fit: TimeFit, device_us: int) -> tuple[int, ...]:
    """Return the latest stamp with each tag of all that lies before a device time."""
    kept = tuple(knot for knot in fit.knots if knot.device_us < device_us)
    stamped_us = min(fit.stamped_us, device_us)
    return tops_us(msgspec.structs.replace(fit, knots=kept, stamped_us=stamped_us))


def _short(fit: TimeFit) -> TimeFit:
    """Let go of the oldest pieces of a long chain; what is left of them is how far their tags go."""
    if len(fit.knots) <= KNOTS_MAX:
        return fit
    kept = fit.knots[-KNOTS_MAX:]
    return msgspec.structs.replace(fit, knots=kept, tops_us=_tops_before(fit, kept[0].device_us))


def _cut(knots: tuple[Knot, ...], start_us: int, *tail: Knot) -> tuple[Knot, ...]:
    kept = [knot for knot in knots if knot.device_us < start_us]
    return (*kept, *tail)
