"""Writes the golden frames from docs/protocol.md with struct and zlib alone.

It imports neither the host's decoder nor the firmware's encoder: the bytes are a third witness to both.
Run it with any Python 3: `python tests/wire/make_golden.py`.
"""

import json
import struct
import zlib
from pathlib import Path

GOLDEN = Path(__file__).parent / "golden"
UNREADABLE = GOLDEN / "unreadable"
HEADER = "<2sBBIIQIHBBI"
CODES = {
    -0x800001: "not_ready",
    -0x800002: "desync",
    -0x800003: "saturated_high",
    -0x800004: "saturated_low",
    -0x800005: "absent",
}


def pack(frame):
    samples = len(frame["counts"])
    cells = len(frame["counts"][0])
    flat = [count for row in frame["counts"] for count in row]
    body = struct.pack(
        HEADER,
        b"AB",
        1,
        frame["flags"],
        frame["boot"],
        frame["seq"],
        frame["device_us"],
        frame["sample_index"],
        frame["calibration_id"],
        samples,
        cells,
        frame["oldest_seq"],
    )
    body += struct.pack(f"<{samples}H", *frame["spacing_10us"])
    body += struct.pack(f"<{samples * cells}i", *flat)
    return body + struct.pack("<I", zlib.crc32(body))


def reseal(body):
    return body + struct.pack("<I", zlib.crc32(body))


def describe(frame, data):
    times, now = [], frame["device_us"]
    for position, spacing in enumerate(frame["spacing_10us"]):
        now += 10 * spacing if position else 0
        times.append(now)
    codes = [
        {"sample": s, "cell": c, "code": CODES.get(count, "unknown")}
        for s, row in enumerate(frame["counts"])
        for c, count in enumerate(row)
        if not -0x800000 <= count <= 0x7FFFFF
    ]
    return {
        "version": 1,
        **frame,
        "backlog": bool(frame["flags"] & 1),
        "lost_before": bool(frame["flags"] & 2),
        "overload": bool(frame["flags"] & 4),
        "decimated": bool(frame["flags"] & 8),
        "samples": len(frame["counts"]),
        "cells": len(frame["counts"][0]),
        "sample_device_us": times,
        "codes": codes,
        "length": len(data),
        "crc32": zlib.crc32(data[:-4]),
    }


def make(samples=10, cells=4, **fields):
    frame = {
        "flags": 0,
        "boot": 0x12345678,
        "seq": 42,
        "device_us": 5_250_000,
        "sample_index": 420,
        "calibration_id": 1,
        "oldest_seq": 40,
        "spacing_10us": [0] + [1250 + (7 * k) % 5 for k in range(1, samples)],
        "counts": [[84213 + 1000 * c + 37 * s for c in range(cells)] for s in range(samples)],
    }
    frame.update(fields)
    return frame


def good_frames():
    top = 0x7FFFFF
    edges = [[top - 1, -top, 0, -1], [1, 255, 256, -256], [65535, 65536, -65536, -65537]]
    codes = sorted(CODES, reverse=True)
    yield "typical-10x4", make()
    yield "first-of-a-boot", make(seq=0, device_us=0, sample_index=0, oldest_seq=0)
    yield "one-sample-one-cell", make(1, 1)
    yield "most-samples-255x1", make(255, 1)
    yield "most-cells-10x16", make(10, 16)
    yield "largest-255x16", make(255, 16)
    yield "two-cells-5x2", make(5, 2)
    yield "three-cells-8x3", make(8, 3)
    yield "negative-counts", make(counts=[[-84213 - 100 * c - s for c in range(4)] for s in range(10)])
    yield "edges-of-the-range", make(3, 4, counts=edges)
    yield "saturation-words-as-readings", make(1, 2, counts=[[top, -top - 1]])
    yield "every-code", make(5, 1, counts=[[code] for code in codes])
    yield (
        "codes-among-readings",
        make(2, 4, counts=[[84213, codes[0], codes[1], -5], [codes[4], 7, codes[2], codes[3]]]),
    )
    yield "foreign-values", make(2, 2, counts=[[-0x800006, top + 1], [-0x80000000, 0x7FFFFFFF]])
    yield "flag-backlog", make(flags=1)
    yield "flag-lost-before", make(flags=2, sample_index=9000)
    yield "flag-overload", make(flags=4)
    yield "flag-decimated", make(flags=8)
    yield "flags-all-four", make(flags=15)
    yield "flags-reserved-bits-set", make(flags=0xF0)
    yield "uncalibrated", make(calibration_id=0)
    yield "highest-calibration", make(calibration_id=65535)
    yield "device-time-above-2-to-32", make(device_us=2**32 + 17)
    yield "device-time-at-the-limit", make(device_us=2**50)
    yield "spacing-at-its-end", make(3, 4, spacing_10us=[0, 65535, 65534])
    yield "spacing-zero", make(3, 4, spacing_10us=[0, 0, 0])
    yield "highest-numbers", make(boot=2**32 - 1, seq=2**32 - 1, sample_index=2**32 - 1, oldest_seq=2**32 - 1)
    yield "boot-zero", make(boot=0)


def unreadable_payloads():
    typical = pack(make())
    body = typical[:-4]
    yield "empty", b"", "truncated"
    yield "header-only", typical[:32], "truncated"
    yield "one-byte-short", typical[:-1], "truncated"
    yield "one-byte-long", typical + b"\0", "oversized"
    yield "two-frames-in-one", typical + typical, "oversized"
    yield "text", b'{"counts": [1, 2, 3], "comment": "a different format"}', "magic"
    yield "version-two", reseal(body[:2] + b"\x02" + body[3:]), "version"
    yield "no-samples", reseal(body[:26] + b"\0" + body[27:32]), "shape"
    yield "no-cells", reseal(body[:27] + b"\0" + body[28:52]), "shape"
    yield "seventeen-cells", reseal(body[:26] + b"\x01\x11" + body[28:32] + bytes(2 + 4 * 17)), "shape"
    yield "one-bit-flipped", typical[:100] + bytes([typical[100] ^ 8]) + typical[101:], "checksum"
    yield "checksum-zero", body + bytes(4), "checksum"
    yield "device-time-above-2-to-50", pack(make(device_us=2**50 + 1)), "device_time"


def to_json(record):
    rows = ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in record.items())
    return "{\n" + rows + "\n}\n"


def main():
    UNREADABLE.mkdir(parents=True, exist_ok=True)
    for name, frame in good_frames():
        data = pack(frame)
        (GOLDEN / f"{name}.bin").write_bytes(data)
        (GOLDEN / f"{name}.json").write_text(to_json(describe(frame, data)))
    for name, data, problem in unreadable_payloads():
        (UNREADABLE / f"{name}.bin").write_bytes(data)
        (UNREADABLE / f"{name}.json").write_text(to_json({"length": len(data), "problem": problem}))


if __name__ == "__main__":
    main()
