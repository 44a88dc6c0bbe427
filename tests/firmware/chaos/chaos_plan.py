"""What goes wrong when, drawn from a seed: the same seed is the same plan. Does nothing by itself."""

import random
from dataclasses import dataclass

ADC_FAULTS = (
    "wire_off", "stuck_low", "stuck_high", "frozen", "spike", "saturated", "slow_chip", "clock_stretched",
)  # fmt: skip
HALF_OPEN_S = 11.0  # a node calls a silent connection dead within 10 s


@dataclass(frozen=True)
class Step:
    """One fault from `at_s` to `at_s` + `for_s`; `who` is a node's number, 0 for the servers."""

    at_s: float
    for_s: float
    who: int
    fault: str
    choice: int  # which cell, which bad message

    def words(self):
        who = f"node {self.who}" if self.who else "servers"
        return f"{self.at_s:8.2f} s  {who:<8} {self.fault:<16} {self.for_s:5.2f} s  {self.choice}"


# Fault: shortest, longest (seconds). In a lane every kind comes once before any comes again.
SERVERS = {
    "kill broker": (0.1, 4.0),
    "freeze broker": (0.5, 6.0),
    "kill host": (0.2, 4.0),
    "cut host": (0.2, 3.0),
    "kill both": (3.0, 5.0),  # the host is away, and the broker killed meanwhile forgets what it kept for it
}
WIRE = {
    "cut": (0.0, 0.1),
    "refuse": (0.5, 6.0),
    "slow broker": (2.0, 5.0),
    "half-open": (HALF_OPEN_S, HALF_OPEN_S + 3.0),
    "network gone": (1.0, 8.0),
}
CELLS = dict.fromkeys(ADC_FAULTS, (0.05, 7.0))
POWER = {"power cut": (0.0, 0.0), "reboot": (0.0, 0.0)}
WORDS = {"bad message": (0.0, 0.0)}


def draw(seed, nodes, resetting, length_s, *, long_run=False):
    """Return the steps in order of time, all over by `length_s`. `resetting`: nodes that are reset as well.

    A long run leaves more time between faults, so that most of the way is there most of the time, and makes
    every eighth outage of a node's network longer than a small memory.
    """
    pace = 5.0 if long_run else 1.0
    steps = lane(seed, 0, SERVERS, length_s, (1.5 * pace, 5.0 * pace))
    for node in nodes:
        steps += lane(
            seed, node, WIRE, length_s, (0.5 * pace, 5.0 * pace), stretch=10.0 if long_run else None
        )
        steps += lane(seed, node, CELLS, length_s, (0.0, 3.0 * pace))
        steps += lane(seed, node, WORDS, length_s, (0.3, 2.0 * pace))
        if node in resetting:
            steps += lane(seed, node, POWER, length_s, (5.0 * pace, 25.0 * pace) if long_run else (5.0, 15.0))
    return sorted(steps, key=lambda step: step.at_s)


def lane(seed, who, kinds, length_s, pause_s, *, stretch=None):
    """Return one fault after the other, with pauses."""
    chance = random.Random(f"{seed} {who} {' '.join(kinds)}")
    steps, bag, at_s = [], [], chance.uniform(*pause_s)
    while True:
        bag = bag or chance.sample(sorted(kinds), len(kinds))
        fault = bag.pop()
        for_s = chance.uniform(*kinds[fault])
        if stretch and fault == "network gone" and chance.random() < 0.125:
            for_s *= stretch
        if at_s + for_s > length_s:
            return steps
        steps.append(Step(round(at_s, 2), round(for_s, 2), who, fault, chance.randrange(1 << 16)))
        at_s += for_s + chance.uniform(*pause_s)
