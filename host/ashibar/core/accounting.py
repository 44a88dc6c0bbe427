"""Accounts for every sample a node took: stored, received again, missing, lost, and what nobody can know.

It counts by sample index and names each gap from-to in sequence, index and time. It stores nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec
import numpy as np

from ashibar.core.sequence import Interval, Ledger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Reason = Literal["pending", "lost", "not_sent"]


class Gap(msgspec.Struct, frozen=True):
    """Samples the record should have and has not, `from` and `to` inclusive; None: not known.

    `pending`: the frames may still come. `lost`: the node no longer holds them, and nobody stored them or
    what was stored cannot be read. `not_sent`: the node took the
    samples and put them into no frame (its sequences are the frames on both sides). `from_utc`, `to_utc`:
    Unix seconds of the last sample stored before and the first one after. A stretch that is partly lost and
    partly pending cannot be divided in samples until the rest has come: `samples` is then None in its parts.
    """

    node: str
    boot: int
    reason: Reason
    from_seq: int
    to_seq: int | None
    from_index: int | None
    to_index: int | None
    from_utc: float | None
    to_utc: float | None
    samples: int | None


class BootSummary(msgspec.Struct, frozen=True):
    """One boot's account, in samples unless the name says frames.

    taken = stored + pending + lost + not_sent + thinned, up to the newest sample known of. `thinned`: indices
    that decimated frames stand for without carrying them; while what follows such a frame is missing, they
    count as missing. `ended`: the node has begun another boot or said good-bye; `tail_unknown` then says that
    it may have taken more than `taken`, and `tail_up_to` how many more at most, None if nobody knows.
    """

    node: str
    boot: int
    taken: int
    stored: int
    pending: int
    lost: int
    not_sent: int
    thinned: int
    duplicates: int
    duplicate_frames: int
    frames: int
    late_frames: int
    ended: bool
    tail_unknown: bool
    tail_up_to: int | None


class Summary(msgspec.Struct, frozen=True):
    """The account of all boots asked for; `missing` is pending + lost + not_sent, `late` counts frames."""

    samples_taken: int
    samples_stored: int
    missing: int
    pending: int
    lost: int
    not_sent: int
    thinned: int
    duplicates: int
    late: int
    unreadable: int
    tails_unknown: int
    gaps: list[Gap]
    boots: list[BootSummary]


class _Edge(msgspec.Struct, frozen=True, array_like=True):
    """A stored frame with a neighbour missing: indices from `start` to before `end`, times of its ends."""

    start: int
    end: int
    decimated: bool
    first_utc_us: int
    last_utc_us: int


class BootRecord(msgspec.Struct):
    """A boot's account as it is stored and taken up again; field by field what `BootAccount` holds."""

    node: str
    boot: int
    stored: list[Interval] = []
    on_record_lost: list[Interval] = []
    edges: dict[int, _Edge] = {}
    not_sent: list[Gap] = []
    samples: int = 0
    frames: int = 0
    thinned: int = 0
    duplicates: int = 0
    duplicate_frames: int = 0
    late_frames: int = 0
    taken_reported: int = 0
    ended: bool = False
    count_final: bool = False
    tail_up_to: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class FrameColumns:
    """K frames of one boot in order of arrival; times are of each frame's first and last sample, UTC.

    `stands_for`: how many sequences from its own on each frame stands for; None: one each.
    """

    seq: NDArray[np.int64]
    sample_index: NDArray[np.int64]
    samples: NDArray[np.int64]
    decimated: NDArray[np.bool_]
    first_utc_us: NDArray[np.int64]
    last_utc_us: NDArray[np.int64]
    stands_for: NDArray[np.int64] | None = None

    @property
    def last_seq(self) -> NDArray[np.int64]:
        """The last sequence each frame stands for."""
        return self.seq if self.stands_for is None else self.seq + self.stands_for - 1

    def chosen(self, where: NDArray[np.integer] | NDArray[np.bool_]) -> FrameColumns:
        """Return the frames at `where`."""
        return FrameColumns(
            seq=self.seq[where],
            sample_index=self.sample_index[where],
            samples=self.samples[where],
            decimated=self.decimated[where],
            first_utc_us=self.first_utc_us[where],
            last_utc_us=self.last_utc_us[where],
            stands_for=None if self.stands_for is None else self.stands_for[where],
        )


