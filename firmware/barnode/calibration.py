"""The node's calibration record: how it is checked and kept in the chip's memory. It makes no weight of
it."""

import struct

NAME = "calibration"
_StructError = getattr(struct, "error", ValueError)
_CELL = "<if"  # zero in counts, span in newtons a count
FITTING = "id 1 to 65535 and zero_count, span_n_per_count for each of %d cells expected"


def fits(given, channels):
    """Whether it can be the calibration of a node of so many channels, wherever it came from."""
    cells = given.get("cells") if isinstance(given, dict) else None
    if not isinstance(cells, list) or len(cells) != channels or not whole(given.get("id"), 1, 65535):
        return False
    for cell in cells:
        if not isinstance(cell, dict) or not whole(cell.get("zero_count"), -0x800000, 0x7FFFFF):
            return False
        span = cell.get("span_n_per_count")
        if isinstance(span, bool) or not isinstance(span, (int, float)) or not 1e-9 <= abs(span) <= 1:
            return False
    return True


def whole(value, least, most):
    """Whether it is an integer of that range."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def pack(record):
    """Bytes of a record that `fits` and has `by` and `unix_s`."""
    by = record["by"].encode()
    parts = [struct.pack("<HIBB", record["id"], record["unix_s"], len(record["cells"]), len(by)), by]
    parts += [struct.pack(_CELL, cell["zero_count"], cell["span_n_per_count"]) for cell in record["cells"]]
    return b"".join(parts)


def unpack(data):
    """The record of `pack`, its spans as the chip holds them (32-bit); ValueError when it is none."""
    try:
        number, unix_s, count, length = struct.unpack_from("<HIBB", data)
        at = 8 + length
        cells = []
        for _ in range(count):
            zero, span = struct.unpack_from(_CELL, data, at)
            cells.append({"zero_count": zero, "span_n_per_count": span})
            at += 8
        if at != len(data):
            raise ValueError("%d bytes expected, %d came" % (at, len(data)))  # noqa: TRY301 - one way to say it
        return {
            "id": number,
            "by": str(bytes(data[8 : 8 + length]), "utf-8"),
            "unix_s": unix_s,
            "cells": cells,
        }
    except (
        ValueError,
        IndexError,
        _StructError,
    ) as error:
        raise ValueError(
            "calibration: a record expected, it cannot be read (%s): calibrate again" % error
        ) from None


def stored(records, given, channels, problems):
    """The calibration in force: the record in the chip's memory; where there never was one, `given` by the
    file."""
    if not records.exists(NAME):
        return given
    data = records.read(NAME)
    if data is None:
        return None
    try:
        record = unpack(data)
    except ValueError as error:
        problems.append(str(error))
        return None
    if not fits(record, channels):
        problems.append(
            "calibration: " + FITTING % channels + ", record %d does not: calibrate again" % record["id"]
        )
        return None
    return record
