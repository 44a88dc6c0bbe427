"""The safety log: entries chained by SHA-256, so that no bit of it can change unseen. It stores nothing.

Canonical JSON, the bytes that are hashed and kept: UTF-8, object keys sorted by code point, no blanks, no
newline, only quotation mark, backslash and control characters escaped; whole numbers as they are, within
2^53; other numbers finite, in the shortest decimal that reads back to the same double (Python's repr),
minus zero as 0.0. One entry is one line.
"""

from __future__ import annotations

import hashlib
import json
import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from ashibar.core import decoding
from ashibar.core.records import RefusedError, require_name, require_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

NO_HASH: Final = "0" * 64  # what the first entry follows
LARGEST: Final = 2**53  # beyond it readers that keep numbers as doubles disagree
GENESIS: Final = "genesis"
CORRECTION: Final = "correction"
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class ChainEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry. `hash` is SHA-256, hex, over the canonical JSON of all the other fields."""

    seq: int
    utc_us: int
    kind: str
    who: str
    data: dict[str, Any]
    prev: str
    hash: str


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The newest entry of a log at some time: kept elsewhere, it vouches for all entries up to it."""

    seq: int
    hash: str
    utc_us: int


class Broken(NamedTuple):
    """The first entry that does not hold, by its position in the log from 0, and why."""

    seq: int
    why: str


class Verdict(NamedTuple):
    """What `verify` found: how many entries hold, the head of those, and the first that does not."""

    sound: int
    head: Head | None
    broken: Broken | None


def canonical(value: object) -> bytes:
    """Give the canonical JSON of text, numbers, booleans, None, lists, dicts; RefusedError for others."""
    return json.dumps(
        _plain(value, "data"), ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
    ).encode()


def _plain(value: object, place: str) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value, place)
    if isinstance(value, int):
        if abs(value) > LARGEST:
            raise RefusedError(f"{place}: a number within 2^53 was expected, {value} came: write it as text.")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise RefusedError(f"{place}: a finite number was expected, {value} came: write null.")
        return float(value) + 0.0  # minus zero becomes zero
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise RefusedError(
                f"{place}: keys of text were expected, {list(value)!r} came: write them as text."
            )
        return {_text(key, place): _plain(item, f"{place}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{place}[{index}]") for index, item in enumerate(value)]
    raise RefusedError(f"{place}: JSON was expected, {type(value).__name__} came: convert it first.")


