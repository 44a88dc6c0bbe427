"""A host whose power is cut: what it had not stored is gone, and the broker still has it."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from ashibar.io.mqtt import Inbound
from records import T0
from studio import KG, RIG, TURN_US, Studio, act, end, start

GATHER_US = 100_000  # as io.journal.committer
AT_ONCE_US = 2_000  # between two messages that the broker had kept
RATE = 80
BARS = np.array([0.3, 0.2, 0.3, 0.2])


@dataclass
class KilledStudio(Studio):
    """The journal's thread is behind by up to GATHER_US; `kill` drops what it has not stored."""

    seed: int = 0
    queue: deque = field(default_factory=deque)  # (batch, what to call then, message) in the order handed in
    broker: deque = field(default_factory=deque)  # messages not acknowledged, oldest first
    waiting: list = field(default_factory=list)  # samples not evaluated yet
    down: bool = False
    stored_us: int = 0

    def start(self):
        self.chance = random.Random(self.seed)
        self.waiting.clear()
        super().start()
        self.flush()

    def _commit(self, batch, then=None):
        self.queue.append((batch, then, None))

    def flush(self):
        self.stored_us = self.now_us
        while self.queue:
            batch, then, message = self.queue.popleft()
            self.journal.commit(batch)
            if message is not None:
                self.broker.remove(message)
            if then is not None:
                then()

    def hear(self, topic, payload, node="bars"):
        if topic != "samples":
            super().hear(topic, payload, node)
            return
        message = (topic, payload)
        self.broker.append(message)
        if not self.down:
            self._take(message)

    def _take(self, message):
        name = f"ashibar/v1/test/bars/{message[0]}"
        came = Inbound(name, message[1], 1, 1, False, self.now_us - T0, self.now_us, 1)
        intake = self.ingest.take([came])
        self.service.note_late(intake.samples, intake.batch, self.now_us)
        self.queue.append((intake.batch, None, message))
        self.waiting += intake.samples
        if self.chance.random() < 0.6:
            self.evaluate()

    def evaluate(self):
        waiting, self.waiting = self.waiting, []
        if waiting:
            self.service.hold(self.live.name, waiting, self.now_us)
            self.service.look(self.live.name, self.now_us)

    def work(self):
        if self.down:
            return
        self.evaluate()
        super().work()
        if self.now_us - self.stored_us >= GATHER_US:
            self.flush()

    def ask(self, request):
        answer = self.desk.ask(request)
        self.work()
        self.flush()
        return answer.result(timeout=0)

    def kill(self):
        """Cut the power; what is handed in and not stored is gone."""
        self.down = True
        self.queue.clear()
        self.waiting.clear()

    def stop(self):
        """Stop in order."""
        self.service.stop(self._commit, self.now_us)
        self.flush()
        self.down = True

    def back(self, part=1.0):
        """Start again; the broker hands out what was never acknowledged, in order, or a part of it."""
        self.down = False
        self.seed += 1
        self.start()
        kept = list(self.broker)
        for number, message in enumerate(kept[: round(part * len(kept))]):
            self._take(message)
            self.now_us += AT_ONCE_US
            if number % 10 == 9:
                self.work()


def course():
    """Three minutes: use without a session, a session with all that can happen in it, use again."""
    total_kg, even = np.zeros(190 * RATE), np.ones(190 * RATE, bool)

    def hold(from_s, to_s, kg):
        total_kg[round(from_s * RATE) : round(to_s * RATE)] = kg

    hold(8, 14, 30)
    hold(15, 16, 12)
    hold(33, 68, 22)
    hold(40, 41.5, 3)
    hold(44, 44.25, 3)
    hold(47, 47.4, 3)
    hold(58, 58.3, 75)
    hold(62, 64, 4)
    hold(78, 118, 14)
    even[78 * RATE : 118 * RATE] = False
    force_n = total_kg[:, None] * KG * np.where(even[:, None], BARS, [0.97, 0.03, 0, 0])
    force_n[50 * RATE : 51 * RATE, 0] += 62 * KG
    return force_n + np.random.default_rng(8).normal(0, 0.05, force_n.shape)


REQUESTS = [
    (T0 + 30_003_000, start()),
    (T0 + 42_000_000, act("client-over-limit")),
    (T0 + 55_000_000, act("hanger-overload:left-head")),
    (T0 + 70_000_000, end()),
]
END_US = T0 + 190_000_000
__all__ = ["END_US", "REQUESTS", "RIG", "TURN_US", "KilledStudio", "course"]
