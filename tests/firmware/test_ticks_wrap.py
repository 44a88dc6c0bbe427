"""The chip's counters wrap while the whole node runs, on the virtual board against a real broker."""

import struct
from itertools import pairwise

import pytest
from device_tools import Device
from node_tools import StubHost

BEFORE_WRAP_US = 2_000_000
# The milliseconds wrap a thousand times later than the microseconds: here both do at the same instant
TICKS_START = (1 << 30) * 1000 - BEFORE_WRAP_US


@pytest.fixture
def host(mosquitto):
    host = StubHost(mosquitto.port)
    host.connect()
    yield host
    host.close()


def test_the_node_runs_on_over_the_wrap_of_its_counters(micropython, mosquitto, tmp_path, host):
    with Device(micropython, tmp_path / "device", mosquitto.port, ticks_start=TICKS_START):
        host.wait_until(lambda: len(host.frames) >= 40, 30)
        frames = [host.frames[sequence] for sequence in range(40)]
        assert host.states == ["online"]
    times_us = [struct.unpack_from("<Q", frame, 12)[0] for frame in frames]
    indices = [struct.unpack_from("<I", frame, 20)[0] for frame in frames]
    samples = [frame[26] for frame in frames]
    assert indices == [sum(samples[:k]) for k in range(40)]
    assert times_us[0] < BEFORE_WRAP_US < times_us[-1] < 20_000_000
    steps = [after - before for before, after in pairwise(times_us)]
    assert all(30_000 < step < 400_000 for step in steps)
    assert [sequence for sequence, _ in host.flags] == sorted({sequence for sequence, _ in host.flags})
