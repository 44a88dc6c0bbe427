"""The virtual ADS131M04: its data sheet at the bytes, and a whole node on it, from force to record."""

import ast
import binascii
import time
from functools import partial

import numpy as np
import pytest
from ashibar.core.config import check
from ashibar.core.trace import Trace
from ashibar.daemon import Daemon
from ashibar.io.journal import Reader
from ashibar.node import NodeError, VirtualNode, virtual_rig
from firmware_paths import FIRMWARE
from nodes import document
from servers import wait_until

CHIP = f"""
import sys
sys.path.insert(0, {str(FIRMWARE / "virtual")!r})
sys.path.insert(0, {str(FIRMWARE)!r})
from board_faults import Faults
from board_trace import ConstantForce
from ads131m04_model import ADS131M04Model
from barnode.adc.crc16 import crc16
force = ConstantForce([100000] * 4)
def make(**kw):
    return ADS131M04Model(force, Faults(), [(1000 * i, 2048000) for i in range(4)], noise_count=0, **kw)
def frame(chip, now, words, crc=True):
    sent = bytearray(18)
    for i in range(len(words)):
        sent[3 * i] = words[i] >> 8
        sent[3 * i + 1] = words[i] & 255
    n = 3 * len(words)
    value = crc16(sent, n) ^ (0 if crc else 1)
    sent[n] = value >> 8
    sent[n + 1] = value & 255
    chip.chip_select(0, now)
    got = bytes(chip.exchange(now, byte) for byte in sent)
    chip.chip_select(1, now)
    return got
def word(got):
    return got[0] << 8 | got[1]
def counts(got):
    words = [got[3 * i] << 16 | got[3 * i + 1] << 8 | got[3 * i + 2] for i in range(1, 5)]
    return [(word ^ 0x800000) - 0x800000 for word in words]
"""


@pytest.fixture
def chip(run_micropython):
    """Run code with a converter of four cells at 100 N, 2000 counts a newton; answers what it prints."""
    return lambda code: ast.literal_eval(run_micropython(CHIP + code).strip())


def test_the_checksums_of_chip_and_driver_are_the_one_of_the_standard(chip):
    frames = chip("""
chip = make()
driver = [crc16(b"123456789", 9), crc16(bytes(15), 15), crc16(b"\\xff" * 15, 15)]
print((driver, [frame(chip, 5000 * k, [0]) for k in range(4)]))
""")
    driver, got = frames
    assert driver == [binascii.crc_hqx(data, 0xFFFF) for data in (b"123456789", bytes(15), b"\xff" * 15)]
    assert driver[1:] != [0, 0xFFFF], "lines that are held at one level are no frame"
    for answer in got:
        assert binascii.crc_hqx(answer[:15], 0xFFFF) == int.from_bytes(answer[15:17], "big")


def test_registers_after_reset_are_the_data_sheets_and_are_answered_one_frame_later(chip):
    seen = chip("""
chip = make()
print([word(frame(chip, 10000 + r, [0xA000 | r << 7])) for r in (0, 1, 2, 3, 4, 6, 0)])
""")
    assert seen[0] & 0xFFF0 == 0x0500
    assert seen[1:] == [0x2400, seen[2], 0x0510, 0x0F0E, 0x0000, 0x0600]
    assert seen[2] & 0xFFF0 == 0x0500


def test_a_conversion_comes_at_the_rate_of_clock_and_oversampling_and_drdy_falls(chip):
    at = chip("""
chip = make()
falls = []
def count(until, start):
    low = 0
    for now in range(start, until, 50):
        if chip.drdy(now, -1) == 0:
            frame(chip, now, [0])
            low += 1
    return low
fast = count(100000, 0)
frame(chip, 100000, [0x6180, 0x0F1E])
print((fast, count(500000, 100050)))
""")
    fast, slow = at
    assert 398 <= fast <= 400, "4000 a second after reset"
    assert 98 <= slow <= 101, "250 a second at 16384"


def test_the_two_newest_conversions_are_held_and_drdy_stays_low_between(chip):
    older, newer, between, after = chip("""
chip = make()
force.forces_mn[0] = 0
chip.drdy(400000, -1)
for step in range(3):
    force.forces_mn[0] = 1000 * (step + 1)
    chip.drdy(400250 + 250 * step, -1)
first = counts(frame(chip, 400800, [0]))[0]
between = chip.drdy(400800, -1)
second = counts(frame(chip, 400810, [0]))[0]
print((first, second, between, chip.drdy(400820, -1)))
""")
    assert (between, after) == (0, 1)
    assert older < newer


def test_after_reset_the_gain_is_one_and_the_first_conversions_are_not_settled(chip):
    first, later, amplified = chip("""
chip = make()
first = counts(frame(chip, 260, [0]))[3]
later = counts(frame(chip, 5000, [0]))[3]
frame(chip, 5001, [0])
frame(chip, 5002, [0x6200, 0x7777])
chip.drdy(9000, -1)
frame(chip, 9001, [0])
print((first, later, counts(frame(chip, 9002, [0]))[3]))
""")
    assert amplified == 203_000
    assert later == 203_000 >> 7
    assert abs(first - later) > 100_000


