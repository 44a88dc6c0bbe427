"""`ashibar journal`: back up, restore, check and look into the record. It prints, io.journal works."""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_CONFIG = Path("ashibar.toml")


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what every command on the record takes."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts."),
        click.option(
            "--journal",
            "given",
            type=click.Path(path_type=Path),
            help="The journal's file, without a configuration.",
        ),
        click.option(
            "--config",
            "config_path",
            type=click.Path(path_type=Path),
            default=DEFAULT_CONFIG,
            show_default=True,
        ),
    ):
        command = option(command)
    return command


@click.group()
def journal() -> None:
    """Back up, restore, check and look into the record."""


@journal.command()
@click.argument("file", type=click.Path(path_type=Path))
@_options
def backup(file: Path, config_path: Path, given: Path | None, *, as_json: bool) -> None:
    """Copy the record to FILE while the service runs, and verify the copy."""
    from ashibar.io.journal import JournalError  # noqa: PLC0415
    from ashibar.io.journal import backup as copies  # noqa: PLC0415 (--help stays quick)

    path = _existing(_path(config_path, given))
    try:
        with Progress(console=Console(stderr=True), disable=as_json) as progress:
            task = progress.add_task("copying", total=None)
            copies.backup(
                path, file, lambda left, every: progress.update(task, total=every, completed=every - left)
            )
    except JournalError as error:
        _fail(str(error))
    _say({"backup": str(file), "bytes": file.stat().st_size, **copies.content(file)}, as_json=as_json)


@journal.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Even where the record has come further than the backup.")
@_options
def restore(file: Path, config_path: Path, given: Path | None, *, force: bool, as_json: bool) -> None:
    """Put the backup FILE in the place of the record, whose file is kept; the service must be stopped."""
    from ashibar.io.journal import JournalError  # noqa: PLC0415
    from ashibar.io.journal import backup as copies  # noqa: PLC0415

    path = _path(config_path, given)
    try:
        before = copies.restore(file, path, force=force)
    except JournalError as error:
        _fail(str(error))
    kept = None if before is None else str(before)
    _say({"restored": str(path), "before": kept, **copies.content(path)}, as_json=as_json)


@journal.command()
@_options
def check(config_path: Path, given: Path | None, *, as_json: bool) -> None:
    """Look at every page, block and reference of the record, for minutes; exit status 1: not sound."""
    from ashibar.io.journal import check as checks  # noqa: PLC0415

    path = _existing(_path(config_path, given))
    try:
        with closing(_read_only(path)) as connection:
            wrong = list(checks.full(connection))
    except sqlite3.Error as error:
        wrong = [f"file: {error}"]
    if as_json:
        click.echo(json.dumps({"journal": str(path), "sound": not wrong, "wrong": wrong}))
    else:
        click.echo("\n".join(wrong) if wrong else f"{path}: sound")
        if wrong:
            click.echo("restore a backup, or restart the service: it takes over what can be read", err=True)
    sys.exit(1 if wrong else 0)


@journal.command()
@_options
def stats(config_path: Path, given: Path | None, *, as_json: bool) -> None:
    """Show what the record holds and what room it takes."""
    from ashibar.io.journal.stats import stats_of  # noqa: PLC0415

    path = _existing(_path(config_path, given))
    try:
        found = stats_of(path)
    except sqlite3.Error as error:
        _fail(f"could not read {path}: {error}; run `ashibar journal check`")
    _say(found, as_json=as_json)


def _path(config_path: Path, given: Path | None) -> Path:
    if given is not None:
        return given
    from ashibar.core.config import ConfigError  # noqa: PLC0415
    from ashibar.io.config_file import load  # noqa: PLC0415

    try:
        return Path(load(config_path).journal_path)
    except ConfigError as error:
        click.echo(f"{error}\nor name the file with --journal", err=True)
        sys.exit(2)


def _existing(path: Path) -> Path:
    if not path.is_file():
        click.echo(f"expected a journal at {path}, there is none; name it with --journal", err=True)
        sys.exit(3)
    return path


def _read_only(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _fail(text: str) -> None:
    click.echo(text, err=True)
    sys.exit(1)


def _say(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found))
        return
    table = Table(show_header=False, box=None)
    for key, value in found.items():
        words = (
            ", ".join(f"{name} {each}" for name, each in value.items())
            if isinstance(value, dict)
            else str(value)
        )
        table.add_row(key.replace("_", " "), words)
    Console().print(table)
