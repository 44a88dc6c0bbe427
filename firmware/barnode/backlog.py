"""Frames held until the host has stored them: which is sent next, which is sent again, which is let go when
memory is short. No I/O and no clock: the caller passes milliseconds. Preallocated; every operation is bounded
and short."""

from array import array

from micropython import const

from barnode.chain import Chain
from barnode.clock import since_ms
from barnode.decimate import Decimation, level_of
from barnode.frame import BACKLOG, LOST_BEFORE

FREE = const(0)
BUILDING = const(1)  # being filled with samples
QUEUED = const(2)  # to be sent
FLIGHT = const(3)  # sent, the broker has not acknowledged
TAKEN = const(4)  # the broker has it, the host has not confirmed
REFUSED = const(5)  # the broker said that nobody is subscribed: as good as not delivered

LIVE_MS = const(500)  # a frame sent for the first time within this of its last sample is live
RESEND_AFTER_MS = const(5000)  # docs/protocol.md: not committed this long after the broker took it
HOST_ALIVE_MS = const(5000)  # a host commits at 1 to 2 Hz: this long without is a host that is not there
SPARE_SLOTS = const(4)  # room is made ahead when fewer are free, the one being filled included
_ROOM_STEPS = const(200)  # bounds what making room at the last moment may take
_REQUEUE_LIMIT = const(64)  # bounds the work between two samples


