"""A node whose clock makes no sense, with frames that read well: what is held up by it, however it comes."""

import itertools
import logging

import numpy as np
import pytest
from ashibar.core.frame import MAX_DEVICE_US
from nodes import SPAN_N_PER_COUNT, ZERO_COUNT, frame
from virtual import KG

COUNTS = np.full(40, round(8 * KG / SPAN_N_PER_COUNT) + ZERO_COUNT, "<i4")
SENSELESS = [
    frame(7, 2**32 - 1, index=2**32 - 11, device_us=MAX_DEVICE_US, counts=COUNTS),
    frame(7, 1000, index=5, device_us=0, counts=COUNTS),
    frame(7, 1001, index=25, device_us=MAX_DEVICE_US // 2, counts=COUNTS),
    frame(9, 3, cells=1, samples=1, device_us=MAX_DEVICE_US, index=0),
]
CUTS = [cut for size in range(4) for cut in itertools.combinations(range(1, 4), size)]


@pytest.mark.parametrize("played", [0, 2])
@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_times_that_make_no_sense_do_not_stop_what_comes_after_them(virtual, caplog, cut, played):
    virtual.play(played, (8, 8, 8, 8))
    with caplog.at_level(logging.ERROR):
        for start, stop in itertools.pairwise((0, *cut, len(SENSELESS))):
            virtual.turn([("samples", payload) for payload in SENSELESS[start:stop]])
            virtual.wait(0.5)
        virtual.reboot(11)
        virtual.play(5, (8, 8, 8, 8))
    assert not caplog.records
    virtual.rig.look(virtual.now_us)
    figure = virtual.daemon.rigs_live[0].figure(virtual.now_us)
    assert figure.bar is not None, figure
    assert figure.bar.value_n == pytest.approx(32 * KG, abs=2)
    assert virtual.daemon.committer.flush(10)
    assert virtual.daemon._reader.totals()[0] == played * 2 + len(SENSELESS) + 10