class _Told(NamedTuple):
    """What a boot's account said, and after which changes."""

    state: tuple[int, int]
    summary: BootSummary
    gaps: list[Gap]


class BootAccount:
    """The account of one boot of one node, with its ledger of sequences."""

    def __init__(self, node: str, boot: int, record: BootRecord | None = None) -> None:
        self._record = record or BootRecord(node, boot)
        self.ledger = Ledger(self._record.stored, self._record.on_record_lost)
        self._told: _Told | None = None
        self._changes = 0

    @property
    def newest_index(self) -> int:
        """The sample index after the newest one stored; 0: none."""
        edge = self._record.edges.get(self.ledger.highest)
        return edge.end if edge is not None else 0

    def fold(self, frames: FrameColumns) -> NDArray[np.bool_]:
        """Enter received frames; return bool[K], true where the frame is new and has to be stored."""
        self._changes += 1
        late = self.ledger.late
        new = self.ledger.receive_many(frames.seq)
        last_seq = frames.last_seq
        for k in np.flatnonzero(last_seq > frames.seq).tolist():
            self.ledger.cover(int(frames.seq[k]) + 1, int(last_seq[k]))
        record = self._record
        record.late_frames += self.ledger.late - late
        again = int(np.count_nonzero(~new))
        if again:
            record.duplicate_frames += again
            record.duplicates += int(frames.samples[~new].sum())
            frames = frames.chosen(new)
        if len(frames.seq):
            self._enter(frames.chosen(np.argsort(frames.seq, kind="stable")))
        return new

    def follows(self, seq: int, sample_index: int) -> bool:
        """Tell whether a frame follows the newest one, with neither frame nor sample missing before it."""
        ledger = self.ledger
        return seq == ledger.highest + 1 == ledger.upto + 1 and sample_index == self.newest_index

    def fold_next(self, seq: int, sample_index: int, samples: int, utc_us: tuple[int, int]) -> None:
        """Enter a frame that `follows`, not decimated, with the times of its ends; as `fold`."""
        self._changes += 1
        self.ledger.stored.add(seq, seq)
        record = self._record
        record.samples += samples
        record.frames += 1
        record.edges[seq] = _Edge(sample_index, sample_index + samples, False, *utc_us)
        if len(record.edges) > 4 * (len(self.ledger.stored) + 16):
            self._prune()

    def lost_below(self, oldest_seq: int) -> list[Gap]:
        """Put on record what the node no longer holds and nobody stored; return the gaps that are new."""
        newly = self.ledger.lost_below(oldest_seq)
        return [gap for gap in self.gaps() if gap.reason == "lost" and _within(gap, newly)] if newly else []

    def lose(self, spans: Sequence[Interval], frames: int, samples: int, beside: FrameColumns) -> None:
        """Put on record as lost what was stored and cannot be read: sequences, so many frames and samples.

        `beside` are the stored frames next to them, whose indices say what is missing.
        """
        self._changes += 1
        record = self._record
        record.taken_reported = max(record.taken_reported, self.newest_index)  # it was there once
        for first, last in spans:
            self.ledger.lose(first, last)
        record.frames -= frames
        record.samples -= samples
        for k, (seq, last_seq) in enumerate(zip(beside.seq.tolist(), beside.last_seq.tolist(), strict=True)):
            record.edges[seq] = record.edges[last_seq] = _edge(beside, k)

    def report_taken(self, samples: int) -> None:
        """Take note of the node's own count of samples taken (its `health`)."""
        self._changes += 1
        self._record.taken_reported = max(self._record.taken_reported, samples)

    def end(self, tail_up_to: int | None = None, *, count_final: bool = False) -> None:
        """Note that the boot is over.

        `tail_up_to`: at most so many samples came after the newest known, None: unknown. `count_final`: the
        count last reported by the node was its last, so there is no unknown tail.
        """
        self._changes += 1
        self._record.ended = True
        self._record.tail_up_to = tail_up_to
        self._record.count_final = count_final

    def gaps(self) -> list[Gap]:
        """Return all gaps of the boot, in order of sequence."""
        lost = [self._gap("lost", *span) for span in self.ledger.lost.intervals]
        pending = [self._gap("pending", *span) for span in self.ledger.missing()]
        found = [*lost, *pending, *self._record.not_sent, *self._tail()]
        return sorted(found, key=lambda gap: gap.from_seq)

    def summary(self) -> BootSummary:
        """Return the account as it stands."""
        record, holes = self._record, self._holes()
        pending = sum(count for count, waiting in holes if waiting) + sum(
            g.samples or 0 for g in self._tail()
        )
        lost = sum(count for count, waiting in holes if not waiting)
        not_sent = sum(gap.samples or 0 for gap in record.not_sent)
        return BootSummary(
            node=record.node,
            boot=record.boot,
            taken=record.samples + pending + lost + not_sent + record.thinned,
            stored=record.samples,
            pending=pending,
            lost=lost,
            not_sent=not_sent,
            thinned=record.thinned,
            duplicates=record.duplicates,
            duplicate_frames=record.duplicate_frames,
            frames=record.frames,
            late_frames=record.late_frames,
            ended=record.ended,
            tail_unknown=record.ended and not record.count_final,
            tail_up_to=0 if record.count_final else record.tail_up_to,
        )

    def told(self) -> _Told:
        """Return summary and gaps, worked out once for each change: most boots are long over."""
        state = (self.ledger.changes, self._changes)
        if self._told is None or self._told.state != state:
            self._told = _Told(state, self.summary(), self.gaps())
        return self._told

    def record(self) -> BootRecord:
        """Return what has to be stored to take the account up again."""
        self._record.stored = self.ledger.stored.intervals
        self._record.on_record_lost = self.ledger.lost.intervals
        self._prune()
        return self._record

    def _enter(self, frames: FrameColumns) -> None:
        """Count new frames, in order of sequence, and compare each with its neighbours' indices."""
        end = frames.sample_index + frames.samples
        self._record.samples += int(frames.samples.sum())
        self._record.frames += len(frames.seq)
        last_seq = frames.last_seq
        adjoining = frames.seq[1:] - last_seq[:-1] == 1
        jump = frames.sample_index[1:] - end[:-1]
        for k in np.flatnonzero(adjoining & (jump > 0)).tolist():
            self._between(_edge(frames, k), _edge(frames, k + 1), int(last_seq[k]))
        borders = np.flatnonzero(~adjoining)
        for k in [0, *(borders + 1).tolist()]:
            self._join_below(int(frames.seq[k]), _edge(frames, k))
        for k in [*borders.tolist(), len(frames.seq) - 1]:
            self._join_above(int(last_seq[k]), _edge(frames, k))
        if len(self._record.edges) > 4 * (len(self.ledger.stored) + 16):
            self._prune()

    def _join_below(self, seq: int, edge: _Edge) -> None:
        self._record.edges[seq] = edge
        below = self._record.edges.get(seq - 1)
        if below is not None or seq == 0:
            self._between(below, edge, seq - 1)

    def _join_above(self, seq: int, edge: _Edge) -> None:
        self._record.edges[seq] = edge
        above = self._record.edges.get(seq + 1)
        if above is not None:
            self._between(edge, above, seq)

    def _between(self, before: _Edge | None, after: _Edge, seq: int) -> None:
        """Account for indices between two frames that follow each other: thinned out, or never sent.

        None before the boot's first frame, whose `seq` is then -1.
        """
        start = before.end if before is not None else 0
        count = after.start - start
        if count <= 0:
            return
        if before is not None and before.decimated:
            self._record.thinned += count
            return
        record = self._record
        since = before.last_utc_us / 1e6 if before is not None else None
        times = (since, after.first_utc_us / 1e6)
        indices = (start, after.start - 1)
        gap = Gap(record.node, record.boot, "not_sent", max(0, seq), seq + 1, *indices, *times, count)
        record.not_sent.append(gap)

    def _prune(self) -> None:
        """Forget the indices of frames whose neighbours are both stored."""
        wanted = {seq for span in self.ledger.stored.intervals for seq in span}
        self._record.edges = {seq: e for seq, e in self._record.edges.items() if seq in wanted}

    def _gap(self, reason: Reason, first: int, last: int) -> Gap:
        before, after = self._record.edges.get(first - 1), self._record.edges.get(last + 1)
        from_index = 0 if first == 0 else before.end if before is not None else None
        to_index = after.start - 1 if after is not None else None
        samples = None if from_index is None or to_index is None else max(0, to_index + 1 - from_index)
        return Gap(
            node=self._record.node,
            boot=self._record.boot,
            reason=reason,
            from_seq=first,
            to_seq=last,
            from_index=from_index,
            to_index=to_index,
            from_utc=before.last_utc_us / 1e6 if before is not None else None,
            to_utc=after.first_utc_us / 1e6 if after is not None else None,
            samples=samples,
        )

    def _holes(self) -> list[tuple[int, bool]]:
        """Return, for each stretch between stored frames, its samples and whether some may still come."""
        edges, found = self._record.edges, []
        spans = [(-1, -1), *self.ledger.stored.intervals]
        waiting = self.ledger.missing()
        for (_, last), (first, _) in pairwise(spans):
            start = edges[last].end if last >= 0 else 0
            count = max(0, edges[first].start - start) if first > last + 1 else 0
            if count:
                found.append((count, any(last < span[0] < first for span in waiting)))
        return found

    def _tail(self) -> list[Gap]:
        """Return the samples the node has counted beyond the newest one stored, as a gap."""
        record, start = self._record, self.newest_index
        beyond = record.taken_reported - start
        if beyond <= 0 or not record.ended:
            return []
        edge = record.edges.get(self.ledger.highest)
        since = edge.last_utc_us / 1e6 if edge is not None else None
        seq = self.ledger.highest + 1
        return [
            Gap(
                record.node, record.boot, "pending", seq, None, start, start + beyond - 1, since, None, beyond
            )
        ]


