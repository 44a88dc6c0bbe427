"""How far a sink is: everything up to a cursor, and stretches beyond it, so that new frames need not wait.

Pure; ids are those of the journal's frames.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import msgspec

from ashibar.core import decoding

SPLIT_FRAMES: Final = 4000  # so far behind, the newest get a lane of their own: eight minutes of one node


class LanesState(msgspec.Struct, frozen=True):
    """What a restart goes on from."""

    ahead: list[tuple[int, int]]


@dataclass(slots=True)
class Lanes:
    """`cursor`: every frame up to it is written. `ahead`: more that is, (from, to], in order."""

    cursor: int
    ahead: list[tuple[int, int]] = field(default_factory=list)

    @classmethod
    def restored(cls, cursor: int, value: str | None) -> Lanes:
        """Return the lanes as `state` gave them."""
        known = [] if value is None else decoding.from_json(value, LanesState).ahead
        lanes = cls(cursor, [(first, last) for first, last in known if last > cursor])
        lanes._join()
        return lanes

    @property
    def state(self) -> str:
        """The lanes beside the cursor, JSON."""
        return msgspec.json.encode(LanesState(self.ahead)).decode()

    @property
    def live(self) -> int:
        """Where the newest lane stands: the next frame to write at once is behind it."""
        return self.ahead[-1][1] if self.ahead else self.cursor

    @property
    def hole(self) -> tuple[int, int] | None:
        """The oldest stretch (from, to] that is not written while newer ones are, None without one."""
        return (self.cursor, self.ahead[0][0]) if self.ahead else None

    def follow(self, newest: int) -> None:
        """Begin a lane at the newest frame if the one there is too far behind."""
        if newest - self.live > SPLIT_FRAMES:
            if self.ahead and self.ahead[-1][0] == self.ahead[-1][1]:
                self.ahead.pop()
            self.ahead.append((newest, newest))

    def wrote_live(self, last: int) -> None:
        """The newest lane came as far as `last`."""
        if self.ahead:
            self.ahead[-1] = (self.ahead[-1][0], last)
        else:
            self.cursor = last

    def wrote_old(self, last: int) -> None:
        """The oldest hole is filled up to `last`."""
        self.cursor = last
        self._join()

    def behind(self, newest: int) -> int:
        """Return how many ids are neither written nor skipped, up to the newest."""
        return newest - self.cursor - sum(last - first for first, last in self.ahead)

    def _join(self) -> None:
        while self.ahead and self.ahead[0][0] <= self.cursor:
            self.cursor = max(self.cursor, self.ahead.pop(0)[1])
