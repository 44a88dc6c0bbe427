"""Decimation: when memory is short frames are merged before any is dropped, and no peak is lost by it."""

from itertools import pairwise

from ashibar.core.frame import decode
from firmware_paths import import_firmware
from hypothesis import given, settings
from hypothesis import strategies as st

import_firmware()

from barnode import builder  # noqa: E402 - importable only from here on
from barnode.backlog import Backlog  # noqa: E402
from barnode.clock import Clock  # noqa: E402
from barnode.decimate import LEVELS  # noqa: E402
from barnode.frame import frame_length, seal  # noqa: E402

PERIOD_US = 12_500
NOT_READY, DESYNC, SATURATED_HIGH = -0x800001, -0x800002, -0x800003


builder.now_ms = lambda: 0  # CPython has no ticks; nothing here is sent, so nothing is live


class Node:
    """Builder and backlog on a clock moved by hand, and the plain list of all samples taken."""

    def __init__(self, slots=16, samples=10, cells=2):
        length = frame_length(samples, cells)
        self.backlog = Backlog([bytearray(length) for _ in range(slots)], cells)
        self.clock = Clock(0)
        self.builder = builder.FrameBuilder(self.backlog, self.clock, 7, samples, cells)
        self.cells = cells
        self.now_us = 0
        self.taken = []
        self.times_us = []

    def take(self, counts, after_us=PERIOD_US):
        self.now_us += after_us
        self.builder.take(self.now_us, counts)
        self.taken.append(tuple(counts))
        self.times_us.append(self.now_us)

    def frames(self):
        """What is held, oldest first, as the host decodes it."""
        found = []
        slot = self.backlog._order.first
        while slot >= 0:
            buf = self.backlog.slots[slot]
            flags = self.backlog.own_flags(slot)
            n = seal(buf, self.backlog.samples[slot], self.cells, flags, self.backlog.oldest())
            found.append(decode(bytes(buf[:n])))
            slot = self.backlog.following(slot)
        return found

    def building(self):
        return self.builder._writer.count


def stands_for(frame):
    return 1 << (frame.flags >> 4) if frame.decimated else 1


def intervals(frames, end):
    """(frame, first index, index after the last one it stands for) of each held frame."""
    starts = [frame.sample_index for frame in frames] + [end]
    return [
        (frame, frame.sample_index, following) for frame, following in zip(frames, starts[1:], strict=True)
    ]


@settings(max_examples=60, deadline=None)
@given(data=st.data(), slots=st.integers(4, 24), samples=st.integers(1, 13), length=st.integers(1, 1500))
def test_extremes_survive_and_counts_add_up_however_long_the_outage(data, slots, samples, length):
    node = Node(slots, samples)
    seed = data.draw(st.integers(0, 2**31))
    for _ in range(length):
        seed = (seed * 69069 + 12345) & 0x7FFFFFFF
        count = (seed >> 3) % 0xFFFFFF - 0x7FFFFF
        code = (NOT_READY, DESYNC, SATURATED_HIGH)[seed % 3]
        pause = 900_000 if seed % 401 == 0 else PERIOD_US + seed % 3000
        node.take((count, code if seed % 53 == 0 else -count >> 1), pause)
    frames = node.frames()
    end = length - node.building()
    backlog = node.backlog
    covered = sum(last - first for _, first, last in intervals(frames, end))
    assert covered + backlog.dropped_samples == end
    assert sum(map(stands_for, frames)) + backlog.dropped == node.builder.frames
    assert all(before.seq + stands_for(before) == after.seq for before, after in pairwise(frames))
    for frame, first, last in intervals(frames, end):
        for cell in range(2):
            sent = [row[cell] for row in frame.counts.tolist()]
            taken = [row[cell] for row in node.taken[first:last]]
            assert (min(sent), max(sent)) == (min(taken), max(taken))
        if not frame.decimated:
            assert frame.counts.tolist() == [list(row) for row in node.taken[first:last]]