class Accounting:
    """The accounts of all nodes and boots; `unreadable` payloads count by node, their boot is unknown."""

    def __init__(self) -> None:
        self._boots: dict[tuple[str, int], BootAccount] = {}
        self.unreadable: dict[str, int] = {}

    def boot(self, node: str, boot: int) -> BootAccount:
        """Return the account of a boot, begun if there is none."""
        key = (node, boot)
        if key not in self._boots:
            self._boots[key] = BootAccount(node, boot)
        return self._boots[key]

    def restore(self, record: BootRecord) -> BootAccount:
        """Take up a stored account."""
        account = BootAccount(record.node, record.boot, record)
        self._boots[record.node, record.boot] = account
        return account

    def count_unreadable(self, node: str, payloads: int = 1) -> None:
        """Count payloads that were no readable frame."""
        self.unreadable[node] = self.unreadable.get(node, 0) + payloads

    def summary(self, node: str | None = None) -> Summary:
        """Return the account of one node, or of all, over all boots known."""
        accounts = [each for key, each in self._boots.items() if node in (None, key[0])]
        told = [account.told() for account in accounts]
        boots = [each.summary for each in told]
        pending, lost = sum(b.pending for b in boots), sum(b.lost for b in boots)
        not_sent = sum(b.not_sent for b in boots)
        return Summary(
            samples_taken=sum(b.taken for b in boots),
            samples_stored=sum(b.stored for b in boots),
            missing=pending + lost + not_sent,
            pending=pending,
            lost=lost,
            not_sent=not_sent,
            thinned=sum(b.thinned for b in boots),
            duplicates=sum(b.duplicates for b in boots),
            late=sum(b.late_frames for b in boots),
            unreadable=sum(n for name, n in self.unreadable.items() if node in (None, name)),
            tails_unknown=sum(b.tail_unknown for b in boots),
            gaps=[gap for each in told for gap in each.gaps],
            boots=boots,
        )


def _edge(frames: FrameColumns, k: int) -> _Edge:
    start = int(frames.sample_index[k])
    times = (int(frames.first_utc_us[k]), int(frames.last_utc_us[k]))
    return _Edge(start, start + int(frames.samples[k]), bool(frames.decimated[k]), *times)


def _within(gap: Gap, newly: list[Interval]) -> bool:
    return any(
        gap.to_seq is not None and gap.from_seq <= first and last <= gap.to_seq for first, last in newly
    )
