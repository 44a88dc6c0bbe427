"""What `ashibar.toml` may say: a mapping in, a Config out, or every mistake with place and remedy.

It reads no file and resolves no path; that is `io.config_file`. Masses in the file are kg and become newtons.
"""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from ashibar.core.retention import MIN_FREE_BYTES, Policy
from ashibar.core.uncertainty import BUDGET, CellClass
from ashibar.core.units import NEWTON_PER_KG, UNITS, Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NAME: Final = re.compile(r"[a-z0-9-]{1,32}")
HANGERS: Final = ("left-head", "left-foot", "right-head", "right-foot")
WEIGHT_SOURCES: Final = ("scale", "typed")  # a hang test brings its own uncertainty, which a file cannot
PROTOCOLS: Final = ("auto", "5", "3.1.1")
MAX_CHANNEL: Final = 15

WeightSource = Literal["scale", "typed"]


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing wrong in the configuration, in words."""

    place: str
    expected: str
    came: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.place}: expected {self.expected}, came {self.came}; {self.remedy}"


class ConfigError(ValueError):
    """The configuration cannot be used; `mistakes` has all of them, in the order of the file's sections."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        count = f"{len(mistakes)} mistake" + ("s" if len(mistakes) > 1 else "")
        super().__init__("\n".join([f"{count} in the configuration:", *(f"  {each}" for each in mistakes)]))
        self.mistakes = mistakes


@dataclass(frozen=True, slots=True)
class MqttConfig:
    """The broker. `client_id` is fixed: the broker knows our session by it."""

    host: str
    port: int
    client_id: str
    protocol: Literal["auto", "5", "3.1.1"]
    username: str | None
    password_file: str | None
    tls: bool
    ca_file: str | None


@dataclass(frozen=True, slots=True)
class WebConfig:
    """Where the page is served; port 0: any free one."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class CellConfig:
    """One load cell: the hanger it sits in, and the node and channel that read it."""

    hanger: str
    node: str
    channel: int
    capacity_n: float
    accuracy_class: CellClass
    working_load_n: float | None = None  # above it the hanger is overloaded; None: that alarm is not armed
    noise_n: float | None = None  # standard deviation at rest, from commissioning; None: noise is not judged


@dataclass(frozen=True, slots=True)
class RigConfig:
    """The bars over one table."""

    name: str
    cells: tuple[CellConfig, ...]


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """The body weight where nobody entered another, and when a session counts as forgotten.

    `body_weight_n` None: not known, and no client load is shown. `required`: no figure without a session.
    `auto_zero`: unloaded bars are zeroed by themselves while no session runs.
    """

    body_weight_n: float | None
    source: WeightSource
    required: bool = False
    ask_after_s: float = 900.0
    close_after_s: float = 300.0
    auto_zero: bool = False


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """The studio's own limits, fractions of body weight; the product ships none."""

    target_low: float | None
    target_high: float | None
    client_limit: float | None
    calibration_valid_days: float = 365.0


@dataclass(frozen=True, slots=True)
class SafetyLogConfig:
    """Where an owner keeps the head of each day's log: a directory of files, and e-mail. None: not kept."""

    head_dir: str | None = None
    mail_to: str | None = None
    mail_from: str | None = None
    smtp_host: str = "127.0.0.1"
    smtp_port: int = 25


@dataclass(frozen=True, slots=True)
class InfluxConfig:
    """The InfluxDB that gets a copy of the record."""

    url: str
    org: str
    bucket: str
    token_file: str | None


@dataclass(frozen=True, slots=True)
class Config:
    """Everything the daemon is told at start."""

    studio: str
    mqtt: MqttConfig
    journal_path: str
    retention: Policy
    web: WebConfig
    rigs: tuple[RigConfig, ...]
    session: SessionConfig
    unit: Unit
    limits: LimitsConfig
    influx: InfluxConfig | None
    safety_log: SafetyLogConfig = SafetyLogConfig()