def test_nothing_is_dropped_before_all_but_the_newest_quarter_is_as_coarse_as_it_gets():
    node = Node(slots=32)
    while not node.backlog.dropped:
        node.take((len(node.taken), 0))
    frames = node.frames()
    assert [stands_for(frame) for frame in frames[-8:]] == [1] * 8
    coarsest = 1 << (LEVELS - 1)
    assert sum(stands_for(frame) == coarsest for frame in frames) >= len(frames) - 8 - 2 * LEVELS
    assert len(node.taken) > 32 * 10 * 10  # ten times what the memory holds at the full rate
    assert frames[0].lost_before


def test_each_interval_ends_at_the_time_of_its_last_sample():
    node = Node(slots=16)
    for k in range(600):
        node.take((k, -k), PERIOD_US + k % 7 * 100)
    for frame, first, last in intervals(node.frames(), 600 - node.building()):
        if frame.decimated:
            off = [
                int(us) - node.times_us[int(high)]
                for us, (high, _) in zip(
                    frame.sample_device_us[1::2], frame.counts.tolist()[1::2], strict=True
                )
            ]  # a rising count is its own sample's index
            assert all(abs(each) <= 10 * LEVELS for each in off)
            assert int(frame.counts[-1, 0]) == last - 1
            assert int(frame.counts[0, 0]) == first


def test_a_code_takes_the_place_of_the_least_reading_and_never_of_the_greatest():
    node = Node(slots=8)
    for k in range(200):
        node.take((DESYNC if k == 13 else 1000 + k, 5))
    frame = next(frame for frame, first, last in intervals(node.frames(), 200) if first <= 13 < last)
    assert frame.decimated
    pairs = frame.counts[:, 0].reshape(-1, 2).tolist()
    codes = [pair for pair in pairs if DESYNC in pair]
    assert len(codes) == 1
    assert codes[0][0] == DESYNC
    assert codes[0][1] > 1000


def test_what_may_have_arrived_is_never_merged():
    node = Node(slots=16)
    for k in range(100):
        node.take((k, 0))
    backlog = node.backlog
    slots = [backlog.pick(0) for _ in range(3)]
    for slot in slots:
        backlog.note_sent(slot)
    sent = [backlog.sequence[slot] for slot in slots]
    for k in range(1000):
        node.take((k, 0))
    frames = {frame.seq: frame for frame in node.frames()}
    assert backlog.decimated() > 0
    assert all(not frames[seq].decimated for seq in sent if seq in frames)
    held = [seq for seq in sent if seq in frames]
    assert held
    assert all(backlog.in_flight(slot, seq) for slot, seq in zip(slots, sent, strict=True) if seq in held)


def test_a_frame_picked_while_it_is_being_merged_goes_out_as_it_was():
    node = Node(slots=16)
    for k in range(500):
        node.take((k, 0))
        decimation = node.backlog._decimation
        if decimation._a >= 0 and k > 300:
            break
    slot = decimation._a
    before = bytes(node.backlog.slots[slot])
    while node.backlog.pick(0) != slot:
        pass
    for k in range(9):
        node.take((k, 0))
    assert bytes(node.backlog.slots[slot]) == before
    assert node.backlog.in_flight(slot, int.from_bytes(before[8:12], "little"))


def test_a_single_step_touches_one_pair_of_samples():
    node = Node(slots=16, samples=10)
    decimation = node.backlog._decimation
    merged = []
    for k in range(160):
        before = decimation._merger._next if decimation._a >= 0 else 0
        node.take((k, 0))
        if decimation._a >= 0:
            merged.append(decimation._merger._next - before)
    assert max(merged) == 4


def test_a_frame_of_one_sample_is_dropped_because_no_pair_fits():
    node = Node(slots=6, samples=1)
    for k in range(20):
        node.take((k, 0))
    assert node.backlog.decimated() == 0
    assert node.backlog.dropped == 20 - 5
