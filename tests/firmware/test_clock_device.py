"""Device time on real MicroPython: across the wrap of the chip's counter, and never backwards."""


def test_device_time_runs_on_over_every_wrap_of_the_counter(run_micropython):
    code = """
import struct
from barnode.clock import Clock
period = 1 << 30
clock = Clock(period - 5)
total = 0
ticks = period - 5
buf = bytearray(8)
for step in [5, 12500, 300000000, 1, 0, 400000000, 500000000] * 400:
    total += step
    ticks = (ticks + step) % period
    clock.advance(ticks)
    clock.write(buf, 0)
    assert struct.unpack("<Q", buf)[0] == total == clock.us()
print(total > 1 << 36)
"""
    assert run_micropython(code).split() == ["True"]


def test_a_stamp_from_before_the_last_leaves_the_time_where_it_is(run_micropython):
    code = """
from barnode.clock import Clock
clock = Clock(0)
clock.advance(1000)
clock.advance(990)
clock.advance(1001)
print(clock.us())
"""
    assert run_micropython(code).split() == ["1001"]


def test_a_pause_too_long_for_a_spacing_starts_a_frame_with_its_own_time(run_micropython):
    code = """
import struct
from barnode.backlog import Backlog
from barnode.builder import FrameBuilder
from barnode.clock import Clock
from barnode.frame import frame_length
backlog = Backlog([bytearray(frame_length(10, 1)) for _ in range(9)])
builder = FrameBuilder(backlog, Clock(0), 1, 10, 1)
for ticks in (100, 12606, 25112, 25112 + 655350):
    builder.take(ticks, (7,))
builder.flush()
for slot in (backlog.pick(0), backlog.pick(0)):
    buf = backlog.slots[slot]
    samples = backlog.samples[slot]
    print(
        struct.unpack_from("<Q", buf, 12)[0],
        struct.unpack_from("<I", buf, 20)[0],
        struct.unpack_from("<%dH" % samples, buf, 32),
    )
"""
    assert run_micropython(code).split("\n")[:2] == ["100 0 (0, 1250, 1251)", "680462 3 (0,)"]
