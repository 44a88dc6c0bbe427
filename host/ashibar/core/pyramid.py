"""Count, least, greatest and sum of every quantity in steps of 1 s to 1 h, made once and merged for ever.

Values are whole millinewtons, as written to every sink, so that no sum depends on the order of its parts.
It evaluates nothing and stores nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from zlib import compress, decompress
from zlib import error as zlib_error

import msgspec
import numpy as np

from ashibar.core import decoding
from ashibar.core.rice import CodedError, code, decoded
from ashibar.core.validity import Validity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

US: Final = 1_000_000
# Steps in seconds, each a multiple of the one before, and how many make a chunk: what is rewritten at once.
LEVELS: Final = {1: 600, 10: 180, 60: 60, 600: 144, 3600: 168}
COARSEST_S: Final = max(LEVELS)
STATES: Final = len(Validity)
CODED, PLAIN = 1, 2  # versions: a chunk that is full, one that is soon written again
_LEVEL: Final = 1
UNKNOWN: Final = np.iinfo(np.int64).min


class ChunkError(ValueError):
    """A stored chunk that cannot be read; it can be made again from the frames."""


class SeriesError(ValueError):
    """A question without an answer: what was expected, what came, what to do."""

    def __init__(self, expected: str, came: str, do: str) -> None:
        super().__init__(f"expected {expected}, came {came}; {do}")
        self.expected = expected
        self.came = came
        self.do = do


class _Stored(msgspec.Struct, array_like=True):
    version: int
    buckets: int
    names: list[str]
    states: bytes
    count: bytes
    low: bytes
    high: bytes
    total: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """B steps of `step_s` from `start_us` on, of Q quantities `names`.

    `count`, `low`, `high`, `total` int64[Q, B]: samples with a known value, their least, greatest, sum in mN
    (0 where none is); `states` int64[V, B]: samples on record by validity.
    """

    step_s: int
    start_us: int
    names: tuple[str, ...]
    count: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    total: NDArray[np.int64]
    states: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.states.shape[1])

    @property
    def end_us(self) -> int:
        """The end of the last step."""
        return self.start_us + len(self) * self.step_s * US


def empty(step_s: int, start_us: int, buckets: int, names: Sequence[str]) -> Chunk:
    """Return steps without a sample."""
    count, low, high, total = (np.zeros((len(names), buckets), np.int64) for _ in range(4))
    states = np.zeros((STATES, buckets), np.int64)
    return Chunk(step_s, start_us, tuple(names), count, low, high, total, states)


def millinewtons(values_n: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return newtons as whole mN, UNKNOWN where not a number; the rounding of three decimals."""
    known = ~np.isnan(values_n)
    rounded = np.rint(np.where(known, values_n, 0.0) * 1000.0)
    return np.where(known, rounded, UNKNOWN).astype(np.int64)


