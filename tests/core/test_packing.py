"""Packing: every frame back to the last bit, in little more room than the entropy of its noise."""

from dataclasses import replace

import numpy as np
import pytest
from ashibar.core.frame import MAX_DEVICE_US, decode
from ashibar.core.packing import COLUMNS, BlockError, Frames, pack, unpack
from ashibar.core.rice import CodedError, code, decoded
from hypothesis import given, settings
from hypothesis import strategies as st
from nodes import frame

NOISE_COUNTS = 60  # one deviation of an HX711 at 80 SPS, as the virtual board has it
CODES = [-0x800001, -0x800002, -0x800003, -0x800004, -0x800005]


def stored(payloads, **columns):
    """Return the payloads as the journal stores them."""
    rng = np.random.default_rng(4)
    heads = [decode(payload) for payload in payloads]
    device_us = np.array([head.device_us for head in heads], np.int64)
    last_us = np.array([int(head.sample_device_us[-1]) for head in heads], np.int64)
    offset_us = 1_790_000_000_000_000 + np.cumsum(rng.integers(-1, 2, len(heads)))
    utc_last_us = last_us + offset_us
    own = {
        "id": np.arange(len(heads)) * 4 + 1,
        "seq": np.array([head.seq for head in heads], np.int64),
        "sample_index": np.array([head.sample_index for head in heads], np.int64),
        "samples": np.array([head.samples for head in heads], np.int64),
        "cells": np.array([head.cells for head in heads], np.int64),
        "flags": np.array([head.flags for head in heads], np.int64),
        "device_us": device_us,
        "utc_us": device_us + offset_us,
        "utc_last_us": utc_last_us,
        "fit": np.full(len(heads), 3),
        "received_us": utc_last_us + rng.integers(2_000, 9_000, len(heads)),
    }
    return Frames(payloads=payloads, **{**own, **columns})


def assert_same(one, other):
    assert list(one.payloads) == list(other.payloads)
    for name in COLUMNS:
        assert getattr(one, name).tolist() == getattr(other, name).tolist(), name


def frames_of(counts, samples=10):
    """Return frames of counts int[T, N] with the jitter of a real converter's clock."""
    rng = np.random.default_rng(5)
    payloads, device_us = [], 0
    for seq in range(len(counts) // samples):
        device_us += 125_000 + int(rng.integers(-30, 31))
        part = counts[seq * samples : (seq + 1) * samples]
        payloads.append(
            frame(
                7, seq, samples=samples, cells=counts.shape[1], device_us=device_us, counts=part.reshape(-1)
            )
        )
    return payloads


def entropy_bytes(values):
    """Return the entropy of whole numbers about their slow drift, in bytes a value, from their histogram."""
    smooth = np.convolve(values, np.ones(31) / 31, "same")
    rest = np.rint(values - smooth)[31:-31].astype(int)
    share = np.unique(rest, return_counts=True)[1] / len(rest)
    return float(-(share * np.log2(share)).sum() / 8)


payload = st.builds(
    lambda seq, index, samples, cells, flags, oldest, device_us, calibration, values: frame(
        9,
        seq,
        index=index,
        samples=samples,
        cells=cells,
        flags=flags,
        oldest=oldest,
        device_us=device_us,
        calibration=calibration,
        counts=np.resize(np.array(values, np.int64), samples * cells),
    ),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(1, 255),
    st.integers(1, 16),
    st.integers(0, 255),
    st.integers(0, 2**32 - 1),
    st.integers(0, MAX_DEVICE_US),
    st.integers(0, 65535),
    st.lists(
        st.one_of(st.integers(-(2**31), 2**31 - 1), st.sampled_from(CODES), st.integers(80_000, 80_300)),
        min_size=1,
        max_size=40,
    ),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(payload, min_size=1, max_size=12))
def test_any_frames_come_back_to_the_last_bit(payloads):
    frames = stored(payloads)
    assert_same(unpack(pack(frames)), frames)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=60), payload), min_size=1, max_size=8), st.data())
def test_what_is_no_frame_or_disagrees_with_its_row_comes_back_too(payloads, data):
    number = st.integers(-(2**63), 2**63 - 1)
    columns = {
        name: np.array(data.draw(st.lists(number, min_size=len(payloads), max_size=len(payloads))), np.int64)
        for name in COLUMNS
    }
    frames = Frames(payloads=payloads, **columns)
    assert_same(unpack(pack(frames)), frames)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=600))