def _text(value: str, place: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise RefusedError(
            f"{place}: text was expected, half a surrogate pair came: clean the text."
        ) from error
    return str(value)


def entry_hash(entry: ChainEntry) -> str:
    """Give the hash that `entry` must carry."""
    fields = msgspec.structs.asdict(entry)
    del fields["hash"]
    return hashlib.sha256(canonical(fields)).hexdigest()


def append(
    head: Head | None, *, utc_us: int, kind: str, who: str, data: Mapping[str, Any]
) -> tuple[ChainEntry, Head]:
    """Give the entry that follows `head` (None: a new log, of kind "genesis") and the new head."""
    if (head is None) != (kind == GENESIS):
        expected = GENESIS if head is None else "an entry after the first"
        raise RefusedError(
            f"{expected} was expected, kind {kind!r} came: a log begins once, with {GENESIS!r}."
        )
    seq, prev = (0, NO_HASH) if head is None else (head.seq + 1, head.hash)
    entry = ChainEntry(
        seq=seq, utc_us=utc_us, kind=require_text(kind, "the kind of entry"),
        who=require_name(who, f"a log entry of kind {kind!r}"), data=json.loads(canonical(dict(data))),
        prev=prev, hash="",
    )  # fmt: skip
    entry = msgspec.structs.replace(entry, hash=entry_hash(entry))
    return entry, head_of(entry)


def head_of(entry: ChainEntry) -> Head:
    """Give the head of a log that ends with `entry`."""
    return Head(seq=entry.seq, hash=entry.hash, utc_us=entry.utc_us)


def to_line(entry: ChainEntry) -> bytes:
    """Give the entry as it is kept: canonical JSON without a newline."""
    return canonical(msgspec.structs.asdict(entry))


def from_line(line: bytes) -> ChainEntry:
    """Read a kept entry; RefusedError says what is wrong with the line. Does not check the chain."""
    try:
        entry = decoding.from_json(line, ChainEntry)
        exact = to_line(entry) == line
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise RefusedError(f"an entry in canonical JSON was expected: {error}") from error
    if not exact:
        raise RefusedError("an entry in canonical JSON was expected, other bytes of the same meaning came")
    return entry


def verify(lines: Iterable[bytes], heads: Sequence[Head] = ()) -> Verdict:
    """Check a whole log against itself and against `heads` kept elsewhere; stop at the first broken entry."""
    kept = {head.seq: head for head in heads}
    hashes: list[str] = []
    head: Head | None = None
    for seq, line in enumerate(lines):
        try:
            entry = from_line(line)
        except RefusedError as error:
            return Verdict(seq, head, Broken(seq, str(error)))
        why = _flaw(entry, line, hashes, kept.get(seq))
        if why:
            return Verdict(seq, head, Broken(seq, why))
        hashes.append(entry.hash)
        head = head_of(entry)
    missing = min((seq for seq in kept if seq >= len(hashes)), default=None)
    if missing is not None:
        why = f"the log ends before it, but a head kept elsewhere names entry {missing}: the tail was cut off"
        return Verdict(len(hashes), head, Broken(len(hashes), why))
    return Verdict(len(hashes), head, None)


def verify_bytes(log: bytes, heads: Sequence[Head] = ()) -> Verdict:
    """Check a log kept as one file: one line an entry, each ended by a newline."""
    lines = log.split(b"\n")
    verdict = verify(lines[:-1], heads)
    if verdict.broken is None and lines[-1]:
        return verdict._replace(
            broken=Broken(verdict.sound, "the last line has no end: it was not fully written")
        )
    return verdict


def _line_hash(entry: ChainEntry, line: bytes) -> str:
    """Give what `entry_hash` gives, of the entry's canonical line: its last `hash` is that of the entry."""
    before, _, after = line.rpartition(f',"hash":"{entry.hash}"'.encode())
    return hashlib.sha256(before + after).hexdigest()


def _flaw(entry: ChainEntry, line: bytes, hashes: Sequence[str], kept: Head | None) -> str:
    seq = len(hashes)
    before = hashes[-1] if hashes else NO_HASH
    flaw = ""
    if entry.seq != seq:
        flaw = f"entry {seq} was expected here, entry {entry.seq} stands here"
    elif entry.prev != before:
        flaw = f"it follows {entry.prev[:12]}, the entry before it is {before[:12]}: one of them was changed"
    elif _line_hash(entry, line) != entry.hash:
        flaw = "its hash is not that of its contents: it was changed after it was written"
    elif (entry.kind == GENESIS) != (seq == 0):
        flaw = f"kind {GENESIS!r} was expected in the first entry and nowhere else"
    elif kept is not None and kept.hash != entry.hash:
        flaw = f"a head kept elsewhere has {kept.hash[:12]} for it: the log was written anew"
    elif entry.kind == CORRECTION:
        flaw = _false_reference(entry, hashes)
    return flaw


def _false_reference(entry: ChainEntry, hashes: Sequence[str]) -> str:
    old = entry.data.get("corrects")
    if not isinstance(old, int) or not 0 <= old < len(hashes) or entry.data.get("old_hash") != hashes[old]:
        return "a correction of an earlier entry was expected, it refers to none"
    return ""


def correct(
    head: Head, old: ChainEntry, *, utc_us: int, who: str, why: str, data: Mapping[str, Any]
) -> tuple[ChainEntry, Head]:
    """Give a new entry that says what `old` should have said, `data`, and why; the old one stays."""
    if old.kind == CORRECTION:
        raise RefusedError(
            f"the entry first written was expected, correction {old.seq} came: correct that one."
        )
    if old.seq > head.seq:
        raise RefusedError(f"an entry up to {head.seq} was expected, {old.seq} came: use the newest head.")
    told = {
        "corrects": old.seq,
        "old_hash": old.hash,
        "why": require_text(why, "a reason"),
        "data": dict(data),
    }
    return append(head, utc_us=utc_us, kind=CORRECTION, who=who, data=told)


def effective(entries: Iterable[ChainEntry]) -> list[ChainEntry]:
    """Give the entries that are no corrections, each with the data of its newest correction."""
    kept: dict[int, ChainEntry] = {}
    for entry in entries:
        if entry.kind != CORRECTION:
            kept[entry.seq] = entry
        elif entry.data["corrects"] in kept:
            old = kept[entry.data["corrects"]]
            kept[old.seq] = msgspec.structs.replace(old, data=entry.data["data"])
    return list(kept.values())


def day_of(utc_us: int) -> str:
    """Give the UTC day of a stamp, as in 2026-05-04."""
    return (EPOCH + timedelta(microseconds=utc_us)).date().isoformat()


def daily_heads(entries: Iterable[ChainEntry]) -> dict[str, Head]:
    """Give the last head of each UTC day: what an owner keeps outside this machine."""
    return {day_of(entry.utc_us): head_of(entry) for entry in entries}
