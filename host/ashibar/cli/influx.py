"""`ashibar influx`: make the bucket, see how far the copy is, send a span again."""

from __future__ import annotations

import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from ashibar.cli.doctor import CONFIG
from ashibar.cli.run import print_mistakes
from ashibar.core.config import ConfigError
from ashibar.io.config_file import load

if TYPE_CHECKING:
    from ashibar.core.config import Config, InfluxConfig

UNITS = {"h": 3600, "d": 86_400, "w": 604_800}


@click.group()
def influx() -> None:
    """The copy of the record in InfluxDB."""


@influx.command()
@CONFIG
@click.option("--retention", metavar="TIME", help="How long points stay, as in 400d or 52w; 0: for ever.")
def init(config_path: Path, *, retention: str | None) -> None:
    """Make the bucket or database, its retention and the mapping for InfluxQL. Can be repeated."""
    config, section = _configured(config_path)
    from ashibar.influx_side import token_of  # noqa: PLC0415  # --help stays quick
    from ashibar.io.influx.server import Server, ServerError  # noqa: PLC0415
    from ashibar.io.influx.setup import init as make  # noqa: PLC0415

    try:
        for said in make(
            Server(section.url, token_of(section)), section.org, section.bucket, _seconds(retention)
        ):
            click.echo(said)
    except (ServerError, ConfigError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"ready for the studio {config.studio}; `ashibar doctor` checks it")


@influx.command()
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(config_path: Path, *, as_json: bool) -> None:
    """Say how far the copy is, from the journal; the daemon may run or not."""
    config, _ = _configured(config_path)
    from ashibar.io.influx.progress import progress_of  # noqa: PLC0415  # --help stays quick

    if not Path(config.journal_path).exists():
        raise click.ClickException(f"expected a journal at {config.journal_path}, came none: run the daemon")
    found = progress_of(Path(config.journal_path))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        return
    click.echo(f"frames on record up to {found.newest}, written without a hole up to {found.cursor}")
    click.echo(f"not written: {found.behind} frames ({found.share:.1%} of all), {found.old} of them old")
    click.echo(f"written ever: {found.points} points; refused: {found.rejected}; too old: {found.too_old}")
    if found.recomputing:
        click.echo(f"corrections under way: {found.recomputing}")


@influx.command()
@CONFIG
@click.option("--from", "from_text", required=True, metavar="TIME", help="ISO 8601, as 2026-11-22T10:00.")
@click.option("--to", "to_text", required=True, metavar="TIME", help="ISO 8601; not included.")
def resend(config_path: Path, *, from_text: str, to_text: str) -> None:
    """Write the samples of a span again. The same points: nothing is doubled; the daemon may run."""
    config, section = _configured(config_path)
    from_us, to_us = _utc_us(from_text), _utc_us(to_text)
    if from_us >= to_us:
        raise click.BadParameter("expected --from before --to; swap them")
    from ashibar.influx_side import writer_of  # noqa: PLC0415  # --help stays quick
    from ashibar.io.influx.writer import SinkError  # noqa: PLC0415
    from ashibar.io.journal import Reader  # noqa: PLC0415
    from ashibar.points import Points  # noqa: PLC0415

    try:
        writer, reader = writer_of(section), Reader(Path(config.journal_path))
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    points = rejected = too_old = 0
    try:
        for at_us, lines in Points(config.studio).of_span(reader, from_us, to_us):
            written = writer.write(lines)
            points += written.points
            too_old += written.too_old
            rejected += len(written.rejected)
            for line in written.rejected:
                click.echo(f"refused: {line.reason}", err=True)
            _progress((at_us - from_us) / (to_us - from_us), points)
    except SinkError as error:
        raise click.ClickException(f"{error}; {points} points were written; send again") from None
    finally:
        writer.close()
        reader.close()
    click.echo(f"{points} points written, {rejected} refused, {too_old} too old for the bucket")
    sys.exit(1 if rejected else 0)


def _configured(path: Path) -> tuple[Config, InfluxConfig]:
    try:
        config = load(path)
    except ConfigError as error:
        print_mistakes(error)
        sys.exit(2)
    if config.influx is None:
        raise click.ClickException(f"expected a section [influx] in {path}, came none: add url and bucket")
    return config, config.influx


def _seconds(text: str | None) -> int | None:
    if text is None or text == "0":
        return None if text is None else 0
    found = re.fullmatch(r"(\d+)([hdw])", text)
    if found is None:
        raise click.BadParameter(f"expected a time like 400d, 52w or 0 for ever, came {text!r}")
    return int(found[1]) * UNITS[found[2]]


def _utc_us(text: str) -> int:
    """Return Unix microseconds; a time without zone is this machine's."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"expected ISO 8601, as 2026-11-22T10:00, came {text!r}") from None
    return int((at if at.tzinfo is not None else at.astimezone()).astimezone(UTC).timestamp() * 1e6)


_shown_s = [0.0]


def _progress(share: float, points: int) -> None:
    if sys.stdout.isatty() and time.monotonic() - _shown_s[0] > 0.5:
        _shown_s[0] = time.monotonic()
        click.echo(f"\r{share:.0%}, {points} points", nl=False)