def test_any_whole_numbers_are_coded_without_loss(values):
    assert decoded(code(np.array(values, np.int64))).tolist() == values


def test_frames_of_two_boots_are_kept_apart_by_their_bytes():
    payloads = [frame(7, 0), frame(8, 1), frame(7, 2)]
    assert_same(unpack(pack(stored(payloads))), stored(payloads))


def test_noise_takes_little_more_than_its_entropy():
    rng = np.random.default_rng(1)
    counts = np.rint(rng.normal(84_000, NOISE_COUNTS, (24_000, 4))).astype("<i4")
    frames = stored(frames_of(counts))
    size = len(pack(frames)) / counts.size
    entropy = np.log2(NOISE_COUNTS * np.sqrt(2 * np.pi * np.e)) / 8
    assert entropy == pytest.approx(0.99, abs=0.01)
    assert entropy < size < entropy + 0.12


@pytest.mark.parametrize("noise_counts", [1, 10, 60, 400, 5000])
def test_the_room_taken_follows_the_noise_and_not_a_guess_of_it(noise_counts):
    rng = np.random.default_rng(2)
    counts = np.rint(rng.normal(84_000, noise_counts, (12_000, 4))).astype("<i4")
    entropy = np.log2(noise_counts * np.sqrt(2 * np.pi * np.e)) / 8
    assert len(pack(stored(frames_of(counts)))) / counts.size < entropy + 0.2


def test_a_session_with_moving_hands_stays_below_the_target():
    rng = np.random.default_rng(3)
    time_s = np.arange(24_000) / 80
    sway = 40_000 * np.sin(2 * np.pi * 0.4 * time_s) + 15_000 * np.sin(2 * np.pi * 1.3 * time_s)
    counts = 200_000 + sway[:, np.newaxis] * [0.3, 0.2, 0.3, 0.2]
    counts = np.rint(counts + rng.normal(0, NOISE_COUNTS, counts.shape)).astype("<i4")
    assert len(pack(stored(frames_of(counts)))) / counts.size < 1.5


@pytest.mark.parametrize("log", ["a931659d", "bbcbac1e"])
def test_a_recorded_converter_takes_at_most_a_half_more_than_its_entropy(recordings, log):
    grams = np.loadtxt(recordings / "hx711_logs" / f"samples_{log}.txt")
    counts = np.rint(grams / 0.0012627829559136343 + 1974271.5).astype("<i4")
    counts = counts[: len(counts) // 10 * 10, np.newaxis]
    # One cell: the frame's own header and times are shared by a quarter of the readings of a rig.
    size = len(code(counts[:, 0].astype(np.int64))) / counts.size
    entropy = entropy_bytes(counts[:, 0])
    assert size <= 1.5
    assert size < 1.5 * entropy
    assert list(unpack(pack(stored(frames_of(counts)))).payloads) == frames_of(counts)


def test_a_dead_cell_and_a_spike_cost_next_to_nothing():
    rng = np.random.default_rng(6)
    counts = np.rint(rng.normal(84_000, NOISE_COUNTS, (12_000, 4))).astype("<i4")
    whole = len(pack(stored(frames_of(counts))))
    counts[500:9000, 2] = CODES[0]
    counts[::1000, 1] = 8_000_000
    spoiled = stored(frames_of(counts))
    assert len(pack(spoiled)) < whole
    assert_same(unpack(pack(spoiled)), spoiled)


def test_a_damaged_block_is_refused_whatever_the_damage():
    data = pack(stored(frames_of(np.full((100, 4), 84_000, "<i4"))))
    for at in range(0, len(data), 7):
        spoiled = bytearray(data)
        spoiled[at] ^= 0x10
        with pytest.raises(BlockError, match="damaged"):
            unpack(bytes(spoiled))
    with pytest.raises(BlockError):
        unpack(data[:-1])
    with pytest.raises(BlockError):
        unpack(b"")


def test_a_damaged_column_is_named():
    with pytest.raises(CodedError, match="damaged"):
        decoded(code(np.arange(500))[:-9])


def test_re_stamped_rows_keep_their_own_stamps():
    frames = stored(frames_of(np.full((50, 4), 84_000, "<i4")))
    moved = replace(frames, utc_us=frames.utc_us + 12_345, received_us=frames.received_us - 10**12)
    assert_same(unpack(pack(moved)), moved)
