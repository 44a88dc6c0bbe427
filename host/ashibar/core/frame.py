"""Reads and writes the sample frame of docs/protocol.md, one by one or a batch at a time in arrays.

It knows bytes and counts; what a count weighs, and whether a frame was seen before, is known elsewhere.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NoReturn
from zlib import crc32

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MAGIC: Final = b"AB"
VERSION: Final = 1
MAX_SAMPLES: Final = 255
MAX_CELLS: Final = 16
SPACING_UNIT_US: Final = 10
# No boot lasts so long, and stamps so far apart still fit every number they are written as (2^53).
MAX_DEVICE_US: Final = 2**50

FLAG_BACKLOG: Final = 1
FLAG_LOST_BEFORE: Final = 2
FLAG_OVERLOAD: Final = 4
FLAG_DECIMATED: Final = 8
_LEVEL_SHIFT: Final = 4

_HEADER: Final = struct.Struct("<2sBBIIQIHBBI")
_CRC: Final = struct.Struct("<I")
# The CRC-32 of any message followed by its own little-endian CRC-32: one pass, nothing sliced off.
_RESIDUE: Final = 0x2144DF1C
HEADER_DTYPE: Final = np.dtype(
    [
        ("magic", "<u2"),
        ("version", "u1"),
        ("flags", "u1"),
        ("boot", "<u4"),
        ("seq", "<u4"),
        ("device_us", "<u8"),
        ("sample_index", "<u4"),
        ("calibration_id", "<u2"),
        ("samples", "u1"),
        ("cells", "u1"),
        ("oldest_seq", "<u4"),
    ]
)
MAGIC_U16: Final = int.from_bytes(MAGIC, "little")


class FrameProblem(StrEnum):
    """Why a payload is not a readable frame."""

    TRUNCATED = "truncated"
    MAGIC = "magic"
    VERSION = "version"
    SHAPE = "shape"
    OVERSIZED = "oversized"
    CHECKSUM = "checksum"
    DEVICE_TIME = "device_time"


class FrameError(ValueError):
    """A payload that is no readable frame; `problem` names the first rule it breaks."""

    def __init__(self, problem: FrameProblem, expected: str, came: str) -> None:
        super().__init__(f"unreadable frame ({problem}): expected {expected}, came {came}")
        self.problem = problem


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame as sent: spacing_10us u16[S], counts i32[S, N] sample-major, read-only arrays."""

    flags: int
    boot: int
    seq: int
    device_us: int
    sample_index: int
    calibration_id: int
    oldest_seq: int
    spacing_10us: NDArray[np.uint16]
    counts: NDArray[np.int32]

    @property
    def samples(self) -> int:
        """S, the number of samples."""
        return int(self.counts.shape[0])

    @property
    def cells(self) -> int:
        """N, the number of cells."""
        return int(self.counts.shape[1])

    @property
    def backlog(self) -> bool:
        """Not live: its arrival says nothing about the clock."""
        return bool(self.flags & FLAG_BACKLOG)

    @property
    def lost_before(self) -> bool:
        """Samples were lost at the source before this frame."""
        return bool(self.flags & FLAG_LOST_BEFORE)

    @property
    def overload(self) -> bool:
        """The node itself saw an overload."""
        return bool(self.flags & FLAG_OVERLOAD)

    @property
    def decimated(self) -> bool:
        """Samples are pairs of least and greatest; the frame stands for all indices up to the next one's."""
        return bool(self.flags & FLAG_DECIMATED)

    @property
    def stands_for(self) -> int:
        """How many sequences from its own on the frame stands for: one, unless it is decimated."""
        return int(stands_for(np.array([self.flags]))[0])

    @property
    def offsets_us(self) -> list[int]:
        """Time of each sample since the first one, microseconds: S numbers, quicker than an array for few."""
        steps = self.spacing_10us.tolist()
        steps[0] = 0
        return list(accumulate(step * SPACING_UNIT_US for step in steps))

    @property
    def sample_device_us(self) -> NDArray[np.int64]:
        """Device time of each sample, int64[S], microseconds since boot."""
        times = _sample_times(np.array([self.device_us], np.int64), self.spacing_10us.reshape(1, -1))
        return times.reshape(-1)

    def __eq__(self, other: object) -> bool:
        """Equal in every field and every count."""
        if not isinstance(other, Frame):
            return NotImplemented
        return (
            self._header() == other._header()
            and np.array_equal(self.spacing_10us, other.spacing_10us)
            and np.array_equal(self.counts, other.counts)
        )

    def __hash__(self) -> int:
        return hash(self._header())

    def _header(self) -> tuple[int, ...]:
        numbers = (self.flags, self.boot, self.seq, self.device_us)
        return (*numbers, self.sample_index, self.calibration_id, self.oldest_seq, self.samples, self.cells)


