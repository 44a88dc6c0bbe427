"""Whole numbers to few bytes and back, in arrays: differences of the order that suits, then Rice codes.

Made for columns of a record (counts, times, sequences); it knows nothing of what they mean. Rice (1979),
"Some practical universal noiseless coding techniques"; an order for each stretch is as in lossless audio.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from zlib import compress, decompress

import msgspec
import numpy as np

from ashibar.core import decoding

if TYPE_CHECKING:
    from numpy.typing import NDArray

STRETCH: Final = 128  # values that share order and parameter: 2 bytes for them are 0.02 bytes each
ORDERS: Final = 4  # 0: about the mean, for a load at rest; 1 to 3: differences, for one that moves
MAX_K: Final = 40
ESCAPE: Final = 32  # a quotient of this says that the value stands by itself: a spike must not cost kilobytes
_LEVEL: Final = 6


class CodedError(ValueError):
    """Bytes that `code` did not write."""


class _Coded(msgspec.Struct, array_like=True):
    """The stored form; the bytes of each part are explained where they are made."""

    length: int
    bases: bytes
    shapes: bytes
    quotients: bytes
    remainders: bytes
    escapes: bytes


def code(values: NDArray[np.int64]) -> bytes:
    """Return int64[T] as bytes; any values, made for ones that lie near their neighbours."""
    if not len(values):
        return msgspec.msgpack.encode(_Coded(0, b"", b"", b"", b"", b""))
    rows = -len(values) % STRETCH
    grid = np.concatenate([values, np.full(rows, values[-1], np.int64)]).reshape(-1, STRETCH)
    bases, order, k, residue = _chosen(grid)
    quotient = np.minimum(residue >> k[:, np.newaxis].astype(np.uint64), np.uint64(ESCAPE)).astype(np.int64)
    escapes = residue[quotient == ESCAPE]
    coded = _Coded(
        len(values),
        _squeezed(zigzag(np.diff(bases, prepend=np.int64(0)))),
        compress((k * ORDERS + order).astype(np.uint8).tobytes(), _LEVEL),
        _unary(quotient.reshape(-1)),
        b"".join(_low_bits(residue[k == each], each) for each in np.unique(k).tolist()),
        _squeezed(escapes),
    )
    return msgspec.msgpack.encode(coded)


def decoded(data: bytes) -> NDArray[np.int64]:
    """Return what `code` was given. Raises CodedError where the bytes are none of its."""
    try:
        coded = decoding.from_msgpack(data, _Coded)
        return _decoded(coded) if coded.length else np.empty(0, np.int64)
    except CodedError:
        raise
    except Exception as error:
        raise CodedError(
            f"expected a column as written by this program, came damaged bytes: {error}"
        ) from error


def zigzag(values: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return small positive numbers for small ones of either sign."""
    folded: NDArray[np.uint64] = ((values << 1) ^ (values >> 63)).view(np.uint64)
    return folded


