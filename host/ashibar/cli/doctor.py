"""`ashibar doctor`: is everything there that the daemon needs, and if not, what to do."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from ashibar.cli.run import print_mistakes
from ashibar.core.config import ConfigError
from ashibar.io.config_file import load

CONFIG = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    default=Path("ashibar.toml"),
    show_default=True,
    help="The configuration.",
)


@click.command()
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="For programs: a list of checks.")
def doctor(config_path: Path, *, as_json: bool) -> None:
    """Check journal, broker and InfluxDB: version, token, clock, write and read back.

    The daemon may run meanwhile. Ends with status 1 if something is wrong.
    """
    try:
        config = load(config_path)
    except ConfigError as error:
        print_mistakes(error)
        sys.exit(2)
    from ashibar.doctor import examine  # noqa: PLC0415  # --help stays quick

    checks = []
    for check in examine(config):
        checks.append(check)
        if not as_json:
            click.echo(f"{'ok   ' if check.ok else 'WRONG'}  {check.name}: {check.found}")
            if check.remedy:
                click.echo(f"       do: {check.remedy}")
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(checks), indent=2).decode())
    sys.exit(0 if all(check.ok for check in checks) else 1)
