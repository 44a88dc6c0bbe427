"""Two boards that answer to one name: noticed where a node goes back to a boot it had left.

A boot that is over never speaks again, so going back twice within a minute takes two living boards.
"""

from __future__ import annotations

from typing import Final

RETURNS: Final = 2
WITHIN_US: Final = 60_000_000


class Rivals:
    """The boots heard of one node, by monotonic microseconds."""

    def __init__(self) -> None:
        self._speaking: int | None = None
        self._left: set[int] = set()
        self._returns: list[tuple[int, int, int]] = []

    def heard(self, boot: int, mono_us: int) -> bool:
        """Take note of live samples of a boot; answer whether the problem has just begun."""
        if boot == self._speaking:
            return False
        before = self.problem("", mono_us) is not None
        if boot in self._left and self._speaking is not None:
            self._returns = [*self._returns[1 - RETURNS :], (mono_us, self._speaking, boot)]
        if self._speaking is not None:
            self._left.add(self._speaking)
        self._speaking = boot
        return not before and self.problem("", mono_us) is not None

    def problem(self, name: str, mono_us: int) -> str | None:
        """Say what is wrong and what to do, None while nothing is."""
        recent = [each for each in self._returns if mono_us - each[0] < WITHIN_US]
        if len(recent) < RETURNS:
            return None
        _, one, other = recent[-1]
        return (
            f"node {name}: one board of this name expected, two are connected in turn "
            f"(boots {one:08x} and {other:08x}); their samples are kept apart, but no figure can be trusted: "
            "give one of them another name, or switch it off"
        )
