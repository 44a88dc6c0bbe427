"""JSON, MessagePack and plain values into types of this project, from any thread.

msgspec learns a Struct at its first use, and a second thread that uses it meanwhile crashes the process: it
finds fields not filled in yet (0.22.0, seen at a start of the daemon). So types are learnt by one thread at a
time, here; whoever decodes a Struct does so by this module.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

if TYPE_CHECKING:
    Buffer = bytes | bytearray | memoryview

T = TypeVar("T")

_lock: Final = threading.Lock()
_json: Final[dict[Any, msgspec.json.Decoder[Any]]] = {}


def decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    """Return the JSON decoder of a type; the type is learnt with all it holds."""
    known = _json.get(kind)
    if known is None:
        with _lock:
            known = _json[kind] = msgspec.json.Decoder(kind)
    return known


def from_json(data: Buffer | str, kind: type[T]) -> T:
    """Return the value that JSON holds. Raises msgspec.DecodeError, of a wrong type ValidationError."""
    return decoder(kind).decode(data)


def from_msgpack(data: Buffer, kind: type[T]) -> T:
    """Return the value that MessagePack holds; errors as `from_json`."""
    decoder(kind)
    return msgspec.msgpack.decode(data, type=kind)


def convert(value: Any, kind: type[T]) -> T:
    """Return what plain values stand for. Raises msgspec.ValidationError."""
    decoder(kind)
    return msgspec.convert(value, kind)
