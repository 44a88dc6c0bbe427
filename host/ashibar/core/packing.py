"""A block of one boot's frames as few bytes, and the frames back from it to the last bit.

Headers, spacings and counts become columns and go through `core.rice`; the checksum is computed anew.
A frame that would not come back the same is kept as it is. It does not choose frames.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final
from zlib import compress, crc32, decompress

import msgspec
import numpy as np

from ashibar.core import decoding
from ashibar.core.frame import HEADER_DTYPE, MAGIC_U16, VERSION, DecodedBatch, decode_many, frame_length
from ashibar.core.rice import CodedError, code, decoded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

BLOCK_VERSION: Final = 1
COUNT_MIN: Final = -0x800000  # below are codes, which would spoil the differences of the readings
COUNT_MAX: Final = 0x7FFFFF
_LEVEL: Final = 6


class BlockError(ValueError):
    """A block that cannot be read: damaged, or of a newer version."""


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """K stored frames of one boot, one int64[K] a column, and their payloads as they came."""

    id: NDArray[np.int64]
    seq: NDArray[np.int64]
    sample_index: NDArray[np.int64]
    samples: NDArray[np.int64]
    cells: NDArray[np.int64]
    flags: NDArray[np.int64]
    device_us: NDArray[np.int64]
    utc_us: NDArray[np.int64]
    utc_last_us: NDArray[np.int64]
    fit: NDArray[np.int64]
    received_us: NDArray[np.int64]
    payloads: Sequence[bytes]

    def __len__(self) -> int:
        return len(self.payloads)

    def columns(self) -> list[NDArray[np.int64]]:
        """Return the number columns in the order of the fields."""
        return [getattr(self, name) for name in COLUMNS]


COLUMNS: Final = tuple(each.name for each in fields(Frames))[:-1]
OF_HEADER: Final = ("seq", "sample_index", "samples", "cells", "flags", "device_us")


class _Block(msgspec.Struct, array_like=True):
    """The stored form. `plain` frames are made anew from their columns, `odd` ones are kept as they are."""

    version: int
    size: int
    boot: int
    odd_at: list[int]
    odd_columns: list[bytes]
    odd_payloads: bytes
    plain_columns: bytes
    spacing: bytes
    counts: dict[int, list[bytes]]
    code_at: dict[int, bytes]
    code_value: dict[int, bytes]


def pack(frames: Frames) -> bytes:
    """Return the frames as one block, sealed by a checksum; `unpack` gives them back exactly."""
    batch = decode_many(frames.payloads)
    plain = _plain(frames, batch)
    odd = np.flatnonzero(~plain)
    boot = int(batch.headers.boot[0]) if len(batch.headers) else 0
    payloads = [frames.payloads[at] for at in odd.tolist()]
    block = _Block(
        version=BLOCK_VERSION,
        size=len(frames),
        boot=boot,
        odd_at=odd.tolist(),
        odd_columns=[code(column[odd]) for column in frames.columns()] if len(odd) else [],
        odd_payloads=compress(msgspec.msgpack.encode(payloads), _LEVEL),
        plain_columns=b"",
        spacing=b"",
        counts={},
        code_at={},
        code_value={},
    )
    if plain.any():
        _pack_plain(block, frames, plain)
    body = msgspec.msgpack.encode(block)
    return crc32(body).to_bytes(4, "little") + body


def unpack(data: bytes) -> Frames:
    """Return the frames of a block. Raises BlockError where it is damaged or of a newer version."""
    if len(data) < 4 or crc32(memoryview(data)[4:]).to_bytes(4, "little") != data[:4]:
        raise BlockError(
            "expected a block with its checksum, came damaged bytes: restore a backup, or go without it"
        )
    try:
        block = decoding.from_msgpack(memoryview(data)[4:], _Block)
        if block.version != BLOCK_VERSION:
            raise BlockError(
                f"expected a block of version {BLOCK_VERSION}, came {block.version}: update ashibar"
            )
        return _unpacked(block)
    except (msgspec.MsgspecError, CodedError, IndexError) as error:
        raise BlockError(f"expected a block as written by this program: {error}") from error


def _plain(frames: Frames, batch: DecodedBatch) -> NDArray[np.bool_]:
    """Return bool[K]: frames that are of one boot and whose columns are those of their header."""
    plain = np.zeros(len(frames), np.bool_)
    headers = batch.headers
    if not len(headers):
        return plain
    same = headers.boot == headers.boot[0]
    for name in OF_HEADER:
        same &= getattr(headers, name).astype(np.int64) == getattr(frames, name)[headers.position]
    plain[headers.position[same]] = True
    return plain


def _pack_plain(block: _Block, frames: Frames, plain: NDArray[np.bool_]) -> None:
    chosen = np.flatnonzero(plain)
    batch = decode_many([frames.payloads[at] for at in chosen.tolist()])
    last_us = np.empty(len(chosen), np.int64)
    spacing: list[NDArray[np.int64]] = [np.empty(0, np.int64)] * len(chosen)
    counts: list[NDArray[np.int32]] = [np.empty((0, 0), np.int32)] * len(chosen)
    for group in batch.groups:
        last_us[group.rows] = group.sample_device_us[:, -1]
        for k, row in enumerate(group.rows.tolist()):
            spacing[row], counts[row] = group.spacing_10us[k], group.counts[k]
    own = {name: getattr(frames, name)[chosen] for name in COLUMNS}
    # A frame follows the clock of its node and is received soon after: differences from those are small.
    own["received_us"] = own["received_us"] - own["utc_last_us"]
    own["utc_last_us"] = own["utc_last_us"] - own["utc_us"] - (last_us - own["device_us"])
    own["utc_us"] = own["utc_us"] - own["device_us"]
    columns = [code(own[name]) for name in COLUMNS]
    columns += [
        code(getattr(batch.headers, name).astype(np.int64)) for name in ("calibration_id", "oldest_seq")
    ]
    block.plain_columns = compress(msgspec.msgpack.encode(columns), _LEVEL)
    block.spacing = compress(code(np.concatenate(spacing).astype(np.int64)), _LEVEL)
    cells = batch.headers.cells
    for number in np.unique(cells).tolist():
        table = np.concatenate([counts[row] for row in np.flatnonzero(cells == number).tolist()])
        _pack_counts(block, number, table.astype(np.int64))


def _pack_counts(block: _Block, cells: int, table: NDArray[np.int64]) -> None:
    """Code counts int64[T, cells] cell by cell, the codes among them apart."""
    columns = []
    at: list[NDArray[np.int64]] = []
    value: list[NDArray[np.int64]] = []
    for number, column in enumerate(table.T):
        coded = np.flatnonzero((column < COUNT_MIN) | (column > COUNT_MAX))
        at.append(coded + number * len(table))
        value.append(column[coded])
        columns.append(code(_bridged(column, coded)))
    block.counts[cells] = columns
    block.code_at[cells] = compress(code(np.concatenate(at)), _LEVEL)
    block.code_value[cells] = compress(code(np.concatenate(value)), _LEVEL)


def _bridged(column: NDArray[np.int64], coded: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the column with the reading before in place of each code."""
    if not len(coded):
        return column
    good = np.ones(len(column), np.bool_)
    good[coded] = False
    if not good.any():
        return np.zeros_like(column)
    before = np.maximum.accumulate(np.where(good, np.arange(len(column)), -1))
    return column[np.where(before < 0, int(np.argmax(good)), before)]