def test_a_wrong_checksum_is_flagged_and_the_command_ignored_but_a_write_takes_effect(chip):
    flagged, cleared, clock, still = chip("""
chip = make()
frame(chip, 1000, [0x6100, 0x1110])
frame(chip, 1100, [0xA180], crc=False)
flagged = word(frame(chip, 1200, [0]))
cleared = word(frame(chip, 1300, [0]))
frame(chip, 1400, [0x6180, 0x0F1E], crc=False)
frame(chip, 1500, [0xA180])
clock = word(frame(chip, 1600, [0x0011], crc=False))
print((flagged, cleared, clock, chip.resets))
""")
    assert flagged & 0x1000
    assert not cleared & 0x1000
    assert clock == 0x0F1E
    assert still == 1


@pytest.mark.parametrize(("low_us", "resets"), [(249, 1), (251, 2)])
def test_the_pin_resets_only_when_low_for_2048_clocks(chip, low_us, resets):
    seen = chip(f"""
chip = make()
frame(chip, 900, [0x6180, 0x0F1E])
chip.reset_pin(0, 1000)
chip.reset_pin(1, 1000 + {low_us})
print((chip.resets, chip._registers[3]))
""")
    assert seen == (resets, 0x0F1E if resets == 1 else 0x0F0E)


def test_noise_is_that_of_the_data_sheet(chip):
    words = chip("""
from ads131m04_model import ADS131M04Model
chip = ADS131M04Model(force, Faults(), [(0, 0)] * 4)
frame(chip, 10, [0x6200, 0x7777])
frame(chip, 20, [0x6180, 0x0F1E])
seen = []
for k in range(1500):
    now = 50000 + 4000 * k
    if chip.drdy(now, -1) == 0:
        seen.append(counts(frame(chip, now, [0]))[0])
print(seen[5:])
""")
    microvolt = np.std(words) * 1.2e6 / 128 / 2**23
    assert microvolt == pytest.approx(0.42, rel=0.06)


# A whole node

ENOUGH = 300  # samples: 4 s of them
LEVELS_N = np.array([100.0, 150.0, 60.0, -20.0])


@pytest.fixture
def host(mosquitto, tmp_path):
    """A daemon with a record, for a rig on node bars-1."""
    daemon = Daemon(check(document(mosquitto.port, tmp_path / "journal.sqlite")))
    daemon.start()
    assert daemon.link.wait_connected(10)
    daemon.reader = Reader(tmp_path / "journal.sqlite")
    yield daemon
    daemon.reader.close()
    daemon.stop()


def valid_figure(host):
    figure = host.feed.snapshot("room-1")["figure"]
    return figure if figure["validity"] == "valid" else None


def test_a_node_with_it_is_stored_whole_and_shows_the_load_that_hangs(mosquitto, host, tmp_path):
    names = ("left-head", "left-foot", "right-head", "right-foot")
    trace = Trace(np.array([0.0, 1.0]), np.array([LEVELS_N, LEVELS_N]), names)
    node = VirtualNode(
        "127.0.0.1",
        mosquitto.port,
        "quiet-room",
        "bars-1",
        trace,
        work_dir=tmp_path,
        board="esp32-ads131m04-4",
        heap="2m",
    )
    node.start()
    try:
        boot = node.wait_boot()
        assert boot.problems == ()
        wait_until(lambda: host.reader.totals()[1] >= ENOUGH, "some seconds of samples", within_s=60)
        # A machine that is busy reads the chip too late now and then: the next sample is good again.
        figure = wait_until(partial(valid_figure, host), "a figure")
        report = node.stop()
    finally:
        node.kill()
    assert (report.dropped, report.dropped_samples) == (0, 0)
    wait_until(lambda: host.reader.totals()[1] == report.samples, "every sample to be stored")
    assert figure["bar"]["value_n"] == pytest.approx(LEVELS_N.sum(), abs=1.0)


def test_a_board_that_is_not_there_or_has_other_cells_is_refused():
    with pytest.raises(NodeError, match="esp32-hx711-5"):
        virtual_rig.load_board("esp32-hx711-5", 4)
    with pytest.raises(NodeError, match="4 cells, got 3"):
        virtual_rig.load_board("esp32-ads131m04-4", 3)


def test_a_board_with_another_microcontroller_runs(mosquitto, tmp_path):
    trace = Trace(np.array([0.0, 1.0]), np.zeros((2, 4)), ("0", "1", "2", "3"))
    node = VirtualNode(
        "127.0.0.1",
        mosquitto.port,
        "demo",
        "bars",
        trace,
        work_dir=tmp_path,
        board="esp32s3-hx711-4",
        heap="2m",
    )
    node.start()
    try:
        assert node.wait_boot().problems == ()
        time.sleep(1)
        assert node.stop().samples > 10  # its rate is no concern of this test
    finally:
        node.kill()
