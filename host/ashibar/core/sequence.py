"""Keeps, for one boot of one node, which frame sequences are stored and which are on record as lost.

It stores no frames and knows no samples; what a lost stretch means in samples is the accounting's.
"""

from __future__ import annotations

from bisect import bisect_right
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

Interval = tuple[int, int]


class Receipt(StrEnum):
    """What a received sequence is to the ledger."""

    NEW = "new"
    DUPLICATE = "duplicate"
    RECOVERED = "recovered"  # new, though it was on record as lost


class IntervalSet:
    """Whole numbers as disjoint inclusive intervals in order; O(log n) to find, O(1) to add at the end."""

    def __init__(self, intervals: Iterable[Interval] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for first, last in intervals:
            self.add(first, last)

    def __len__(self) -> int:
        return len(self._starts)

    def __contains__(self, number: int) -> bool:
        return self.end_of(number) is not None

    @property
    def intervals(self) -> list[Interval]:
        """All intervals, ascending."""
        return list(zip(self._starts, self._ends, strict=True))

    @property
    def last(self) -> int:
        """The greatest number held, -1 if there is none."""
        return self._ends[-1] if self._ends else -1

    def end_of(self, number: int) -> int | None:
        """Return the end of the interval that holds `number`, None if none does."""
        at = bisect_right(self._starts, number) - 1
        return self._ends[at] if at >= 0 and number <= self._ends[at] else None

    def add(self, first: int, last: int) -> None:
        """Add all numbers from `first` to `last`, joining what touches."""
        if self._ends and first == self._ends[-1] + 1:
            self._ends[-1] = last
            return
        low = bisect_right(self._ends, first - 2)
        high = bisect_right(self._starts, last + 1)
        if low < high:
            first, last = min(first, self._starts[low]), max(last, self._ends[high - 1])
        self._starts[low:high] = [first]
        self._ends[low:high] = [last]

    def discard(self, number: int) -> None:
        """Take one number out, splitting its interval."""
        self.cut(number, number)

    def cut(self, first: int, last: int) -> None:
        """Take all numbers from `first` to `last` out, splitting the intervals at the ends."""
        low = bisect_right(self._ends, first - 1)
        high = bisect_right(self._starts, last)
        if low >= high:
            return
        ends = ((self._starts[low], first - 1), (last + 1, self._ends[high - 1]))
        parts = [part for part in ends if part[0] <= part[1]]
        self._starts[low:high] = [part[0] for part in parts]
        self._ends[low:high] = [part[1] for part in parts]


def holes(first: int, last: int, *held: IntervalSet) -> list[Interval]:
    """Return the stretches of `first`..`last` that no set holds, ascending."""
    found: list[Interval] = []
    spans = sorted(span for each in held for span in each.intervals if span[1] >= first and span[0] <= last)
    for start, end in [*spans, (last + 1, last + 1)]:
        if start > first:
            found.append((first, start - 1))
        first = max(first, end + 1)
    return found


class Ledger:
    """The sequences of one boot. `late` counts new ones below a higher one, `duplicates` repeated ones."""

    def __init__(self, stored: Iterable[Interval] = (), lost: Iterable[Interval] = ()) -> None:
        self.stored = IntervalSet(stored)
        self.lost = IntervalSet(lost)
        self.late = 0
        self.duplicates = 0
        self.changes = 0  # goes up with whatever changes `stored` or `lost`
        self._recovered: list[int] = []
        self._upto = -1

    @property
    def highest(self) -> int:
        """The highest sequence stored, -1 if none is."""
        return self.stored.last

    @property
    def upto(self) -> int:
        """All sequences up to and including this one are stored or on record as lost; -1: not even 0 is."""
        while True:
            following = self._upto + 1
            end = self.stored.end_of(following)
            end = end if end is not None else self.lost.end_of(following)
            if end is None:
                return self._upto
            self._upto = end

    def receive(self, seq: int) -> Receipt:
        """Enter one sequence; the caller stores the frame unless it is a duplicate."""
        self.changes += 1
        if seq in self.stored:
            self.duplicates += 1
            return Receipt.DUPLICATE
        self.late += seq < self.highest
        recovered = seq in self.lost
        if recovered:
            self.lost.discard(seq)
            self._recovered.append(seq)
        self.stored.add(seq, seq)
        return Receipt.RECOVERED if recovered else Receipt.NEW

    def receive_many(self, seqs: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Enter sequences in order of arrival; return bool[K], true where the frame is new.

        A run that continues the boot, the usual case, costs the same however long it is.
        """
        self.changes += 1
        new = np.ones(len(seqs), np.bool_)
        wide = seqs.astype(np.int64)
        breaks = np.flatnonzero(np.diff(wide) != 1) + 1
        for start, stop in zip([0, *breaks.tolist()], [*breaks.tolist(), len(wide)], strict=True):
            if start < stop:
                self._receive_run(int(wide[start]), int(wide[stop - 1]), new[start:stop])
        return new

    def cover(self, first: int, last: int) -> None:
        """Enter sequences that a stored decimated frame stands for: they will not come by themselves."""
        self.changes += 1
        for seq in range(first, last + 1):
            self.lost.discard(seq)
        self.stored.add(first, last)

    def lose(self, first: int, last: int) -> None:
        """Put on record as lost what was stored and cannot be read any more."""
        self.changes += 1
        self.stored.cut(first, last)
        self.lost.add(first, last)

    def _receive_run(self, first: int, last: int, new: NDArray[np.bool_]) -> None:
        if first > self.highest and first > self.lost.last:
            self.stored.add(first, last)
            return
        end = self.stored.end_of(first)
        if end is not None and end >= last:
            self.duplicates += last - first + 1
            new[:] = False
            return
        for k, seq in enumerate(range(first, last + 1)):
            new[k] = self.receive(seq) is not Receipt.DUPLICATE

    def lost_below(self, oldest: int) -> list[Interval]:
        """Put on record as lost what is below `oldest` and not stored; return what is new, ascending."""
        newly = holes(self.upto + 1, oldest - 1, self.stored, self.lost) if oldest > self.upto + 1 else []
        self.changes += bool(newly)
        for first, last in newly:
            self.lost.add(first, last)
        return newly

    def missing(self) -> list[Interval]:
        """Return what is neither stored nor on record as lost below the highest; it may still come."""
        return holes(self.upto + 1, self.highest, self.stored, self.lost)

    def take_recovered(self) -> list[int]:
        """Return, once, the sequences that came after they were put on record as lost."""
        taken, self._recovered = self._recovered, []
        return taken