def _unpacked(block: _Block) -> Frames:
    plain = np.ones(block.size, np.bool_)
    plain[block.odd_at] = False
    columns = {name: np.empty(block.size, np.int64) for name in COLUMNS}
    payloads: list[bytes] = [b""] * block.size
    if block.odd_at:
        kept = msgspec.msgpack.decode(decompress(block.odd_payloads), type=list[bytes])
        for name, coded in zip(COLUMNS, block.odd_columns, strict=True):
            columns[name][block.odd_at] = decoded(coded)
        for at, payload in zip(block.odd_at, kept, strict=True):
            payloads[at] = payload
    chosen = np.flatnonzero(plain)
    if len(chosen):
        own = _unpack_plain(block)
        for name in COLUMNS:
            columns[name][chosen] = getattr(own, name)
        for at, payload in zip(chosen.tolist(), own.payloads, strict=True):
            payloads[at] = payload
    return Frames(payloads=payloads, **columns)


def _unpack_plain(block: _Block) -> Frames:
    stored = [
        decoded(each) for each in msgspec.msgpack.decode(decompress(block.plain_columns), type=list[bytes])
    ]
    own = Frames(**dict(zip(COLUMNS, stored, strict=False)), payloads=[b""] * len(stored[0]))
    spacing = decoded(decompress(block.spacing))
    payloads: list[bytes] = [b""] * len(own)
    last_us = np.empty(len(own), np.int64)
    starts = np.cumsum(own.samples) - own.samples
    for number in np.unique(own.cells).tolist():
        of_cells = own.cells == number
        table = _unpack_counts(block, number)
        table_starts = np.cumsum(own.samples * of_cells) - own.samples * of_cells
        for samples in np.unique(own.samples[of_cells]).tolist():
            rows = np.flatnonzero(of_cells & (own.samples == samples))
            steps = np.arange(samples)
            gaps = spacing[starts[rows, np.newaxis] + steps]
            gaps_us = gaps[:, 1:].sum(axis=1) * 10
            last_us[rows] = own.device_us[rows] + gaps_us
            counts = table[table_starts[rows, np.newaxis] + steps]
            raw = _raw_frames(own, stored[-2:], rows, block.boot, spacing=gaps, counts=counts)
            for row, payload in zip(rows.tolist(), raw, strict=True):
                payloads[row] = payload
    utc_us = own.utc_us + own.device_us
    utc_last_us = own.utc_last_us + utc_us + (last_us - own.device_us)
    received_us = own.received_us + utc_last_us
    return replace(own, utc_us=utc_us, utc_last_us=utc_last_us, received_us=received_us, payloads=payloads)