@dataclass(frozen=True, slots=True, eq=False)
class Headers:
    """The headers of a batch's readable frames, one array a field, all of length G, in the order given.

    `position` is each frame's place in the sequence of payloads.
    """

    position: NDArray[np.int64]
    flags: NDArray[np.uint8]
    boot: NDArray[np.uint32]
    seq: NDArray[np.uint32]
    device_us: NDArray[np.int64]
    sample_index: NDArray[np.uint32]
    calibration_id: NDArray[np.uint16]
    samples: NDArray[np.uint8]
    cells: NDArray[np.uint8]
    oldest_seq: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.position)


@dataclass(frozen=True, slots=True, eq=False)
class FrameGroup:
    """Frames of one shape, K of them: `rows` int64[K] point into the batch's headers, ascending.

    spacing_10us u16[K, S], sample_device_us int64[K, S], counts i32[K, S, N]; read-only where they are views.
    """

    samples: int
    cells: int
    rows: NDArray[np.int64]
    spacing_10us: NDArray[np.uint16]
    sample_device_us: NDArray[np.int64]
    counts: NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class DecodedBatch:
    """What `decode_many` made of `size` payloads: every one is in `headers` or in `errors`, by position."""

    size: int
    headers: Headers
    groups: tuple[FrameGroup, ...]
    errors: tuple[tuple[int, FrameError], ...]

    def frames(self) -> list[Frame]:
        """Return the readable frames one by one, in the order given; for tools, not for the fast path."""
        found: list[Frame | None] = [None] * len(self.headers)
        for group in self.groups:
            for k, row in enumerate(group.rows.tolist()):
                found[row] = self._frame(row, group.spacing_10us[k], group.counts[k])
        return [frame for frame in found if frame is not None]

    def _frame(self, row: int, spacing_10us: NDArray[np.uint16], counts: NDArray[np.int32]) -> Frame:
        h = self.headers
        return Frame(
            flags=int(h.flags[row]),
            boot=int(h.boot[row]),
            seq=int(h.seq[row]),
            device_us=int(h.device_us[row]),
            sample_index=int(h.sample_index[row]),
            calibration_id=int(h.calibration_id[row]),
            oldest_seq=int(h.oldest_seq[row]),
            spacing_10us=spacing_10us,
            counts=counts,
        )


def frame_length(samples: int, cells: int) -> int:
    """Return the bytes of a frame of S samples of N cells."""
    return _HEADER.size + 2 * samples + 4 * samples * cells + _CRC.size


