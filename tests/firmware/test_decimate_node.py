"""An outage longer than the memory: the node decimates, and the host's account of it adds up."""

import time

import numpy as np
import pytest
from ashibar.core.accounting import BootAccount, FrameColumns
from ashibar.core.frame import decode
from device_tools import Device
from node_tools import StubHost

OUTAGE_S = 6  # the memory of 24 frames holds 3 s at the full rate


@pytest.fixture
def host(mosquitto):
    host = StubHost(mosquitto.port)
    host.connect()
    yield host
    host.close()


def account_of(frames):
    """The host's account of one boot's frames."""
    columns = [
        (
            each.seq,
            each.sample_index,
            each.samples,
            each.decimated,
            *each.sample_device_us[[0, -1]],
            each.stands_for,
        )
        for each in frames
    ]
    account = BootAccount("bars", frames[0].boot)
    account.fold(FrameColumns(*(np.array(column) for column in zip(*columns, strict=True))))
    return account


def test_an_outage_longer_than_the_memory_is_thinned_and_nothing_of_it_is_lost(
    micropython, mosquitto, tmp_path, host
):
    with Device(micropython, tmp_path / "device", mosquitto.port, backlog_frames=24):
        host.wait_until(lambda: len(host.frames) >= 10, 20)
        host.disconnect()
        mosquitto.stop()
        time.sleep(OUTAGE_S)  # nothing tells of what a node without network does
        mosquitto.start()
        host.connect()
        seen = max(host.frames)
        host.wait_until(lambda: max(host.frames) > seen + 60, 20)  # live again
        host.wait_until(lambda: host.frames and not missing(host.frames), 20)
        frames = [decode(host.frames[sequence]) for sequence in sorted(host.frames)]
    account = account_of(frames)
    summary = account.summary()
    assert (summary.pending, summary.lost, summary.not_sent) == (0, 0, 0)
    assert summary.thinned > 0
    assert summary.taken == summary.stored + summary.thinned == frames[-1].sample_index + frames[-1].samples
    assert account.ledger.upto == frames[-1].seq
    assert max(each.stands_for for each in frames) <= 16  # no coarser than it had to be
    assert not any(each.decimated for each in frames[-6:])  # the newest quarter of 24


def missing(frames):
    """Sequences up to the newest that no frame stands for."""
    held = set()
    for sequence, frame in frames.items():
        each = decode(frame)
        held.update(range(sequence, sequence + each.stands_for))
    return set(range(max(held))) - held
