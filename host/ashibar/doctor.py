"""Looks at everything the daemon depends on and says what is wrong and what to do. It changes nothing.

The one exception is a single point of the measurement `doctor`, written to InfluxDB and read back.
"""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from ashibar.core.config import ConfigError
from ashibar.influx_side import token_of, writer_of
from ashibar.io.config_file import read_secret
from ashibar.io.influx.server import Server, ServerError
from ashibar.io.influx.streams import point
from ashibar.io.influx.writer import SinkError
from ashibar.io.journal import Reader
from ashibar.io.journal.schema import MIGRATIONS, version_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ashibar.core.config import Config, InfluxConfig, MqttConfig

CLOCK_OFF_S: Final = 3.0  # the header has whole seconds; points carry our time, queries ask for the server's
FREE_SHARE: Final = 0.05
MQTT_WITHIN_S: Final = 5.0
READ_WITHIN_S: Final = 5.0


class Check(msgspec.Struct, frozen=True):
    """One thing looked at: what was found, and where it is not well, what to do."""

    name: str
    ok: bool
    found: str
    remedy: str = ""


def examine(config: Config) -> Iterator[Check]:
    """Yield what is found, one thing after the other."""
    yield from _journal(Path(config.journal_path))
    yield _broker(config.mqtt)
    if config.influx is None:
        yield Check("influxdb", ok=True, found="none is configured")
    else:
        yield from _influx(config.influx, config.studio)


def _journal(path: Path) -> Iterator[Check]:
    if not path.exists():
        where = path.parent if path.parent.exists() else "no such directory"
        yield Check("journal", ok=path.parent.exists(), found=f"none yet at {path} ({where})",
                    remedy="" if path.parent.exists() else f"make the directory {path.parent}")  # fmt: skip
        return
    try:
        reader = Reader(path)
        try:
            version = version_of(reader.connection)
            frames, samples = reader.totals()
        finally:
            reader.close()
    except sqlite3.Error as error:
        yield Check("journal", ok=False, found=f"{path}: {error}",
                    remedy="`ashibar journal check` says more; a start moves it aside")  # fmt: skip
        return
    fits = version <= len(MIGRATIONS)
    yield Check("journal", ok=fits, found=f"{frames} frames, {samples} samples, schema {version}",
                remedy="" if fits else "it was written by a newer ashibar: install that version")  # fmt: skip
    usage = shutil.disk_usage(path.parent)
    roomy = usage.free > FREE_SHARE * usage.total
    yield Check("disk", ok=roomy, found=f"{usage.free / 1e9:.1f} GB free",
                remedy="" if roomy else "free some space, or set [journal] raw_days or max_gb")  # fmt: skip


def _broker(mqtt: MqttConfig) -> Check:
    """Connect once, under a name of its own so that the daemon's session is left alone."""
    name = f"broker {mqtt.host}:{mqtt.port}"
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"ashibar-doctor-{time.time_ns() % 10**9}")
    said: list[Any] = []
    answered = threading.Event()

    def connected(_client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        said.append(reason)
        answered.set()

    client.on_connect = connected
    try:
        if mqtt.username is not None and mqtt.password_file is not None:
            client.username_pw_set(mqtt.username, read_secret(mqtt.password_file, "MQTT password")[0])
        if mqtt.tls:
            client.tls_set(ca_certs=mqtt.ca_file)
        client.connect(mqtt.host, mqtt.port, keepalive=10)
        client.loop_start()
        answered.wait(MQTT_WITHIN_S)
    except (OSError, ConfigError) as error:
        return Check(name, ok=False, found=str(error), remedy="start it, or correct [mqtt]")
    finally:
        client.disconnect()
        client.loop_stop()
    if not said:
        return Check(name, ok=False, found="no answer", remedy="is it an MQTT broker? correct [mqtt] port")
    if said[0].is_failure:
        return Check(name, ok=False, found=str(said[0]), remedy="correct [mqtt] username and password_file")
    return Check(name, ok=True, found="takes connections")


def _influx(influx: InfluxConfig, studio: str) -> Iterator[Check]:
    try:
        server = Server(influx.url, token_of(influx))
        kind = server.kind()
        yield Check("influxdb version", ok=True, found=str(kind))
        yield _clock(server)
    except (ServerError, ConfigError) as error:
        yield _failed("influxdb version", error)
        return
    stamp_us = time.time_ns() // 1000
    written = _write(influx, studio, stamp_us)
    yield written
    if written.ok:
        yield _read_back(server, influx.bucket, studio, stamp_us)


def _clock(server: Server) -> Check:
    answer, now_s = server.call("GET", "/ping"), time.time()
    if answer.unix_s is None:
        return Check("influxdb clock", ok=True, found="not said")
    off_s = answer.unix_s + 0.5 - now_s
    remedy = "" if abs(off_s) <= CLOCK_OFF_S else "let NTP set both clocks: timedatectl set-ntp true"
    return Check("influxdb clock", ok=not remedy, found=f"{off_s:+.1f} s from ours", remedy=remedy)


def _write(influx: InfluxConfig, studio: str, stamp_us: int) -> Check:
    try:
        writer = writer_of(influx)
    except ConfigError as error:
        return _failed("influxdb write", error)
    try:
        writer.post(point("doctor", {"studio": studio}, {"stamp": stamp_us}, stamp_us))
    except SinkError as error:
        return _failed("influxdb write", error)
    finally:
        writer.close()
    return Check("influxdb write", ok=True, found=f"bucket {influx.bucket} takes points")


def _read_back(server: Server, bucket: str, studio: str, stamp_us: int) -> Check:
    text = f"SELECT stamp FROM doctor WHERE studio = '{studio}' AND time = {stamp_us}u"  # noqa: S608 (ours)
    end_s = time.monotonic() + READ_WITHIN_S
    try:
        while not (rows := server.influxql(bucket, text)) and time.monotonic() < end_s:
            time.sleep(0.1)
    except ServerError as error:
        return _failed("influxdb read", error)
    if [row["stamp"] for row in rows] == [stamp_us]:
        return Check("influxdb read", ok=True, found="InfluxQL gives the point back")
    return Check("influxdb read", ok=False, found=f"expected the point just written, came {rows}",
                 remedy="`ashibar influx init` makes the mapping that InfluxQL needs")  # fmt: skip


def _failed(name: str, error: Exception) -> Check:
    found, _, remedy = str(error).rpartition("; ")
    return Check(name, ok=False, found=found or remedy, remedy=remedy if found else "")
