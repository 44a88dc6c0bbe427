"""`ashibar export`: the record as CSV, JSON Lines or Parquet, for other programs."""

from __future__ import annotations

import csv
import importlib
import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TextIO

import click

from ashibar.cli import show
from ashibar.cli.options import REFUSED, WRONG, fail, placed, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ashibar.cli.options import Place
    from ashibar.io.journal import SafetyReader
    from ashibar.replay.export import Table

FORMATS: Final = ("csv", "jsonl", "parquet")
WHAT: Final = ("signal", "sessions", "alarms", "log")
LAST_US: Final = 2**62
NO_PARQUET: Final = (
    "expected pyarrow for Parquet\ncame     an installation without it\n"
    "do       pip install 'ashibar[parquet]', or choose --format csv or jsonl"
)


class Sink(Protocol):
    """Takes blocks of a table."""

    def __call__(self, columns: tuple[str, ...], block: list[list[Any]]) -> None:
        """Write a block: a list for each column."""


@click.command()
@click.argument("what", type=click.Choice(WHAT))
@click.option("--rig", help="This rig only; `signal` needs it where there are several.")
@click.option("--from", "from_us", type=show.MOMENT, help="At or after: ISO 8601, a date, or 7d (ago).")
@click.option("--to", "to_us", type=show.MOMENT, help="At or before.")
@click.option("--session", help="The span of this session.")
@click.option(
    "--format", "form", type=click.Choice(FORMATS), help="[default: by the name of --output, else csv]"
)
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="A file.  [default: stdout]"
)
@placed
def export(
    *, place: Place, what: str, rig: str | None, from_us: int | None, to_us: int | None, session: str | None,
    form: str | None, output: Path | None,
) -> None:  # fmt: skip
    """Write WHAT: every sample, sessions with their figures, alarms, or the safety log.

    Units stand in the headers, times are ISO 8601 with their offset. What is not known is empty (CSV) or
    null. With --json: how much was written, where to; needs --output.
    """
    form = form or _by_name(output)
    if output is None and (form == "parquet" or place.as_json):
        fail("expected --output\ncame     none\ndo       name a file: this does not go to a terminal", WRONG)
    with place.reader() as reader:
        if session is not None:
            rig, from_us, to_us = _span(reader, session)
        rig = _only(reader, rig) if what == "signal" else rig
        table = _table(reader, what, rig, (from_us or 0, LAST_US if to_us is None else to_us))
        with _sink(form, output) as sink, show.progress() as bar:
            task = bar.add_task(f"{what}", total=None)
            sink(table.columns, [[] for _ in table.columns])  # the header, also where there is nothing
            rows = 0
            for block in table.blocks:
                sink(table.columns, block)
                rows += len(block[0])
                bar.update(task, description=f"{what}: {rows} rows")
    if place.as_json:
        print_json({"what": what, "rows": rows, "format": form, "output": str(output)})
    elif output is not None:
        click.echo(f"{rows} rows in {output}", err=True)


def _by_name(output: Path | None) -> str:
    ending = "" if output is None else output.suffix.lstrip(".")
    return ending if ending in FORMATS else "csv"


def _span(reader: SafetyReader, session: str) -> tuple[str, int, int]:
    row = reader.session(session)
    if row is None:
        fail(f"expected a session\ncame     {session!r}\ndo       `ashibar sessions` lists them", REFUSED)
    told = json.loads(row.record)
    return told["rig"], told["started_us"], told["ended_us"] or LAST_US


def _only(reader: SafetyReader, rig: str | None) -> str:
    from ashibar.replay.source import rigs  # noqa: PLC0415 - --help stays quick

    names = rigs(reader)
    if rig is None and len(names) != 1:
        fail(f"expected --rig\ncame     none, of {', '.join(names) or 'no rigs'}\ndo       name one", WRONG)
    return names[0] if rig is None else rig


def _table(reader: SafetyReader, what: str, rig: str | None, span: tuple[int, int]) -> Table:
    from ashibar.replay import export as tables  # noqa: PLC0415 - --help stays quick

    if what == "signal":
        try:
            return tables.signal(reader, rig or "", *span)
        except ValueError as error:
            fail(str(error), REFUSED)
    return {"sessions": tables.sessions, "alarms": tables.alarms, "log": tables.log}[what](reader, rig, *span)


@contextmanager
def _sink(form: str, output: Path | None) -> Iterator[Sink]:
    """Give what writes blocks; a file is there whole, or not at all."""
    if output is None:
        yield _Text(sys.stdout, form)
        return
    draft = output.with_name(f"{output.name}.part")
    try:
        if form == "parquet":
            with _parquet(draft) as sink:
                yield sink
        else:
            with draft.open("w", encoding="utf-8", newline="") as file:
                yield _Text(file, form)
        draft.replace(output)
    except OSError as error:
        fail(
            f"expected to write {output}\ncame     {error}\ndo       check the folder and its space", REFUSED
        )
    finally:
        draft.unlink(missing_ok=True)


class _Text:
    """CSV with a header, or a JSON object a line."""

    def __init__(self, file: TextIO, form: str) -> None:
        self._file = file
        self._csv = csv.writer(file) if form == "csv" else None
        self._begun = False

    def __call__(self, columns: tuple[str, ...], block: list[list[Any]]) -> None:
        if self._csv is not None:
            if not self._begun:
                self._csv.writerow(columns)
                self._begun = True
            self._csv.writerows(zip(*block, strict=True))
            return
        for row in zip(*block, strict=True):
            self._file.write(json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False) + "\n")


@contextmanager
def _parquet(path: Path) -> Iterator[Sink]:
    """Give what writes Parquet; pyarrow is an extra."""
    try:
        arrow = importlib.import_module("pyarrow")  # an extra
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        fail(NO_PARQUET, WRONG)
    writers: list[Any] = []

    empty: list[Any] = []

    def write(columns: tuple[str, ...], block: list[list[Any]]) -> None:
        if not block[0]:
            empty[:] = [arrow.schema([arrow.field(name, arrow.string()) for name in columns])]
            return
        made = arrow.table(dict(zip(columns, block, strict=True)))
        if not writers:
            schema = arrow.schema([_typed(arrow, each) for each in made.schema])
            writers.append(parquet.ParquetWriter(path, schema))
        writers[0].write_table(made.cast(writers[0].schema))

    try:
        yield write
        if not writers:
            writers.append(parquet.ParquetWriter(path, empty[0]))
    finally:
        for writer in writers:
            writer.close()


def _typed(arrow: Any, field: Any) -> Any:
    """Give a column of which nothing is known yet the type its name tells: a unit means a number."""
    if not arrow.types.is_null(field.type):
        return field
    return arrow.field(field.name, arrow.float64() if field.name.endswith("]") else arrow.string())