def unzigzag(values: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return what `zigzag` was given."""
    unfolded: NDArray[np.int64] = (values >> np.uint64(1)).view(np.int64) ^ -(values & np.uint64(1)).view(
        np.int64
    )
    return unfolded


def _chosen(
    grid: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.uint64]]:
    """Return bases, orders, parameters [M] and folded residues [M, STRETCH], each stretch at its cheapest."""
    count = len(grid)
    mean = grid[:, 0] + np.rint((grid - grid[:, :1]).mean(axis=1)).astype(np.int64)
    residue = zigzag(grid - mean[:, np.newaxis])
    bases, order, (k, cost) = mean, np.zeros(count, np.int64), _parameter(residue)
    change = grid - grid[:, :1]
    for each in range(1, ORDERS):
        change = np.diff(change, axis=1, prepend=np.int64(0))
        folded = zigzag(change)
        other_k, other_cost = _parameter(folded)
        better = other_cost < cost
        bases, order = np.where(better, grid[:, 0], bases), np.where(better, each, order)
        k, cost = np.where(better, other_k, k), np.where(better, other_cost, cost)
        residue = np.where(better[:, np.newaxis], folded, residue)
    return bases, order, k, residue


def _parameter(folded: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the best Rice parameter of each stretch and its cost in bits, both [M]."""
    mean = np.minimum(folded, np.uint64(2**50)).mean(axis=1)
    guess = np.clip(np.floor(np.log2(mean * np.log(2.0) + 0.5)), 0, MAX_K).astype(np.int64)
    best, least = guess, np.full(len(folded), np.inf)
    for step in (-1, 0, 1):
        k = np.clip(guess + step, 0, MAX_K)
        quotient = folded >> k[:, np.newaxis].astype(np.uint64)
        escaped = quotient >= ESCAPE
        bits = np.where(escaped, ESCAPE + 32, quotient).sum(axis=1) + STRETCH * (1.0 + k)
        best, least = np.where(bits < least, k, best), np.minimum(bits, least)
    return best, least


def _unary(quotients: NDArray[np.int64]) -> bytes:
    """Return each quotient as that many zeros and a one."""
    ends = np.cumsum(quotients + 1) - 1
    bits = np.zeros(int(ends[-1]) + 1, np.uint8)
    bits[ends] = 1
    return np.packbits(bits, bitorder="little").tobytes()


def _from_unary(data: bytes, count: int) -> NDArray[np.int64]:
    ends = np.flatnonzero(np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little"))
    if len(ends) != count:
        raise CodedError(f"expected {count} values, came {len(ends)}: the bytes are damaged")
    return np.diff(ends, prepend=-1) - 1


def _low_bits(values: NDArray[np.uint64], k: int) -> bytes:
    """Return the lowest `k` bits of each value, without holes; whole bytes for each k."""
    if not k:
        return b""
    octets = values.reshape(-1).astype("<u8").view(np.uint8).reshape(-1, 8)
    return np.packbits(np.unpackbits(octets, axis=1, count=k, bitorder="little"), bitorder="little").tobytes()


def _from_low_bits(data: bytes, count: int, k: int) -> NDArray[np.uint64]:
    bits = np.unpackbits(np.frombuffer(data, np.uint8), count=count * k, bitorder="little").reshape(count, k)
    octets = np.zeros((count, 8), np.uint8)
    octets[:, : (k + 7) // 8] = np.packbits(bits, axis=1, bitorder="little")
    return octets.reshape(-1).view("<u8").astype(np.uint64)


def _squeezed(values: NDArray[np.uint64]) -> bytes:
    """Return few large values: their bytes by place, so that the high zeros lie together."""
    return compress(values.astype("<u8").view(np.uint8).reshape(-1, 8).T.tobytes(), _LEVEL)


def _unsqueezed(data: bytes) -> NDArray[np.uint64]:
    octets = np.frombuffer(decompress(data), np.uint8).reshape(8, -1)
    return np.ascontiguousarray(octets.T).reshape(-1).view("<u8").astype(np.uint64)


def _decoded(coded: _Coded) -> NDArray[np.int64]:
    bases = np.cumsum(unzigzag(_unsqueezed(coded.bases)))
    shapes = np.frombuffer(decompress(coded.shapes), np.uint8).astype(np.int64)
    if len(shapes) != len(bases) or len(bases) != -(-coded.length // STRETCH):
        raise CodedError("expected as many stretches as bases: the bytes are damaged")
    k, order = shapes // ORDERS, shapes % ORDERS
    quotient = _from_unary(coded.quotients, len(bases) * STRETCH).reshape(-1, STRETCH)
    residue = quotient.astype(np.uint64) << k[:, np.newaxis].astype(np.uint64)
    start = 0
    for each in np.unique(k).tolist():
        mine = k == each
        count = int(mine.sum()) * STRETCH
        size = (count * each + 7) // 8
        if each:
            low = _from_low_bits(coded.remainders[start : start + size], count, each)
            residue[mine] |= low.reshape(-1, STRETCH)
        start += size
    residue[quotient == ESCAPE] = _unsqueezed(coded.escapes)
    values = unzigzag(residue.reshape(-1)).reshape(-1, STRETCH)
    for each in range(1, ORDERS):
        values[order >= each] = np.cumsum(values[order >= each], axis=1)
    return (values + bases[:, np.newaxis]).reshape(-1)[: coded.length]