def stands_for(flags: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return how many sequences frames with these flags stand for, int64 of the same shape."""
    flags = flags.astype(np.int64)
    return np.where(flags & FLAG_DECIMATED != 0, 1 << (flags >> _LEVEL_SHIFT), 1)


def decode(payload: bytes) -> Frame:
    """Return the frame in `payload`; raise FrameError, naming the first rule broken, if it holds none."""
    if len(payload) < _HEADER.size or crc32(payload) != _RESIDUE:
        _refuse(payload)
    magic, version, flags, boot, seq, device_us, index, calibration, samples, cells, oldest = (
        _HEADER.unpack_from(payload)
    )
    if (
        magic != MAGIC
        or version != VERSION
        or not (1 <= samples <= MAX_SAMPLES and 1 <= cells <= MAX_CELLS)
        or len(payload) != frame_length(samples, cells)
        or device_us > MAX_DEVICE_US
    ):
        _refuse(payload)
    spacing = np.frombuffer(payload, "<u2", samples, _HEADER.size)
    counts = np.frombuffer(payload, "<i4", samples * cells, _HEADER.size + 2 * samples)
    shaped = counts.reshape(samples, cells)
    return Frame(flags, boot, seq, device_us, index, calibration, oldest, spacing, shaped)


def _refuse(payload: bytes) -> NoReturn:
    """Raise FrameError for a payload that holds no frame, naming the first rule it breaks."""
    if len(payload) >= len(MAGIC) and payload[: len(MAGIC)] != MAGIC:
        raise FrameError(FrameProblem.MAGIC, f"magic {MAGIC!r}", repr(bytes(payload[: len(MAGIC)])))
    if len(payload) < _HEADER.size:
        raise FrameError(FrameProblem.TRUNCATED, f"at least {_HEADER.size} bytes", f"{len(payload)} bytes")
    _, version, _, _, _, device_us, _, _, samples, cells, _ = _HEADER.unpack_from(payload)
    if version != VERSION:
        raise FrameError(FrameProblem.VERSION, f"version {VERSION}", f"version {version}")
    _check_shape_and_length(payload, samples, cells)
    _check_content(payload, device_us)
    raise AssertionError("a payload that is no frame breaks a rule")


def encode(frame: Frame) -> bytes:
    """Return the bytes of `frame`; raise ValueError where a field does not fit the wire."""
    samples, cells = frame.counts.shape
    if not (1 <= samples <= MAX_SAMPLES and 1 <= cells <= MAX_CELLS):
        raise ValueError(
            f"a frame holds 1 to {MAX_SAMPLES} samples of 1 to {MAX_CELLS} cells, came {samples} of {cells}"
        )
    if frame.spacing_10us.shape != (samples,):
        raise ValueError(f"expected {samples} spacings, came shape {frame.spacing_10us.shape}")
    try:
        header = _HEADER.pack(
            MAGIC,
            VERSION,
            frame.flags,
            frame.boot,
            frame.seq,
            frame.device_us,
            frame.sample_index,
            frame.calibration_id,
            samples,
            cells,
            frame.oldest_seq,
        )
    except struct.error as error:
        raise ValueError(f"a header field does not fit the frame: {error}; split or correct it") from error
    body = header + frame.spacing_10us.astype("<u2").tobytes() + frame.counts.astype("<i4").tobytes()
    return body + _CRC.pack(crc32(body))


def decode_many(payloads: Sequence[bytes]) -> DecodedBatch:
    """Decode a batch at once: the same frames and the same errors as `decode` gives one by one."""
    by_length: dict[int, list[int]] = {}
    bad: list[int] = []
    sealed = [crc32(payload) == _RESIDUE for payload in payloads]
    for position, payload in enumerate(payloads):
        if sealed[position] and len(payload) >= _HEADER.size:
            by_length.setdefault(len(payload), []).append(position)
        else:
            bad.append(position)
    blocks: list[_Block] = []
    for length, positions in by_length.items():
        blocks.extend(_blocks_of_length(payloads, positions, length, bad))
    headers, groups = _assemble(blocks)
    return DecodedBatch(len(payloads), headers, groups, _errors(payloads, bad))


@dataclass(frozen=True, slots=True)
class _Block:
    """Frames of one length and shape before they find their rows: raw u8[K, length], header records [K]."""

    position: NDArray[np.int64]
    header: NDArray[np.void]
    raw: NDArray[np.uint8]


def _blocks_of_length(
    payloads: Sequence[bytes], positions: list[int], length: int, bad: list[int]
) -> list[_Block]:
    """Split frames of one length by shape; the positions of those that are none are appended to `bad`."""
    raw = np.frombuffer(b"".join([payloads[p] for p in positions]), np.uint8).reshape(-1, length)
    header = np.ndarray((len(positions),), HEADER_DTYPE, raw, 0, (length,))
    samples, cells = header["samples"].astype(np.int64), header["cells"].astype(np.int64)
    good = (header["magic"] == MAGIC_U16) & (header["version"] == VERSION)
    good &= (samples >= 1) & (cells >= 1) & (cells <= MAX_CELLS)
    good &= _HEADER.size + _CRC.size + 2 * samples + 4 * samples * cells == length
    good &= header["device_us"] <= MAX_DEVICE_US
    position = np.array(positions, np.int64)
    if good.all() and (cells == cells[0]).all():
        return [_Block(position, header, raw)]
    bad.extend(position[~good].tolist())
    shapes = sorted(set(cells[good].tolist()))
    masks = [good & (cells == n) for n in shapes]
    return [_Block(position[mask], header[mask], raw[mask]) for mask in masks]


def _assemble(blocks: list[_Block]) -> tuple[Headers, tuple[FrameGroup, ...]]:
    """Put the headers of all blocks in the order given, and cut each block into its arrays."""
    positions = [block.position for block in blocks] or [np.empty(0, np.int64)]
    records = [block.header for block in blocks] or [np.empty(0, HEADER_DTYPE)]
    position = positions[0] if len(blocks) == 1 else np.concatenate(positions)
    record = records[0] if len(blocks) == 1 else np.concatenate(records)
    if len(blocks) > 1:
        order = np.argsort(position)
        position, record = position[order], record[order]
    rows = [np.searchsorted(position, block.position).astype(np.int64) for block in blocks]
    groups = tuple(_group(block, row) for block, row in zip(blocks, rows, strict=True))
    headers = Headers(
        position=position,
        flags=record["flags"],
        boot=record["boot"],
        seq=record["seq"],
        device_us=record["device_us"].astype(np.int64),
        sample_index=record["sample_index"],
        calibration_id=record["calibration_id"],
        samples=record["samples"],
        cells=record["cells"],
        oldest_seq=record["oldest_seq"],
    )
    return headers, groups


def _group(block: _Block, rows: NDArray[np.int64]) -> FrameGroup:
    samples, cells = int(block.header["samples"][0]), int(block.header["cells"][0])
    start = _HEADER.size + 2 * samples
    stop = start + 4 * samples * cells
    count = len(rows)
    spacing = np.ascontiguousarray(block.raw[:, _HEADER.size : start]).view("<u2")
    counts = np.ascontiguousarray(block.raw[:, start:stop]).view("<i4")
    first_us = block.header["device_us"].astype(np.int64)
    return FrameGroup(
        samples=samples,
        cells=cells,
        rows=rows,
        spacing_10us=spacing,
        sample_device_us=_sample_times(first_us, spacing),
        counts=counts.reshape(count, samples, cells),
    )


def _sample_times(first_us: NDArray[np.int64], spacing_10us: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Return int64[K, S]: the time of each sample; the first spacing of a frame says nothing."""
    steps = spacing_10us.astype(np.int64) * SPACING_UNIT_US
    steps[:, 0] = first_us
    times: NDArray[np.int64] = np.cumsum(steps, axis=1)
    return times


def _errors(payloads: Sequence[bytes], bad: list[int]) -> tuple[tuple[int, FrameError], ...]:
    return tuple((position, _error(payloads[position])) for position in sorted(bad))


def _error(payload: bytes) -> FrameError:
    try:
        decode(payload)
    except FrameError as error:
        return error
    raise AssertionError("the batch refused a frame that stands alone")  # the two decoders disagree


def _check_shape_and_length(payload: bytes, samples: int, cells: int) -> None:
    if not (1 <= samples <= MAX_SAMPLES and 1 <= cells <= MAX_CELLS):
        expected = f"1 to {MAX_SAMPLES} samples of 1 to {MAX_CELLS} cells"
        raise FrameError(FrameProblem.SHAPE, expected, f"{samples} of {cells}")
    length = frame_length(samples, cells)
    if len(payload) != length:
        problem = FrameProblem.TRUNCATED if len(payload) < length else FrameProblem.OVERSIZED
        expected = f"{length} bytes for {samples} samples of {cells} cells"
        raise FrameError(problem, expected, f"{len(payload)} bytes")


def _check_content(payload: bytes, device_us: int) -> None:
    if crc32(payload) != _RESIDUE:
        computed = crc32(memoryview(payload)[: -_CRC.size])
        (sent,) = _CRC.unpack(payload[-_CRC.size :])
        raise FrameError(FrameProblem.CHECKSUM, f"CRC-32 {computed:08x}", f"{sent:08x}")
    if device_us > MAX_DEVICE_US:
        raise FrameError(
            FrameProblem.DEVICE_TIME, f"at most {MAX_DEVICE_US} us since boot", f"{device_us} us"
        )