class Backlog:
    """A pool of frame buffers with the state of each.

    `slots` is a list of at least 2 bytearrays, each as long as the longest frame. A slot is named by its
    index; a frame by its sequence. Counters: `dropped`, `dropped_samples` (let go before the broker had them:
    lost), `let_go` (let go after the broker had taken them, before the host confirmed), `sent`, `resent`.
    With `cells` given, frames are decimated before any is dropped; that needs `work` to be called often.
    """

    def __init__(self, slots, cells=0):
        n = len(slots)
        if n < 2:
            raise ValueError("at least 2 slots expected, %d came: free memory or make frames smaller" % n)
        self.slots = slots
        self.state = bytearray(n)
        self.samples = bytearray(n)
        self._flags = bytearray(n)
        self.sequence = array("i", [0] * n)
        self._at_ms = array("i", [0] * n)  # completed while queued, acknowledged once taken or refused
        self._times_sent = bytearray(n)
        self._live_lane = bytearray(n)
        links = array("h", [0] * n), array("h", [0] * n)
        self._order = Chain(array("h", [0] * n), array("h", [0] * n))  # all complete frames, by sequence
        self._free = Chain(*links)
        self._queue = Chain(*links)
        self._taken = Chain(*links)  # sent oldest first, so by sequence
        self._taken_live = Chain(*links)  # sent as the newest, so by sequence too
        for slot in range(n):
            self._free.append(slot)
        self.held = 0
        self.dropped = 0
        self.dropped_samples = 0
        self.let_go = 0
        self.sent = 0
        self.resent = 0
        self.committed = -1
        self.newest = -1
        self._newest_turn = False
        self._lost = 0
        self._host_ms = -1
        self._covers = array("H", [0] * n)  # samples taken that the frame stands for
        self._decimation = Decimation(self, cells) if cells else None

    # Filling

    def take_slot(self):
        """A slot to build the next frame in; when none is free the least missed frame is let go."""
        if self._free.first < 0:
            self.sweep(1)
        if self._free.first < 0:
            self._make_room()
        slot = self._free.first
        self._free.remove(slot)
        self.state[slot] = BUILDING
        return slot

    def push(self, slot, sequence, samples, now_ms, flags=0):
        """Hold the frame built in `slot`; sequences must rise. `flags` are those of its samples."""
        self.sequence[slot] = sequence
        self.samples[slot] = samples
        self._flags[slot] = flags | self._lost
        self._lost = 0
        self._at_ms[slot] = now_ms
        self._times_sent[slot] = 0
        self.state[slot] = QUEUED
        self._covers[slot] = samples
        self._order.append(slot)
        self._queue.append(slot)
        self.newest = sequence
        self.held += 1
        if self._decimation is not None:
            self._decimation.pushed(slot)

    def give_back(self, slot):
        """Return a slot of `take_slot` unused."""
        self.state[slot] = FREE
        self._free.append(slot)

    # Sending

    def pick(self, now_ms):
        """The slot to send next, now in flight, or -1: oldest first, but behind an old backlog every other
        one is the newest, so that live figures never wait for history."""
        while True:
            slot = self._queue.first
            if slot < 0:
                return -1
            if self.sequence[slot] > self.committed:
                break
            self._release(slot)
        newest = self._queue.last
        live = False
        if not self.is_live(slot, now_ms) and self.is_live(newest, now_ms):
            self._newest_turn = live = not self._newest_turn
        if live:
            slot = newest
        self._live_lane[slot] = live
        self._queue.remove(slot)
        self.state[slot] = FLIGHT
        return slot

    def is_live(self, slot, now_ms):
        """Whether the frame, about to be sent, may serve the host as live (before `note_sent`)."""
        return self._times_sent[slot] == 0 and since_ms(now_ms, self._at_ms[slot]) < LIVE_MS

    def flags(self, slot, now_ms):
        """The frame's flags as of now (before `note_sent`)."""
        return self._flags[slot] | (0 if self.is_live(slot, now_ms) else BACKLOG)

    def note_sent(self, slot):
        """Count one sending of the frame in `slot`."""
        times = self._times_sent[slot]
        if times:
            self.resent += 1
        else:
            self.sent += 1
        if times < 255:
            self._times_sent[slot] = times + 1

    def in_flight(self, slot, sequence):
        """Whether `slot` still holds that frame, sent and unacknowledged."""
        return self.state[slot] == FLIGHT and self.sequence[slot] == sequence

    def acknowledge(self, slot, sequence, now_ms, refused=False):
        """The broker's PUBACK; `refused` when it told that nobody is subscribed. Late ones change nothing."""
        if not self.in_flight(slot, sequence):
            return
        self._at_ms[slot] = now_ms
        if refused:
            self.state[slot] = REFUSED
            return
        self.state[slot] = TAKEN
        if self._live_lane[slot]:
            self._taken_live.append(slot)
        else:
            self._taken.append(slot)

    def oldest(self):
        """Sequence of the oldest frame held, or the one to come when none is."""
        slot = self._order.first
        return self.newest + 1 if slot < 0 else self.sequence[slot]

    # The host's word

    def commit(self, upto, now_ms, alive=True):
        """The host has stored this boot up to `upto`. False, and nothing changes, when it cannot have.

        `alive` is False for a word kept by the broker, which tells nothing of the host now."""
        if alive:
            self._host_ms = now_ms
        if not -1 <= upto <= self.newest:
            return False
        if upto > self.committed:
            self.committed = upto
        return True

    def host_seen(self, now_ms):
        """The host spoke, whatever it said."""
        self._host_ms = now_ms

    def host_alive(self, now_ms):
        if self._host_ms >= 0 and since_ms(now_ms, self._host_ms) >= HOST_ALIVE_MS:
            self._host_ms = -1
        return self._host_ms >= 0

    def sweep(self, limit=16):
        """Free up to `limit` frames that are committed; answers how many."""
        freed = 0
        while freed < limit:
            slot = self._order.first
            if slot < 0 or self.sequence[slot] > self.committed:
                break
            self._release(slot)
            freed += 1
        return freed

    def requeue_due(self, now_ms):
        """Queue again what the broker took but the live host has not confirmed in time; answers how many.

        `committed` only ever covers a run from the oldest frame, so the walk stops at the first frame that is
        not due: a live frame sent ahead of the backlog is not due before the backlog has had its chance."""
        if not self.host_alive(now_ms):
            return 0
        self.sweep(_REQUEUE_LIMIT)
        slot = self._order.first
        behind = -1
        queued = 0
        while slot >= 0 and queued < _REQUEUE_LIMIT and self._due(slot, now_ms):
            if self.state[slot] == TAKEN:
                (self._taken_live if self._live_lane[slot] else self._taken).remove(slot)
            self.state[slot] = QUEUED
            self._queue.insert(behind, slot)
            behind = slot
            queued += 1
            slot = self._order.following[slot]
        return queued

    def unsent(self):
        """Whether frames wait to be sent."""
        return self._queue.first >= 0

    # Decimation

    def work(self):
        """A short step of making room before it is needed; to be called once a sample."""
        if self._decimation is None or len(self.slots) - self.held > SPARE_SLOTS:
            return
        if not self.sweep(1) and self._taken.first < 0 and self._taken_live.first < 0:
            self._decimation.work()

    def decimated(self):
        """How many frames of the full rate were merged into decimated ones."""
        return self._decimation.decimated if self._decimation is not None else 0

    def following(self, slot):
        """The slot of the frame behind it, or -1."""
        return self._order.following[slot]

    def own_flags(self, slot):
        """The frame's flags without those of the moment of sending."""
        return self._flags[slot]

    def is_undelivered(self, slot):
        """Whether nobody can have the frame, never sent or once and refused: its samples may change."""
        state = self.state[slot]
        if self.sequence[slot] <= self.committed:
            return False
        return (state == QUEUED and self._times_sent[slot] == 0) or (
            state == REFUSED and self._times_sent[slot] == 1
        )

    def replace(self, slot, merged, buf, samples, flags):
        """Let the frame in `buf` stand for those in `slot` and `merged`; answers the buffer now free."""
        old = self.slots[slot]
        self.slots[slot] = buf
        self.samples[slot] = samples
        self._flags[slot] = flags
        self._covers[slot] += self._covers[merged]
        self._release(merged)
        return old

    # Inside

    def _due(self, slot, now_ms):
        if self.state[slot] < TAKEN or self.sequence[slot] <= self.committed:
            return False
        return since_ms(now_ms, self._at_ms[slot]) >= RESEND_AFTER_MS

    def _make_room(self):
        slot = self._taken.first
        live = self._taken_live.first
        if slot < 0 or (live >= 0 and self.sequence[live] < self.sequence[slot]):
            slot = live
        if slot >= 0:
            self.let_go += 1
            self._release(slot)
            return
        if self._decimation is not None:
            for _ in range(_ROOM_STEPS):
                if self._free.first >= 0 or not self._decimation.work():
                    break
            if self._free.first >= 0:
                return
        slot = self._order.first
        behind = self._order.following[slot]
        if behind < 0:
            self._lost = LOST_BEFORE
        else:
            self._flags[behind] |= LOST_BEFORE
        self.dropped += 1 << level_of(self._flags[slot])
        self.dropped_samples += self._covers[slot]
        self._release(slot)

    def _release(self, slot):
        state = self.state[slot]
        if state == QUEUED:
            self._queue.remove(slot)
        elif state == TAKEN:
            (self._taken_live if self._live_lane[slot] else self._taken).remove(slot)
        if self._decimation is not None:
            self._decimation.released(slot, self._order.following[slot])
        self._order.remove(slot)
        self.state[slot] = FREE
        self._free.append(slot)
        self.held -= 1
