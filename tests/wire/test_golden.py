"""The host's decoder and encoder against the golden frames, whose bytes neither of them made."""

import json
from pathlib import Path

import pytest
from ashibar.core.codes import code_name
from ashibar.core.frame import FrameError, decode, decode_many, encode

GOLDEN = Path(__file__).parent / "golden"
GOOD = sorted(GOLDEN.glob("*.bin"))
UNREADABLE = sorted((GOLDEN / "unreadable").glob("*.bin"))
SAME_NAMES = (
    "flags",
    "boot",
    "seq",
    "device_us",
    "sample_index",
    "calibration_id",
    "oldest_seq",
    "samples",
    "cells",
)
FLAGS = ("backlog", "lost_before", "overload", "decimated")


def told(path):
    return json.loads(path.with_suffix(".json").read_text())


def test_there_are_golden_frames_of_both_kinds():
    assert len(GOOD) >= 25
    assert len(UNREADABLE) >= 10


@pytest.mark.parametrize("path", GOOD, ids=lambda p: p.stem)
def test_a_golden_frame_decodes_to_what_its_json_tells(path):
    frame, expected = decode(path.read_bytes()), told(path)
    for name in (*SAME_NAMES, *FLAGS):
        assert getattr(frame, name) == expected[name], name
    assert frame.spacing_10us.tolist() == expected["spacing_10us"]
    assert frame.counts.tolist() == expected["counts"]
    assert frame.sample_device_us.tolist() == expected["sample_device_us"]


@pytest.mark.parametrize("path", GOOD, ids=lambda p: p.stem)
def test_the_codes_of_a_golden_frame_have_the_names_of_the_protocol(path):
    counts = decode(path.read_bytes()).counts.tolist()
    named = [
        {"sample": s, "cell": c, "code": code_name(count)}
        for s, row in enumerate(counts)
        for c, count in enumerate(row)
        if code_name(count) is not None
    ]
    assert named == told(path)["codes"]


@pytest.mark.parametrize("path", GOOD, ids=lambda p: p.stem)
def test_a_golden_frame_is_encoded_to_the_same_bytes(path):
    assert encode(decode(path.read_bytes())) == path.read_bytes()


@pytest.mark.parametrize("path", UNREADABLE, ids=lambda p: p.stem)
def test_an_unreadable_golden_payload_is_refused_by_the_problem_its_json_names(path):
    with pytest.raises(FrameError) as refused:
        decode(path.read_bytes())
    assert refused.value.problem == told(path)["problem"]
    assert "expected" in str(refused.value)
    assert "came" in str(refused.value)


def test_a_batch_of_all_golden_payloads_gives_each_its_frame_or_its_error():
    payloads = [path.read_bytes() for path in (*GOOD, *UNREADABLE, *GOOD)]
    batch = decode_many(payloads)
    assert batch.frames() == [decode(path.read_bytes()) for path in (*GOOD, *GOOD)]
    assert [str(error.problem) for _, error in batch.errors] == [told(path)["problem"] for path in UNREADABLE]
    assert [position for position, _ in batch.errors] == list(range(len(GOOD), len(GOOD) + len(UNREADABLE)))
