"""No arithmetic of the node needs more than the chip's 32-bit floats: all rounded, the figures agree."""

import ast
import json
import random

import float32
import pytest
from firmware_paths import FIRMWARE, import_firmware

import_firmware()

from barnode.weight import Weight  # noqa: E402 - importable only from here on

DISPLAY_STEP_N = 4.9  # 0.5 kg
ALLOWED_N = (
    DISPLAY_STEP_N / 100
)  # rounding is to be nothing beside what a person can see, or U of 0.7 kg and more
# Who computes with floats, and why 24 bits are enough there
FLOATS = {
    "weight.py": "the test below",
    "reports.py": "a rate and a temperature, shown with three digits",
    "overload.py": "one quotient, a limit in counts: off by one count at most",
    "zero.py": "one product or quotient, compared with limits: off by 1e-7 of itself",
    "diagnose.py": "one product or quotient, compared with limits: off by 1e-7 of itself",
    "calibration.py": "a span is compared, not computed with",
    "lights.py": "a share of a handful of lights",
    "adc/ads131m04.py": "a rate in whole hertz",
    "net.py": "seconds of a time limit",
    "mqtt.py": "seconds of a time limit",
    "node.py": "seconds of a time limit",
}


def calibration(rnd, zero_limit):
    spans = [0.000456 * rnd.uniform(0.9, 1.1) * rnd.choice([1, 1, 1, -1]) for _ in range(4)]
    zeros = [rnd.randint(-zero_limit, zero_limit) for _ in range(4)]
    cells = [{"zero_count": zero, "span_n_per_count": span} for zero, span in zip(zeros, spans, strict=True)]
    return {"id": 1, "cells": cells}


def rounded(record):
    """As the chip's JSON reader has it."""
    cells = [
        cell | {"span_n_per_count": float32.rounded(cell["span_n_per_count"])} for cell in record["cells"]
    ]
    return {**record, "cells": cells}


@pytest.mark.parametrize("zero_limit", [200_000, 4_000_000])
def test_the_weights_of_a_node_with_32_bit_floats_are_those_of_one_with_64(zero_limit):
    narrow_module = float32.load(FIRMWARE / "barnode" / "weight.py")
    rnd = random.Random(20260101)
    worst = 0.0
    for _ in range(300):
        record = calibration(rnd, zero_limit)
        wide, narrow = Weight(4, 1, record), narrow_module.Weight(4, 1, rounded(record))
        for _ in range(rnd.randint(1, 64)):
            counts = [rnd.randint(-0x7FFFFF, 0x7FFFFE) for _ in range(4)]
            wide.take(counts)
            narrow.take(counts)
        expected, came = json.loads(wide.report(1)), json.loads(narrow.report(1))
        pairs = list(zip(expected["cells_n"], came["cells_n"], strict=True))
        pairs += [(expected[key], came[key]) for key in ("sum_n", "min_n", "max_n")]
        worst = max(worst, *(abs(a - b) for a, b in pairs))
    assert 0 < worst < ALLOWED_N


def test_rounding_is_really_applied():
    module = float32.load(FIRMWARE / "barnode" / "weight.py")
    assert float32.operate("Div", 1, 3) == 0.3333333432674408
    assert float32.operate("Mult", 16777217, 1.0) == 16777216.0
    assert module._operate is float32.operate


def has_floats(source):
    tree = ast.parse(source)
    return any(
        (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div))
        or (isinstance(node, ast.Constant) and isinstance(node.value, float))
        for node in ast.walk(tree)
    )


def test_floats_are_used_only_where_24_bits_were_found_enough():
    found = {
        str(path.relative_to(FIRMWARE / "barnode"))
        for path in (FIRMWARE / "barnode").rglob("*.py")
        if has_floats(path.read_text())
    }
    assert found <= set(FLOATS)
    assert "weight.py" in found
