"""The frame: any bytes in, a frame or a named error out, the same from both decoders."""

from pathlib import Path

import numpy as np
import pytest
from ashibar.core.frame import (
    MAX_DEVICE_US,
    Frame,
    FrameError,
    FrameProblem,
    decode,
    decode_many,
    encode,
    frame_length,
)
from hypothesis import given
from hypothesis import strategies as st

GOLDEN = [path.read_bytes() for path in sorted((Path(__file__).parents[1] / "wire/golden").glob("*.bin"))]
U32 = st.integers(0, 2**32 - 1)


@st.composite
def frames(draw):
    samples, cells = draw(st.integers(1, 12)), draw(st.integers(1, 16))
    seed = np.random.default_rng(draw(U32))
    return Frame(
        flags=draw(st.integers(0, 255)),
        boot=draw(U32),
        seq=draw(U32),
        device_us=draw(st.integers(0, MAX_DEVICE_US)),
        sample_index=draw(U32),
        calibration_id=draw(st.integers(0, 65535)),
        oldest_seq=draw(U32),
        spacing_10us=seed.integers(0, 65536, samples).astype(np.uint16),
        counts=seed.integers(-(2**31), 2**31, (samples, cells)).astype(np.int32),
    )


@st.composite
def mutated(draw):
    data = bytearray(draw(st.sampled_from(GOLDEN)))
    for _ in range(draw(st.integers(0, 3))):
        data[draw(st.integers(0, min(len(data) - 1, 60)))] = draw(st.integers(0, 255))
    cut = draw(st.sampled_from([None, None, draw(st.integers(0, len(data)))]))
    return bytes(data[:cut]) + draw(st.binary(max_size=3))


ANY_PAYLOAD = st.one_of(st.binary(max_size=300), mutated(), st.sampled_from(GOLDEN), frames().map(encode))


def outcome(payload):
    try:
        return decode(payload)
    except FrameError as error:
        return str(error)


@given(frames())
def test_a_frame_survives_encoding_and_decoding(frame):
    payload = encode(frame)
    assert len(payload) == frame_length(frame.samples, frame.cells)
    assert decode(payload) == frame


@given(ANY_PAYLOAD)
def test_any_bytes_are_a_frame_or_a_named_error(payload):
    result = outcome(payload)
    if isinstance(result, Frame):
        assert encode(result) == payload
    else:
        assert any(f"({problem})" in result for problem in FrameProblem)


@given(st.lists(ANY_PAYLOAD, max_size=30))
def test_the_batch_agrees_with_one_by_one(payloads):
    batch = decode_many(payloads)
    expected = [outcome(payload) for payload in payloads]
    good = [k for k, each in enumerate(expected) if isinstance(each, Frame)]
    assert batch.size == len(payloads)
    assert batch.headers.position.tolist() == good
    assert batch.frames() == [expected[k] for k in good]
    assert [(k, str(error)) for k, error in batch.errors] == [
        (k, each) for k, each in enumerate(expected) if isinstance(each, str)
    ]
    for group in batch.groups:
        for k, row in enumerate(group.rows.tolist()):
            frame = expected[good[row]]
            assert np.array_equal(group.sample_device_us[k], frame.sample_device_us)
            assert group.counts[k].shape == (frame.samples, frame.cells)


@pytest.mark.parametrize("length", range(216))
def test_a_truncated_frame_is_refused_by_name(length):
    typical = next(data for data in GOLDEN if len(data) == 216)
    with pytest.raises(FrameError, match="truncated"):
        decode(typical[:length])


def test_one_flipped_bit_anywhere_is_never_accepted():
    typical = next(data for data in GOLDEN if len(data) == 216)
    for bit in range(8 * len(typical)):
        data = bytearray(typical)
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FrameError):
            decode(bytes(data))


def test_an_empty_batch_has_no_frames_and_no_errors():
    batch = decode_many([])
    assert (len(batch.headers), batch.groups, batch.errors) == (0, (), ())


def test_frames_of_one_length_and_two_shapes_are_told_apart():
    shapes = [(3, 1), (1, 4), (3, 1)]
    originals = [
        Frame(0, 1, k, 5, k, 1, 0, np.zeros(s, np.uint16), np.full((s, n), k, np.int32))
        for k, (s, n) in enumerate(shapes)
    ]
    payloads = [encode(frame) for frame in originals]
    assert len({len(payload) for payload in payloads}) == 1
    batch = decode_many(payloads)
    assert batch.frames() == originals
    assert sorted((g.samples, g.cells, g.rows.tolist()) for g in batch.groups) == [
        (1, 4, [1]),
        (3, 1, [0, 2]),
    ]


def test_a_frame_that_does_not_fit_the_wire_is_not_encoded():
    spacing, counts = np.zeros(1, np.uint16), np.zeros((1, 1), np.int32)
    with pytest.raises(ValueError, match="header field"):
        encode(Frame(0, 2**32, 0, 0, 0, 0, 0, spacing, counts))
    with pytest.raises(ValueError, match="1 to 255 samples"):
        encode(Frame(0, 0, 0, 0, 0, 0, 0, spacing, np.zeros((1, 17), np.int32)))
    with pytest.raises(ValueError, match="expected 1 spacings"):
        encode(Frame(0, 0, 0, 0, 0, 0, 0, np.zeros(2, np.uint16), counts))
