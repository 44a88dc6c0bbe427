"""What commands on the record share: where it is, who acts, and how errors end a command.

Exit status: 0 done, 1 refused or not as recorded, 2 wrong usage or configuration, 3 nobody answers or
there is no record.
"""

from __future__ import annotations

import functools
import json
import sqlite3
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import click

from ashibar.cli.client import Api, ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ashibar.core.config import Config
    from ashibar.io.journal import SafetyReader

REFUSED: Final = 1
WRONG: Final = 2
UNREACHABLE: Final = 3
DEFAULT_CONFIG: Final = Path("ashibar.toml")

F = TypeVar("F", bound="Callable[..., Any]")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the record and the daemon are, as far as the command line says."""

    config_path: Path
    journal_path: Path | None
    given_url: str | None
    as_json: bool

    def config(self) -> Config | None:
        """Return the configuration, None where there is no file and none was asked for."""
        from ashibar.core.config import ConfigError  # noqa: PLC0415 - --help stays quick
        from ashibar.io.config_file import load  # noqa: PLC0415

        if self.config_path == DEFAULT_CONFIG and not DEFAULT_CONFIG.exists():
            return None
        try:
            return load(self.config_path)
        except ConfigError as error:
            fail(str(error), WRONG)

    def api(self) -> Api:
        """Return the daemon's interface."""
        if self.given_url is not None:
            return Api(self.given_url)
        config = self.config()
        host, port = ("127.0.0.1", 8080) if config is None else (config.web.host, config.web.port)
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - read, not bound
        return Api(f"http://{host}:{port or 8080}")

    def journal(self) -> Path:
        """Return the path of the journal; ends the command where none is named or there."""
        path = self.journal_path
        if path is None:
            config = self.config()
            if config is None:
                fail("expected a journal\ncame     no --journal and no ashibar.toml here\n"
                     "do       name one of them with --journal or --config", WRONG)  # fmt: skip
            path = Path(config.journal_path)
        if not path.is_file():
            fail(
                f"expected a journal at {path}\ncame     no such file\ndo       check --journal or --config",
                UNREACHABLE,
            )
        return path

    @contextmanager
    def reader(self) -> Iterator[SafetyReader]:
        """Open the journal for reading only, daemon or no daemon."""
        from ashibar.io.journal import SafetyReader  # noqa: PLC0415 - --help stays quick

        path = self.journal()
        try:
            reader = SafetyReader(path)
            try:
                yield reader
            finally:
                reader.close()
        except sqlite3.Error as error:
            fail(
                f"expected a journal of this version at {path}\ncame     {error}\n"
                "do       start `ashibar run` once: it migrates an older one, and moves a damaged one aside",
                UNREACHABLE,
            )


def fail(text: str, status: int) -> NoReturn:
    """End the command with an error."""
    click.echo(text, err=True)
    sys.exit(status)


def refused(error: ApiError) -> NoReturn:
    """End the command with what the daemon answered."""
    fail(str(error), REFUSED if error.status else UNREACHABLE)


def placed(command: F) -> F:
    """Give a command --config, --journal, --url and --json, as a `Place` named `place`."""

    @click.option(
        "--config",
        "config_path",
        type=click.Path(path_type=Path),
        default=DEFAULT_CONFIG,
        show_default=True,
        help="The configuration: it names journal and address.",
    )
    @click.option(
        "--journal",
        "journal_path",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Read this journal.",
    )
    @click.option("--url", "given_url", help="Of the running daemon.  [default: from the configuration]")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
    @functools.wraps(command)
    def wrapped(
        *, config_path: Path, journal_path: Path | None, given_url: str | None, as_json: bool, **others: Any
    ) -> Any:
        place = Place(config_path, journal_path, given_url, as_json)
        try:
            return command(place=place, **others)
        except ApiError as error:
            refused(error)

    return wrapped  # type: ignore[return-value]


def signed(command: F) -> F:
    """Give a command --by: who does it."""
    option = click.option(
        "--by", required=True, envvar="ASHIBAR_BY", metavar="NAME", help="Who does this.  [env: ASHIBAR_BY]"
    )
    return option(command)


def print_json(value: Any) -> None:
    """Print one JSON document."""
    import msgspec  # noqa: PLC0415 - --help stays quick

    click.echo(json.dumps(msgspec.to_builtins(value), ensure_ascii=False, indent=2))