def of_samples(
    utc_us: NDArray[np.int64],
    values_mn: NDArray[np.int64],
    validity: NDArray[np.uint8],
    names: Sequence[str],
    *,
    step_us: int,
    start_us: int,
    buckets: int,
) -> Chunk:
    """Return the steps that samples make: times [S], values [Q, S], validity [S]; all lie inside the span.

    `step_us` may be below a second; the chunk then has `step_s` 0 and is not one to store.
    """
    chunk = empty(step_us // US, start_us, buckets, names)
    at = (utc_us - start_us) // step_us
    np.add.at(chunk.states, (validity.astype(np.intp), at), 1)
    for row, values in enumerate(values_mn):
        known = values != UNKNOWN
        where, mine = at[known], values[known]
        low, high = np.full(buckets, np.iinfo(np.int64).max), np.full(buckets, UNKNOWN)
        np.add.at(chunk.count[row], where, 1)
        np.add.at(chunk.total[row], where, mine)
        np.minimum.at(low, where, mine)
        np.maximum.at(high, where, mine)
        some = chunk.count[row] > 0
        chunk.low[row], chunk.high[row] = np.where(some, low, 0), np.where(some, high, 0)
    return chunk


def merged(one: Chunk, other: Chunk) -> Chunk:
    """Return both together; they are of the same steps, and no sample is in both."""
    if one.names != other.names:
        names = tuple(dict.fromkeys((*one.names, *other.names)))
        one, other = _renamed(one, names), _renamed(other, names)
    low = np.where(
        one.count == 0, other.low, np.where(other.count == 0, one.low, np.minimum(one.low, other.low))
    )
    high = np.where(
        one.count == 0, other.high, np.where(other.count == 0, one.high, np.maximum(one.high, other.high))
    )
    return Chunk(
        one.step_s,
        one.start_us,
        one.names,
        one.count + other.count,
        low,
        high,
        one.total + other.total,
        one.states + other.states,
    )


def cut(chunk: Chunk, from_us: int, to_us: int) -> Chunk:
    """Return the steps that begin in `from_us` <= time < `to_us`."""
    step_us = chunk.step_s * US
    first = min(max(0, -(-(from_us - chunk.start_us) // step_us)), len(chunk))
    last = min(max(first, -(-(to_us - chunk.start_us) // step_us)), len(chunk))
    tables = [table[:, first:last] for table in _tables(chunk)]
    return Chunk(chunk.step_s, chunk.start_us + first * step_us, chunk.names, *tables)


def without(chunk: Chunk, from_us: int, to_us: int) -> Chunk:
    """Return the chunk with the steps that begin in `from_us` <= time < `to_us` emptied."""
    starts = chunk.start_us + np.arange(len(chunk)) * chunk.step_s * US
    inside = (starts >= from_us) & (starts < to_us)
    return Chunk(
        chunk.step_s, chunk.start_us, chunk.names, *(np.where(inside, 0, table) for table in _tables(chunk))
    )


def coarser(chunk: Chunk, step_s: int, start_us: int, buckets: int) -> Chunk:
    """Return the chunk in larger steps, put into `buckets` steps from `start_us` on."""
    wide = empty(step_s, start_us, buckets, chunk.names)
    starts = chunk.start_us + np.arange(len(chunk)) * chunk.step_s * US
    at = (starts - start_us) // (step_s * US)
    inside = (at >= 0) & (at < buckets) & (chunk.states.sum(axis=0) > 0)
    at = at[inside]
    for target, table in ((wide.states, chunk.states), (wide.count, chunk.count), (wide.total, chunk.total)):
        for row in range(len(table)):
            np.add.at(target[row], at, table[row, inside])
    for row in range(len(chunk.names)):
        some = chunk.count[row, inside] > 0
        low, high = np.full(buckets, np.iinfo(np.int64).max), np.full(buckets, UNKNOWN)
        np.minimum.at(low, at[some], chunk.low[row, inside][some])
        np.maximum.at(high, at[some], chunk.high[row, inside][some])
        known = wide.count[row] > 0
        wide.low[row], wide.high[row] = np.where(known, low, 0), np.where(known, high, 0)
    return wide


def chunk_start_us(step_s: int, utc_us: int) -> int:
    """Return where the stored chunk of a level that holds a time begins; chunks lie on the epoch's grid."""
    length_us = LEVELS[step_s] * step_s * US
    return utc_us // length_us * length_us


def to_bytes(chunk: Chunk, *, grows: bool = False) -> bytes:
    """Return the chunk for the record; `from_bytes` gives it back.

    One that `grows` is written again before long: at a tenth of the work, in more room.
    """
    rows = chunk.states.sum(axis=0)
    tables = (
        chunk.states,
        rows - chunk.count,
        chunk.low,
        chunk.high - chunk.low,
        chunk.total - chunk.low * chunk.count,
    )
    version, put = (PLAIN, _plain) if grows else (CODED, code)
    columns = [put(table.reshape(-1)) for table in tables]
    return msgspec.msgpack.encode(_Stored(version, len(chunk), list(chunk.names), *columns))


def _plain(values: NDArray[np.int64]) -> bytes:
    return compress(values.astype("<i8").tobytes(), _LEVEL)


def _of_plain(data: bytes) -> NDArray[np.int64]:
    return np.frombuffer(decompress(data), "<i8").astype(np.int64)


def from_bytes(data: bytes, step_s: int, start_us: int) -> Chunk:
    """Return the chunk that `to_bytes` wrote. Raises ChunkError."""
    try:
        stored = decoding.from_msgpack(data, _Stored)
        if stored.version not in (CODED, PLAIN):
            raise ChunkError(
                f"expected a chunk of version {CODED} or {PLAIN}, came {stored.version}: rebuild it"
            )
        get = decoded if stored.version == CODED else _of_plain
        shape = (len(stored.names), stored.buckets)
        states = get(stored.states).reshape(STATES, stored.buckets)
        count = states.sum(axis=0) - get(stored.count).reshape(shape)
        low = get(stored.low).reshape(shape)
        high = low + get(stored.high).reshape(shape)
        total = get(stored.total).reshape(shape) + low * count
    except (msgspec.MsgspecError, CodedError, ValueError, zlib_error) as error:
        raise ChunkError(f"expected a chunk as written by this program: {error}; rebuild it") from error
    return Chunk(step_s, start_us, tuple(stored.names), count, low, high, total, states)


def _tables(chunk: Chunk) -> list[NDArray[np.int64]]:
    return [chunk.count, chunk.low, chunk.high, chunk.total, chunk.states]


def _renamed(chunk: Chunk, names: tuple[str, ...]) -> Chunk:
    """Return the chunk with the quantities in that order, unknown ones without a sample."""
    wide = empty(chunk.step_s, chunk.start_us, len(chunk), names)
    rows = [names.index(name) for name in chunk.names]
    for target, table in zip(_tables(wide)[:4], _tables(chunk)[:4], strict=True):
        target[rows] = table
    wide.states[:] = chunk.states
    return wide