class _WrongError(Exception):
    """A value that does not fit: what was expected and what to do."""

    def __init__(self, expected: str, remedy: str) -> None:
        super().__init__(expected)
        self.expected = expected
        self.remedy = remedy


_REQUIRED: Final = object()


@dataclass(frozen=True, slots=True)
class _Field:
    """A key of a table: how its value is read, and what stands where it is left out."""

    read: Callable[[Any], Any]
    default: Any = _REQUIRED


def _name(value: Any) -> str:
    if isinstance(value, str) and NAME.fullmatch(value):
        return value
    raise _WrongError(
        "a name of 1 to 32 of a-z, 0-9 and -", "it becomes part of MQTT topics: use small letters and hyphens"
    )


def _text(what: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if isinstance(value, str) and value.strip() and "\x00" not in value:
            return value
        raise _WrongError(what, "write it in quotes")

    return read


def _integer(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        raise _WrongError(f"a whole number from {low} to {high}", "write it without quotes")

    return read


def _number(low: float, high: float, unit: str, scale: float = 1.0) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and math.isfinite(value) and low <= value <= high:
            return float(value) * scale
        raise _WrongError(
            f"a number from {low:g} to {high:g} {unit}".rstrip(), "write it without quotes and without a unit"
        )

    return read


def _choice(options: tuple[str, ...]) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value in options:
            return cast("str", value)
        raise _WrongError("one of " + ", ".join(f'"{option}"' for option in options), "choose one of them")

    return read


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise _WrongError("true or false", "write it without quotes")


def _url(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"https?://[^\s/]+(/\S*)?", value):
        return value.rstrip("/")
    raise _WrongError("an address such as http://127.0.0.1:8086", "begin it with http:// or https://")


def _mail(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"[^\s@,;<>]+@[^\s@,;<>]+", value):
        return value
    raise _WrongError("an e-mail address", "write it as in owner@example.org")


_SECTIONS: Final[dict[str, dict[str, _Field]]] = {
    "studio": {"name": _Field(_name)},
    "mqtt": {
        "host": _Field(_text("the broker's host name"), "127.0.0.1"),
        "port": _Field(_integer(1, 65535), 1883),
        "client_id": _Field(_name, None),
        "protocol": _Field(_choice(PROTOCOLS), "auto"),
        "username": _Field(_text("a user name"), None),
        "password_file": _Field(_text("the path of a file"), None),
        "tls": _Field(_boolean, False),
        "ca_file": _Field(_text("the path of a file"), None),
    },
    "journal": {
        "path": _Field(_text("the path of a file")),
        "raw_days": _Field(_number(1, 36_500, "days"), None),
        "max_gb": _Field(_number(0.05, 100_000, "GB", 1e9), None),
        "min_free_mb": _Field(_number(100, 1e6, "MB", 1e6), MIN_FREE_BYTES),
    },
    "web": {"host": _Field(_text("an address"), "127.0.0.1"), "port": _Field(_integer(0, 65535), 8080)},
    "session": {
        "body_weight_kg": _Field(_number(40, 150, "kg", NEWTON_PER_KG), None),
        "source": _Field(_choice(WEIGHT_SOURCES), "typed"),
        "required": _Field(_boolean, False),
        "ask_after_min": _Field(_number(0.05, 240, "min", 60.0), 900.0),
        "close_after_min": _Field(_number(0.05, 240, "min", 60.0), 300.0),
        "auto_zero": _Field(_boolean, False),
    },
    "display": {"unit": _Field(_choice(UNITS), "kg")},
    "limits": {
        "target_low_percent": _Field(_number(0, 200, "% of body weight", 0.01), None),
        "target_high_percent": _Field(_number(0, 200, "% of body weight", 0.01), None),
        "client_limit_percent": _Field(_number(0, 200, "% of body weight", 0.01), None),
        "calibration_valid_days": _Field(_number(1, 3660, "days"), 365.0),
    },
    "safety_log": {
        "head_dir": _Field(_text("the path of a directory"), None),
        "mail_to": _Field(_mail, None),
        "mail_from": _Field(_mail, None),
        "smtp_host": _Field(_text("the mail server's host name"), "127.0.0.1"),
        "smtp_port": _Field(_integer(1, 65535), 25),
    },
    "influx": {
        "url": _Field(_url),
        "org": _Field(_text("an organisation"), "-"),
        "bucket": _Field(_text("a bucket or database")),
        "token_file": _Field(_text("the path of a file"), None),
    },
}
_RIG: Final = {"name": _Field(_name), "cell": _Field(lambda value: value)}
_CELL: Final = {
    "hanger": _Field(_choice(HANGERS)),
    "node": _Field(_name),
    "channel": _Field(_integer(0, MAX_CHANNEL)),
    "capacity_kg": _Field(_number(1, 5000, "kg", NEWTON_PER_KG)),
    "class": _Field(_choice(tuple(BUDGET))),
    "working_load_kg": _Field(_number(1, 5000, "kg", NEWTON_PER_KG), None),
    "noise_kg": _Field(_number(0.001, 10, "kg", NEWTON_PER_KG), None),
}
_OPTIONAL: Final = ("influx",)


def check(raw: Mapping[str, Any]) -> Config:
    """Return the configuration in `raw`, a parsed TOML document. Raises ConfigError with every mistake."""
    mistakes: list[Mistake] = []
    document = dict(raw)
    _unknown(document, [*_SECTIONS, "rig"], "", mistakes)
    read: dict[str, dict[str, Any]] = {}
    for section, fields in _SECTIONS.items():
        if section in _OPTIONAL and section not in document:
            continue
        read[section] = _table(fields, document.get(section, {}), f"[{section}]", mistakes)
    rigs = _rigs(document.get("rig", []), mistakes)
    _relations(read, mistakes)
    if mistakes:
        raise ConfigError(mistakes)
    return _config(read, rigs)


def _table(fields: dict[str, _Field], raw: Any, place: str, mistakes: list[Mistake]) -> dict[str, Any]:
    """Read one table; what is wrong in it goes to `mistakes`, and its value is None."""
    if not isinstance(raw, dict):
        mistakes.append(Mistake(place, "a table", _came(raw), f"write {place} on a line of its own"))
        return dict.fromkeys(fields)
    _unknown(raw, list(fields), place, mistakes)
    result: dict[str, Any] = {}
    for key, field in fields.items():
        result[key] = None if field.default is _REQUIRED else field.default
        if key in raw:
            try:
                result[key] = field.read(raw[key])
            except _WrongError as wrong:
                result[key] = None
                mistakes.append(Mistake(f"{place} {key}", wrong.expected, _came(raw[key]), wrong.remedy))
        elif field.default is _REQUIRED:
            mistakes.append(Mistake(f"{place} {key}", "a value", "nothing", f"add {key} = ... under {place}"))
    return result


def _unknown(raw: Mapping[str, Any], known: list[str], place: str, mistakes: list[Mistake]) -> None:
    for key in raw:
        if key in known:
            continue
        near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
        remedy = f"did you mean {near[0]}?" if near else "remove it"
        what = "one of " + ", ".join(known)
        mistakes.append(Mistake(f"{place} {key}".strip(), what, repr(key), remedy))


def _rigs(raw: Any, mistakes: list[Mistake]) -> tuple[RigConfig, ...]:
    if not isinstance(raw, list) or not raw:
        mistakes.append(
            Mistake("[[rig]]", "at least one rig", _came(raw), "add a [[rig]] with its [[rig.cell]] tables")
        )
        return ()
    rigs = []
    for number, each in enumerate(raw, 1):
        place = f"[[rig]] {number}"
        table = _table(_RIG, each, place, mistakes)
        if table["name"] is not None:
            place = f'[[rig]] "{table["name"]}"'
        rigs.append(RigConfig(table["name"] or "", _cells(table["cell"], place, mistakes)))
    _once([(f'[[rig]] "{rig.name}"', rig.name) for rig in rigs], "a rig's name", mistakes)
    channels = [
        (f'[[rig]] "{rig.name}" [[rig.cell]] "{cell.hanger}"', f"node {cell.node} channel {cell.channel}")
        for rig in rigs
        for cell in rig.cells
    ]
    _once(channels, "a channel of a node", mistakes)
    return tuple(rigs)


def _cells(raw: Any, rig: str, mistakes: list[Mistake]) -> tuple[CellConfig, ...]:
    if raw is None:
        return ()
    if not isinstance(raw, list) or not raw:
        mistakes.append(
            Mistake(f"{rig} cell", "at least one cell", _came(raw), "add a [[rig.cell]] for each hanger")
        )
        return ()
    cells = []
    for number, each in enumerate(raw, 1):
        before = len(mistakes)
        table = _table(_CELL, each, f"{rig} [[rig.cell]] {number}", mistakes)
        if len(mistakes) == before:
            cells.append(CellConfig(*(table[key] for key in _CELL)))
    _once([(f"{rig} [[rig.cell]]", cell.hanger) for cell in cells], "a hanger of a rig", mistakes)
    return tuple(cells)


def _once(items: list[tuple[str, str]], what: str, mistakes: list[Mistake]) -> None:
    """Report every item whose key came before."""
    seen: set[str] = set()
    for place, key in items:
        if key in seen:
            mistakes.append(Mistake(place, f"{what} named once", f"{key} again", "give each its own"))
        seen.add(key)


def _relations(read: dict[str, dict[str, Any]], mistakes: list[Mistake]) -> None:
    """Check what two keys say together."""
    mqtt, limits = read["mqtt"], read["limits"]
    if (mqtt["username"] is None) != (mqtt["password_file"] is None):
        mistakes.append(
            Mistake(
                "[mqtt]",
                "username and password_file together",
                "one of them",
                "add the other, or remove both",
            )
        )
    safety = read["safety_log"]
    if safety["mail_to"] is not None and safety["mail_from"] is None:
        mistakes.append(
            Mistake("[safety_log] mail_from", "an address beside mail_to", "nothing", "add who it is from")
        )
    if mqtt["ca_file"] is not None and not mqtt["tls"]:
        mistakes.append(
            Mistake("[mqtt] ca_file", "tls = true beside it", "no TLS", "add tls = true, or remove ca_file")
        )
    steps = [limits[key] for key in ("target_low_percent", "target_high_percent", "client_limit_percent")]
    given = [step for step in steps if step is not None]
    if given != sorted(given):
        came = ", ".join(f"{100 * step:g}" for step in given)
        mistakes.append(
            Mistake("[limits]", "target low <= target high <= client limit", came, "put them in that order")
        )


def _config(read: dict[str, dict[str, Any]], rigs: tuple[RigConfig, ...]) -> Config:
    studio, mqtt, limits = read["studio"]["name"], read["mqtt"], read["limits"]
    mqtt["client_id"] = mqtt["client_id"] or f"ashibar-{studio}"
    return Config(
        studio=studio,
        mqtt=MqttConfig(**mqtt),
        journal_path=read["journal"]["path"],
        retention=_retention(read["journal"]),
        web=WebConfig(**read["web"]),
        rigs=rigs,
        session=SessionConfig(*(read["session"][key] for key in _SECTIONS["session"])),
        unit=read["display"]["unit"],
        limits=LimitsConfig(*(limits[key] for key in _SECTIONS["limits"])),
        safety_log=SafetyLogConfig(**read["safety_log"]),
        influx=InfluxConfig(**read["influx"]) if "influx" in read else None,
    )


def _retention(journal: dict[str, Any]) -> Policy:
    budget = journal["max_gb"]
    return Policy(
        journal["raw_days"], None if budget is None else round(budget), round(journal["min_free_mb"])
    )


def _came(value: Any) -> str:
    """Describe a value as the file has it, short."""
    if value == [] or value is None:
        return "nothing"
    text = repr(value) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= 60 else text[:57] + "..."
