"""The JSON payloads of docs/protocol.md as checked structures. It knows no topics and sends nothing.

Unknown fields are ignored, so that an older host understands a newer node.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from ashibar.core import decoding
from ashibar.core.frame import MAX_CELLS, MAX_SAMPLES
from ashibar.core.topics import Kind

U32 = Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]
Count = Annotated[int, Meta(ge=0)]
Text = Annotated[str, Meta(max_length=200)]
Words = Annotated[str, Meta(max_length=2000)]  # sentences for a person
CommandId = Annotated[str, Meta(min_length=1, max_length=36)]
CalibrationId = Annotated[int, Meta(ge=1, le=0xFFFF)]
ADC_COUNT: Final = Meta(ge=-0x800000, le=0x7FFFFF)
AdcCount = Annotated[int, ADC_COUNT]
PerCell: Final = Meta(max_length=MAX_CELLS)
COMMAND_FIELDS: Final = ("id", "command")
REPLY_FIELDS: Final = ("id", "command", "ok", "reason")


class MessageError(ValueError):
    """A payload that is not what its topic says; the text names the place, the expected and what came."""


class State(Struct, frozen=True):
    """Whether a node is there: `lost` is its will."""

    state: Literal["online", "lost", "offline"]
    boot: U32


class Cell(Struct, frozen=True):
    """One channel: its hanger and the load it is made for."""

    name: Text
    capacity_n: Annotated[float, Meta(gt=0)] | None = None


class CellCalibration(Struct, frozen=True):
    """Zero in counts and span in newtons a count; a cell mounted upside down has a negative span."""

    zero_count: float
    span_n_per_count: float

    def __post_init__(self) -> None:
        if self.span_n_per_count == 0:
            raise ValueError("expected a span other than 0 N per count: calibrate the cell")


class Calibration(Struct, frozen=True):
    """One calibration record, cells in the order of the frame's channels; it never changes once used."""

    id: CalibrationId
    cells: Annotated[list[CellCalibration], Meta(min_length=1, max_length=MAX_CELLS)]
    by: Text = ""
    unix_s: float | None = None


class SessionZero(Struct, frozen=True):
    """The zero taken before a session, one count a cell."""

    counts: Annotated[list[float], PerCell]
    unix_s: float | None = None
    device_us: Count | None = None


class Zeros(Struct, frozen=True):
    """The three zeros, kept apart."""

    factory: Annotated[list[float], PerCell] | None = None
    calibration: Annotated[list[float], PerCell] | None = None
    session: SessionZero | None = None


class Versions(Struct, frozen=True):
    """Which copy of the firmware runs: `slot` empty is that copied by cable; `failed` was given up last."""

    slot: Text = ""
    on_trial: bool = False
    failed: Text | None = None


class About(Struct, frozen=True):
    """What a node is; retained, sent at birth and after each change of calibration or zero."""

    boot: U32
    cells: Annotated[list[Cell], Meta(min_length=1, max_length=MAX_CELLS)]
    firmware: Text = ""
    manifest: Text | None = None
    board: Text = ""
    adc: Text = ""
    runtime: Text = ""
    reset_cause: Text = ""
    rate_hz: Annotated[float, Meta(gt=0)] | None = None
    samples_per_frame: Annotated[int, Meta(ge=1, le=MAX_SAMPLES)] | None = None
    backlog_frames: Count | None = None
    calibration: Calibration | None = None
    zeros: Zeros = Zeros()
    update: Versions | None = None
    hardware: Text | None = None
    last_error: Words | None = None
    failed_boots: Count = 0
    problems: Annotated[list[Words], Meta(max_length=50)] = []

    def __post_init__(self) -> None:
        if self.calibration is not None and len(self.calibration.cells) != len(self.cells):
            raise ValueError(
                f"expected a calibration of {len(self.cells)} cells, came {len(self.calibration.cells)}"
            )


class Weight(Struct, frozen=True):
    """The node's own figures, means since the last one; None where a cell was not readable throughout."""

    boot: U32
    index: U32
    cells_n: Annotated[list[float | None], PerCell]
    validity: Text
    sum_n: float | None = None
    min_n: float | None = None
    max_n: float | None = None
    calibration: Annotated[int, Meta(ge=0, le=0xFFFF)] = 0


