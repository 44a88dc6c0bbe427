"""InfluxDB's line protocol from arrays: one line a row, the same bytes each time. It sends nothing.

Every row is laid out in a matrix of bytes in which NUL stands for nothing; taking the NULs out leaves the
lines. Formatting is most of what a write costs, and this is several times quicker than a format per line.
Names and words are escaped as influxdb-client does it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

DECIMALS: Final = 3  # of a float: forces to the millinewton, a hundredth of what a good cell can tell
LARGEST: Final = 2.0**53 / 10**DECIMALS  # a float beyond it cannot be had to the last decimal: left out
NAMES: Final = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ ", "\n": r"\n", "\t": r"\t", "\r": r"\r"})
MEASUREMENTS: Final = str.maketrans({",": r"\,", " ": r"\ ", "\n": r"\n", "\t": r"\t", "\r": r"\r"})
WORDS: Final = str.maketrans({'"': r"\"", "\\": r"\\"})
BOOLEANS: Final = ("false", "true")
ZERO: Final = ord("0")


class Field(NamedTuple):
    """A field of every row: floats, whole numbers or booleans [S]; with `words`, numbers of those [S].

    A row has it where `present` says so (None: everywhere); a float that is not finite is never there.
    """

    name: str
    values: NDArray[np.floating] | NDArray[np.integer] | NDArray[np.bool_]
    words: Sequence[str] | None = None
    present: NDArray[np.bool_] | None = None


class _Block(NamedTuple):
    """Bytes [S, W] of a field's values, what stands before them, and which rows have it (None: all)."""

    head: bytes
    text: NDArray[np.uint8]
    present: NDArray[np.bool_] | None


def lines(
    measurement: str, tags: Mapping[str, str], fields: Sequence[Field], times: NDArray[np.int64]
) -> bytes:
    """Return a line for each row that has a field, tags and fields in order of their names.

    `times` [S] are in the unit of the write's precision. Empty tags are left out. ValueError for a name that
    no server could read.
    """
    blocks = [_block(each) for each in sorted(fields, key=lambda each: each.name)]
    if not len(times) or not blocks:
        return b""
    head = _head(measurement, tags)
    stamp = _whole(times)
    width = len(head) + sum(len(each.head) + each.text.shape[1] + 1 for each in blocks) + stamp.shape[1] + 2
    page = np.zeros((len(times), width), np.uint8)
    _put(page, 0, head)
    at = len(head)
    commas = []
    for block in blocks:
        end = at + len(block.head) + block.text.shape[1]
        _put(page, at, block.head)
        page[:, at + len(block.head) : end] = block.text
        page[:, end] = ord(",")
        if block.present is not None:
            page[~block.present, at : end + 1] = 0
        commas.append(end)
        at = end + 1
    page[:, at] = ord(" ")
    page[:, at + 1 : -1] = stamp
    page[:, -1] = ord("\n")
    return _trimmed(page, blocks, commas).tobytes().translate(None, b"\0")


def _trimmed(page: NDArray[np.uint8], blocks: list[_Block], commas: list[int]) -> NDArray[np.uint8]:
    """Take out the comma behind the last field of each row, and the rows without any."""
    if blocks[-1].present is None:
        page[:, commas[-1]] = 0
        return page
    everywhere = np.ones(len(page), bool)
    present = np.stack([everywhere if each.present is None else each.present for each in blocks])
    last = len(blocks) - 1 - np.argmax(present[::-1], axis=0)
    page[np.arange(len(page)), np.array(commas)[last]] = 0
    filled = present.any(axis=0)
    return page if filled.all() else page[filled]


def _head(measurement: str, tags: Mapping[str, str]) -> bytes:
    if not measurement or measurement.startswith("#"):
        raise ValueError(f"measurement: expected a name that does not begin with #, came {measurement!r}")
    text = _escaped(measurement, MEASUREMENTS)
    for name, value in sorted(tags.items()):
        word = _escaped(value, NAMES)
        if name and word:
            text += f",{_escaped(name, NAMES)}={word}" + (" " if word.endswith("\\") else "")
    return f"{text} ".encode()


def _escaped(text: str, table: dict[int, str]) -> str:
    if "\0" in text:
        raise ValueError(f"expected text without NUL, came {text!r}: take it out")
    return text.translate(table)


def _block(field: Field) -> _Block:
    values, present = np.asarray(field.values), field.present
    head = f"{_escaped(field.name, NAMES)}=".encode()
    if field.words is not None:
        words = ['"' + _escaped(word, WORDS) + '"' for word in field.words]
        return _Block(head, _table(words)[values], present)
    if values.dtype == np.bool_:
        return _Block(head, _table(BOOLEANS)[values.astype(np.intp)], present)
    if np.issubdtype(values.dtype, np.integer):
        suffix = np.full((len(values), 1), ord("i"), np.uint8)
        return _Block(head, np.hstack([_whole(values.astype(np.int64)), suffix]), present)
    known = np.abs(values) < LARGEST
    if not known.all():
        present = known if present is None else present & known
        values = np.where(known, values, 0.0)
    return _Block(head, _decimal(values.astype(np.float64)), present)


def _decimal(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return bytes [S, W] of finite numbers to DECIMALS places, without zeros at the end."""
    scaled = np.rint(np.abs(values) * 10**DECIMALS).astype(np.int64)
    whole, rest = np.divmod(scaled, 10**DECIMALS)
    sign = np.where((values < 0) & (scaled > 0), np.uint8(ord("-")), np.uint8(0))[:, np.newaxis]
    return np.hstack([sign, _digits(whole.view(np.uint64)), FRACTIONS[rest]])


def _whole(values: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return bytes [S, W] of whole numbers."""
    values = np.ascontiguousarray(values, np.int64)
    digits = _digits(np.abs(values).view(np.uint64))  # the least of all is its own abs: right as unsigned
    if not len(values) or values.min() >= 0:
        return digits
    sign = np.where(values < 0, np.uint8(ord("-")), np.uint8(0))[:, np.newaxis]
    return np.hstack([sign, digits])


def _digits(values: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Return bytes [S, W] of whole numbers from 0, NUL before the first digit."""
    groups = -(-len(str(int(values.max(initial=0)))) // 4)
    text = np.empty((len(values), groups), np.uint32)
    for group in range(groups - 1, -1, -1):
        above = values // np.uint64(10_000)
        text[:, group] = FOURS[values - above * np.uint64(10_000)]
        values = above
    digits = text.view(np.uint8)
    leading = np.logical_and.accumulate(digits == ZERO, axis=1)
    leading[:, -1] = False
    digits[leading] = 0
    return digits


def _table(words: Sequence[str]) -> NDArray[np.uint8]:
    """Return the bytes of each word, [K, W], NUL behind the short ones."""
    data = [word.encode() for word in words]
    table = np.zeros((len(data), max(map(len, data), default=0)), np.uint8)
    for row, text in zip(table, data, strict=True):
        row[: len(text)] = np.frombuffer(text, np.uint8)
    return table


def _put(page: NDArray[np.uint8], at: int, text: bytes) -> None:
    page[:, at : at + len(text)] = np.frombuffer(text, np.uint8)


FOURS: Final = np.frombuffer(b"".join(b"%04d" % number for number in range(10_000)), np.uint32)
FRACTIONS: Final = _table(
    [f".{number:0{DECIMALS}d}".rstrip("0").rstrip(".") for number in range(10**DECIMALS)]
)
