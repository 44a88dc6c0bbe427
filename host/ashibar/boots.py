"""One boot of one node as its frames come in: what is new, when it was measured, what goes on record."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from ashibar.core import decoding, timefit
from ashibar.core.accounting import Accounting, BootAccount, BootRecord, FrameColumns
from ashibar.core.frame import FLAG_BACKLOG, FLAG_DECIMATED, DecodedBatch, decode, stands_for
from ashibar.core.sequence import IntervalSet, holes
from ashibar.core.stamps import one_frame_utc_us, sample_utc_us
from ashibar.core.track import NodeSamples
from ashibar.io.journal import Batch, FrameRow, GapRow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ashibar.core.calibration import NodeCalibration
    from ashibar.core.frame import Frame, FrameGroup
    from ashibar.io.journal import BootRow, Reader
    from ashibar.io.journal.losses import Lost
    from ashibar.io.mqtt import Inbound

GAP_REASON = "the node no longer held them"
DAMAGE_REASON = "stored, and not readable in a damaged journal"


@dataclass(frozen=True, slots=True, eq=False)
class FrameArrays:
    """K frames in order of arrival; `group`, `member` say where each one's samples are."""

    seq: NDArray[np.int64]
    sample_index: NDArray[np.int64]
    samples: NDArray[np.int64]
    cells: NDArray[np.int64]
    flags: NDArray[np.int64]
    calibration_id: NDArray[np.int64]
    oldest_seq: NDArray[np.int64]
    first_us: NDArray[np.int64]
    last_us: NDArray[np.int64]
    arrival_us: NDArray[np.int64]
    mono_us: NDArray[np.int64]
    group: NDArray[np.int64]
    member: NDArray[np.int64]
    position: NDArray[np.int64]
    groups: tuple[FrameGroup, ...]
    inbound: Sequence[Inbound]

    @staticmethod
    def of(decoded: DecodedBatch, inbound: Sequence[Inbound]) -> FrameArrays:
        """Gather the columns of a decoded batch; `inbound` are the messages it was decoded from."""
        headers = decoded.headers
        count = len(headers)
        last_us, group, member = (np.empty(count, np.int64) for _ in range(3))
        for number, each in enumerate(decoded.groups):
            last_us[each.rows] = each.sample_device_us[:, -1]
            group[each.rows] = number
            member[each.rows] = np.arange(len(each.rows))
        positions = headers.position.tolist()
        return FrameArrays(
            seq=headers.seq.astype(np.int64),
            sample_index=headers.sample_index.astype(np.int64),
            samples=headers.samples.astype(np.int64),
            cells=headers.cells.astype(np.int64),
            flags=headers.flags.astype(np.int64),
            calibration_id=headers.calibration_id.astype(np.int64),
            oldest_seq=headers.oldest_seq.astype(np.int64),
            first_us=headers.device_us,
            last_us=last_us,
            arrival_us=np.array([inbound[position].utc_us for position in positions], np.int64),
            mono_us=np.array([inbound[position].mono_us for position in positions], np.int64),
            group=group,
            member=member,
            position=headers.position,
            groups=decoded.groups,
            inbound=inbound,
        )

    def chosen(self, where: NDArray[np.int64] | NDArray[np.bool_]) -> FrameArrays:
        """Return the frames at `where`."""
        if where.dtype == np.bool_ and where.all():
            return self
        return replace(self, **{name: getattr(self, name)[where] for name in COLUMNS})

    def __len__(self) -> int:
        return len(self.seq)


@dataclass(frozen=True, slots=True)
class _Stamped:
    """A stored frame whose stamps may still change."""

    seq: int
    first_us: int
    last_us: int
    utc_us: int
    utc_last_us: int


COLUMNS: Final = tuple(each.name for each in fields(FrameArrays))[:-2]