def _unpack_counts(block: _Block, cells: int) -> NDArray[np.int64]:
    table = np.stack([decoded(column) for column in block.counts[cells]])
    flat = table.reshape(-1)
    flat[decoded(decompress(block.code_at[cells]))] = decoded(decompress(block.code_value[cells]))
    return table.T


def _raw_frames(
    own: Frames,
    extra: list[NDArray[np.int64]],
    rows: NDArray[np.int64],
    boot: int,
    *,
    spacing: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> list[bytes]:
    """Return the payloads of frames of one shape: spacing [K, S], counts [K, S, N]."""
    count, samples, cells = counts.shape
    header = np.zeros(count, HEADER_DTYPE)
    header["magic"], header["version"], header["boot"] = MAGIC_U16, VERSION, boot
    for name in OF_HEADER:
        header[name] = getattr(own, name)[rows]
    header["calibration_id"], header["oldest_seq"] = extra[0][rows], extra[1][rows]
    length = frame_length(samples, cells) - 4
    body = np.concatenate(
        [
            header.view(np.uint8).reshape(count, -1),
            np.ascontiguousarray(spacing.astype("<u2")).view(np.uint8).reshape(count, -1),
            np.ascontiguousarray(counts.astype("<i4")).view(np.uint8).reshape(count, -1),
        ],
        axis=1,
    ).tobytes()
    bodies = [body[start : start + length] for start in range(0, count * length, length)]
    return [each + crc32(each).to_bytes(4, "little") for each in bodies]
