"""Puts the InfluxDB sink together from the configuration: token, writer, converter."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, Final

from ashibar.core.config import ConfigError, Mistake
from ashibar.core.requests import CopyMended
from ashibar.io.config_file import read_secret
from ashibar.io.influx import InfluxSink, InfluxWriter, SinkError
from ashibar.points import Points

if TYPE_CHECKING:
    from pathlib import Path

    from ashibar.core.config import Config, InfluxConfig
    from ashibar.io.journal import Committer
    from ashibar.service.desk import Desk

log = logging.getLogger(__name__)

TOKEN_VARIABLE: Final = "ASHIBAR_INFLUX_TOKEN"  # noqa: S105 (its name)


def token_of(influx: InfluxConfig) -> str:
    """Return the token: the environment's, else the file's, else none. Raises ConfigError."""
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if token or influx.token_file is None:
        return token
    token, warnings = read_secret(influx.token_file, "InfluxDB token")
    for warning in warnings:
        log.warning("%s", warning)
    return token


def writer_of(influx: InfluxConfig) -> InfluxWriter:
    """Return a connection. Raises ConfigError for a token that cannot be one; it is not shown."""
    try:
        return InfluxWriter(influx.url, influx.org, influx.bucket, token_of(influx))
    except SinkError as error:
        mistake = Mistake("[influx] token", "one line of printable ASCII", "something else", str(error))
        raise ConfigError([mistake]) from None


def make_sink(
    config: Config,
    journal: Path,
    committer: Committer,
    desk: Desk,
) -> InfluxSink | None:
    """Return the sink, None where none is configured; it tells the log by the desk. Raises ConfigError."""
    if config.influx is None:
        return None
    writer = writer_of(config.influx)
    points = Points(config.studio)

    def tell(_kind: str, data: dict[str, Any]) -> None:
        desk.ask(CopyMended(data=data))

    sink = InfluxSink(journal, writer, points, committer.submit, studio=config.studio, tell=tell)
    committer.on_commit(sink.wake)
    return sink