class Health(Struct, frozen=True):
    """The node's counters since boot and measurements of itself; what it does not know is None."""

    boot: U32
    uptime_s: Annotated[float, Meta(ge=0)]
    reset_cause: Text = ""
    rssi_dbm: float | None = None
    heap_free: Count | None = None
    rate_hz: Annotated[float, Meta(ge=0)] | None = None
    samples: Count = 0
    frames: Count = 0
    sent: Count = 0
    resent: Count = 0
    held: Count = 0
    dropped: Count = 0
    dropped_samples: Count = 0
    decimated: Count = 0
    let_go: Count = 0
    overloads: Count = 0
    reconnects: Count = 0
    not_ready: Annotated[list[Count], PerCell] = []
    desync: Annotated[list[Count], PerCell] = []
    saturated: Annotated[list[Count], PerCell] = []
    temperature_c: float | None = None


class Reply(Struct, frozen=True):
    """A node's answer to the command of the same id; `reason` stands where it refused.

    `result` holds what else the node sent, on the same level as `ok`.
    """

    id: CommandId
    command: Text
    ok: bool
    reason: Annotated[str, Meta(max_length=2000)] | None = None
    result: dict[str, Any] = {}


class Committed(Struct, frozen=True):
    """Every frame of the boot up to and including `upto` is stored or on record as lost; -1: none yet."""

    boot: U32
    upto: Annotated[int, Meta(ge=-1, le=0xFFFFFFFF)]


class Display(Struct, frozen=True):
    """What a node's light shows; `fraction` and `band` are None whenever there is no figure."""

    server: Text
    validity: Text
    alarm: Literal["none", "low", "medium", "high"] = "none"
    fraction: float | None = None
    band: Literal["below", "in", "above", "over"] | None = None
    age_s: Annotated[float, Meta(ge=0)] | None = None
    session: bool | None = None  # whether one is live, whatever hides it in `validity`; None: not said


class Command(Struct, frozen=True):
    """A request to a node; `parameters` are sent beside `id` and `command`, on the same level."""

    id: CommandId
    command: Annotated[str, Meta(min_length=1, max_length=40)]
    parameters: dict[str, Any] = {}


Message = State | About | Weight | Health | Reply | Committed | Display
_MessageT = TypeVar("_MessageT", State, About, Weight, Health, Reply, Committed, Display)
_TYPES: Final[dict[Kind, Any]] = {
    Kind.STATE: State,
    Kind.ABOUT: About,
    Kind.WEIGHT: Weight,
    Kind.HEALTH: Health,
    Kind.REPLY: Reply,
    Kind.COMMITTED: Committed,
    Kind.DISPLAY: Display,
}


def decode(kind: Kind, payload: bytes) -> Message | Command:
    """Return the payload of a topic's kind; raise MessageError if it is not one (samples are no message)."""
    if kind is Kind.COMMAND:
        return decode_command(payload)
    if kind not in _TYPES:
        raise MessageError(f"expected a topic with a JSON payload, came {kind}")
    message: Message = _read(_TYPES[kind], payload)
    return message


def decode_as(kind: type[_MessageT], payload: bytes) -> _MessageT:
    """Return the payload as one message type; raise MessageError if it is not one."""
    message: _MessageT = _read(kind, payload)
    return message


def decode_command(payload: bytes) -> Command:
    """Return a command with what stands beside `id` and `command` as its parameters."""
    message: Command = _read_open(Command, "parameters", COMMAND_FIELDS, payload)
    return message


def encode(message: Message | Command) -> bytes:
    """Return the JSON of a message; raise MessageError where a further field takes a reserved name."""
    if isinstance(message, Command):
        head: dict[str, Any] = {"id": message.id, "command": message.command}
        return _write_open(head, message.parameters)
    if isinstance(message, Reply):
        head = {"id": message.id, "command": message.command, "ok": message.ok, "reason": message.reason}
        return _write_open(head, message.result)
    return msgspec.json.encode(message)


def _read(kind: Any, payload: bytes) -> Any:
    if kind is Reply:
        return _read_open(Reply, "result", REPLY_FIELDS, payload)
    try:
        return decoding.from_json(payload, kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        name = getattr(kind, "__name__", "message")
        raise MessageError(f"unreadable {name}: {error}") from error


def _read_open(kind: type[Any], rest: str, named: tuple[str, ...], payload: bytes) -> Any:
    """Read an object whose further fields are gathered under `rest`."""
    fields = _read(dict[str, Any], payload)
    head = {name: fields[name] for name in named if name in fields}
    beside = {name: value for name, value in fields.items() if name not in named}
    try:
        return decoding.convert({**head, rest: beside}, kind)
    except msgspec.MsgspecError as error:
        raise MessageError(f"unreadable {kind.__name__}: {error}") from error


def _write_open(head: dict[str, Any], beside: dict[str, Any]) -> bytes:
    taken = [name for name in head if name in beside]
    if taken:
        raise MessageError(f"expected fields other than {', '.join(head)}, came {taken[0]!r}: rename it")
    return msgspec.json.encode({**head, **beside})