class Boot:
    """A boot's account, its map of time, and the frames that wait for a better one."""

    def __init__(
        self,
        node_id: int,
        account: BootAccount,
        number: int,
        first_seen_us: int,
        before: tuple[int, ...] = (),
    ) -> None:
        self.account = account
        self.number = number
        self.provisional: list[_Stamped] = []
        self.last_mono_us = 0
        self.last_utc_us = first_seen_us
        self._key = (node_id, number)
        self._first_seen_us = first_seen_us
        self._fit: timefit.TimeFit | None = None
        self._before = before  # `tops_us` of the boot before
        self._stored_version = 0
        self._gaps: dict[tuple[int, int], int] = {}
        self._damaged = IntervalSet()

    @property
    def bound_us(self) -> int | None:
        """How far the newest stamp may be off, None while that is not known."""
        return None if self._fit is None else timefit.bound_us(self._fit)

    @property
    def fit(self) -> timefit.TimeFit | None:
        """The map of time as it is now, None before the first frame."""
        return self._fit

    @staticmethod
    def restore(row: BootRow, accounting: Accounting, reader: Reader, before: tuple[int, ...] = ()) -> Boot:
        """Take up a boot as the journal has it; `before` counts where it has no frames yet."""
        record = decoding.from_json(row.counts, BootRecord)
        boot = Boot(row.node, accounting.restore(record), row.boot, row.first_seen_us, before)
        boot._fit = stored_fit(reader, row.node, row.boot)
        if boot._fit is not None:
            boot._stored_version = boot._fit.version
        for seq, first_us, utc_us, utc_last_us, payload in reader.provisional(row.node, row.boot):
            last_us = int(decode(payload).sample_device_us[-1])
            boot.provisional.append(_Stamped(seq, first_us, last_us, utc_us, utc_last_us))
        for first, last, at_us, reason in reader.gaps_of(row.node, row.boot):
            boot._gaps[first, last] = at_us
            if reason == DAMAGE_REASON:
                boot._damaged.add(first, last)
        return boot

    @property
    def upto(self) -> int:
        """Every frame up to this sequence is in the journal or on record as lost."""
        return self.account.ledger.upto

    def utc_us(self, device_us: int) -> int | None:
        """Return the UTC of a device time, None before the first frame."""
        return timefit.stamp_one(self._fit, device_us) if self._fit is not None else None

    def take(
        self,
        frames: FrameArrays,
        batch: Batch,
        calibrations: Mapping[int, NodeCalibration],
        node: str,
    ) -> list[NodeSamples]:
        """Take in frames of this boot: journal rows into `batch`, the new samples returned in order."""
        self.last_mono_us = int(frames.mono_us[-1])
        self.last_utc_us = int(frames.arrival_us[-1])
        new = frames.chosen(self._unseen(frames.seq))
        found: list[NodeSamples] = []
        if len(new):
            fit = self._learn(new, batch)
            utc_us = timefit.stamp(fit, np.stack([new.first_us, new.last_us]))
            self._account(frames, new, utc_us, fit)
            self._rows(new, utc_us, fit, batch)
            found = stretches(new, utc_us, calibrations, (node, self.number))
        else:
            self._account_again(frames)
        self._record_losses(int(frames.oldest_seq.max()), batch)
        self.store(batch, self.last_utc_us)
        return found

    def take_next(
        self,
        frame: Frame,
        message: Inbound,
        batch: Batch,
        calibrations: Mapping[int, NodeCalibration],
        node: str,
    ) -> NodeSamples | None:
        """Take in a live frame that follows the newest one, as `take` does, and return its samples.

        None where it does not follow, or more hangs on it: nothing is changed then. `store` is to follow.
        """
        fit = self._fit
        if (
            frame.flags
            or fit is None
            or fit.provisional
            or self.provisional
            or frame.oldest_seq > frame.seq + 1
        ):
            return None
        if not self.account.follows(frame.seq, frame.sample_index):
            return None
        offsets_us = frame.offsets_us
        first_us, last_us = frame.device_us, frame.device_us + offsets_us[-1]
        self.last_mono_us, self.last_utc_us = message.mono_us, message.utc_us
        self._fit = fit = timefit.observe(fit, last_us, message.utc_us, message.mono_us, live=True)
        utc_us = (timefit.stamp_one(fit, first_us), timefit.stamp_one(fit, last_us))
        self.account.fold_next(frame.seq, frame.sample_index, frame.samples, utc_us)
        version = None if fit.provisional else fit.version
        header = (frame.seq, frame.sample_index, frame.samples, frame.cells, frame.flags, first_us)
        batch.frames.append(FrameRow(*self._key, *header, *utc_us, version, message.utc_us, message.payload))
        if version is None:
            self.provisional.append(_Stamped(frame.seq, first_us, last_us, *utc_us))
        times_us = one_frame_utc_us(*utc_us, offsets_us)
        calibration = calibrations.get(frame.calibration_id)
        return NodeSamples(node, self.number, frame.sample_index, times_us, frame.counts, calibration)

    def store(self, batch: Batch, now_us: int) -> None:
        """Put the state of the boot into the batch, beside the frames it accounts for."""
        record = msgspec.json.encode(self.account.record()).decode()
        batch.boots[self._key] = (self._first_seen_us, self.upto, record)
        if self._fit is not None and self._fit.version != self._stored_version:
            self._stored_version = self._fit.version
            batch.fits[self._key] = (self._fit.version, now_us, timefit.to_json(self._fit).decode())

    def settle(self, batch: Batch, *, now_us: int) -> None:
        """No more frames will come: the stamps given are final."""
        before = self._fit
        if before is not None and before.provisional:
            self._fit = timefit.settle(before)
            self._finish(before, self._fit, batch)
            self.store(batch, now_us)

    def _unseen(self, seq: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return bool[K], true at the first sight of a sequence."""
        ledger = self.account.ledger
        if int(seq[0]) > ledger.highest and (np.diff(seq) > 0).all():
            return np.ones(len(seq), np.bool_)
        seen: set[int] = set()
        mask = np.empty(len(seq), np.bool_)
        for k, each in enumerate(seq.tolist()):
            mask[k] = each not in seen and each not in ledger.stored
            seen.add(each)
        return mask

    def _learn(self, new: FrameArrays, batch: Batch) -> timefit.TimeFit:
        """Improve the map of time; where that makes stamps final, they are written so."""
        before = self._fit
        live = new.flags & FLAG_BACKLOG == 0
        fit = timefit.observe_many(
            before, new.last_us, new.arrival_us, new.mono_us, live, before=self._before
        )
        self._fit = fit
        if before is not None:
            self._finish(before, fit, batch)
        return fit

    def _finish(self, before: timefit.TimeFit, fit: timefit.TimeFit, batch: Batch) -> None:
        if fit.provisional or not self.provisional:
            return
        anew_us = timefit.restamp_from(before, fit)
        for frame in self.provisional:
            utc_us, utc_last_us = frame.utc_us, frame.utc_last_us
            if anew_us is not None and frame.first_us >= anew_us:
                utc_us = timefit.stamp_one(fit, frame.first_us)
                utc_last_us = timefit.stamp_one(fit, frame.last_us)
            batch.restamps.append((utc_us, utc_last_us, fit.version, *self._key, frame.seq))
        self.provisional.clear()

    def _columns(self, frames: FrameArrays, utc_us: NDArray[np.int64]) -> FrameColumns:
        decimated = frames.flags & FLAG_DECIMATED != 0
        return FrameColumns(
            frames.seq,
            frames.sample_index,
            frames.samples,
            decimated,
            utc_us[0],
            utc_us[1],
            stands_for(frames.flags) if decimated.any() else None,
        )

    def _account(
        self, frames: FrameArrays, new: FrameArrays, utc_us: NDArray[np.int64], fit: timefit.TimeFit
    ) -> None:
        if len(frames) > len(new):
            utc_us = timefit.stamp(fit, np.stack([frames.first_us, frames.last_us]))
        self.account.fold(self._columns(frames, utc_us))

    def _account_again(self, frames: FrameArrays) -> None:
        """Count frames that were all seen before."""
        self.account.fold(self._columns(frames, np.stack([frames.arrival_us, frames.arrival_us])))

    def _rows(self, new: FrameArrays, utc_us: NDArray[np.int64], fit: timefit.TimeFit, batch: Batch) -> None:
        version = None if fit.provisional else fit.version
        inbound = new.inbound
        columns = (new.seq, new.sample_index, new.samples, new.cells, new.flags, new.first_us)
        table = zip(*(each.tolist() for each in (*columns, utc_us[0], utc_us[1])), strict=True)
        for row, position, arrival_us in zip(
            table, new.position.tolist(), new.arrival_us.tolist(), strict=True
        ):
            payload = inbound[position].payload
            batch.frames.append(FrameRow._make((*self._key, *row, version, arrival_us, payload)))
        if version is None:
            times = (new.seq, new.first_us, new.last_us, utc_us[0], utc_us[1])
            self.provisional.extend(
                _Stamped(*each) for each in zip(*(t.tolist() for t in times), strict=True)
            )

    def _record_losses(self, oldest_seq: int, batch: Batch) -> None:
        """Put on record what the node lets go of, and take off the record what came after all."""
        newly = self.account.ledger.lost_below(oldest_seq) if oldest_seq > self.upto + 1 else []
        recovered = self.account.ledger.take_recovered()
        if not newly and not recovered:
            return
        for seq in recovered:
            self._damaged.discard(seq)
        self._store_gaps(batch, self.last_utc_us)

    def _store_gaps(self, batch: Batch, now_us: int) -> None:
        """Put all gaps of the boot into the batch; those a damaged journal made are apart from the others."""
        lost = self.account.ledger.lost.intervals
        spans = dict.fromkeys(self._damaged.intervals, DAMAGE_REASON)
        spans |= {span: GAP_REASON for first, last in lost for span in holes(first, last, self._damaged)}
        self._gaps = {span: self._gaps.get(span, now_us) for span in sorted(spans)}
        batch.gaps[self._key] = [GapRow(*span, spans[span], at_us) for span, at_us in self._gaps.items()]

    def lose(self, lost: Lost, batch: Batch, now_us: int) -> None:
        """Put on record as lost what was stored and cannot be read any more."""
        rows = np.array([row[2:10] for row in lost.beside], np.int64).reshape(-1, 8).T
        seq, index, samples, _, flags, _, utc_us, utc_last_us = rows
        decimated = flags & FLAG_DECIMATED != 0
        beside = FrameColumns(seq, index, samples, decimated, utc_us, utc_last_us, stands_for(flags))
        self.account.lose(lost.spans, lost.frames, lost.samples, beside)
        for first, last in lost.spans:
            self._damaged.add(first, last)
        self._store_gaps(batch, now_us)
        self.store(batch, now_us)

    def adopt(self, rows: Sequence[FrameRow], batch: Batch) -> None:
        """Take up frames with provisional stamps that came into the journal behind our back."""
        known = {frame.seq for frame in self.provisional}
        for row in rows:
            if row.seq in known:
                continue
            last_us = int(decode(row.payload).sample_device_us[-1])
            fit = self._fit
            if fit is None or fit.provisional:
                times = (row.device_us, last_us, row.utc_us, row.utc_last_us)
                self.provisional.append(_Stamped(row.seq, *times))
                continue
            stamps = (timefit.stamp_one(fit, row.device_us), timefit.stamp_one(fit, last_us))
            batch.restamps.append((*stamps, fit.version, *self._key, row.seq))


def stored_fit(reader: Reader, node: int, boot: int) -> timefit.TimeFit | None:
    """Return the map of time of a boot as the journal has it, None where there is none."""
    stored = reader.fit(node, boot)
    if stored is None:
        return None
    return timefit.restore(timefit.from_json(stored[1]), reader.newest_device_us(node, boot))


def stretches(
    new: FrameArrays,
    utc_us: NDArray[np.int64],
    calibrations: Mapping[int, NodeCalibration],
    boot: tuple[str, int],
) -> list[NodeSamples]:
    """Return the samples of new frames as stretches without holes, in order of their index."""
    found: list[NodeSamples] = []
    for number, group in enumerate(new.groups):
        mine = np.flatnonzero(new.group == number)
        if not len(mine):
            continue
        if len(mine) > 1:
            mine = mine[np.argsort(new.seq[mine], kind="stable")]
        members = new.member[mine]
        times = sample_utc_us(utc_us[0][mine], utc_us[1][mine], group.sample_device_us[members])
        counts = group.counts[members]
        index, calibration = new.sample_index[mine], new.calibration_id[mine]
        follows = (index[1:] == index[:-1] + group.samples) & (calibration[1:] == calibration[:-1])
        follows &= times[1:, 0] > times[:-1, -1]
        borders = [0, *(np.flatnonzero(~follows) + 1).tolist(), len(mine)]
        for start, stop in pairwise(borders):
            found.append(
                NodeSamples(
                    *boot,
                    int(index[start]),
                    times[start:stop].reshape(-1),
                    counts[start:stop].reshape(-1, group.cells),
                    calibrations.get(int(calibration[start])),
                )
            )
    if len(found) > 1:
        found.sort(key=lambda stretch: stretch.first_index)
    return found
