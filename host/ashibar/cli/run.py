"""`ashibar run`: the daemon in the foreground, as a service manager wants it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ashibar.core.config import ConfigError
from ashibar.io.config_file import load


@click.command()
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    default=Path("ashibar.toml"),
    show_default=True,
    help="The configuration; docs/ashibar.toml is a commented example.",
)
@click.option("--check", is_flag=True, help="Only check the configuration.")
def run(config_path: Path, *, check: bool) -> None:
    """Run the daemon against the broker and rigs of the configuration, until Ctrl-C or SIGTERM."""
    try:
        config = load(config_path)
    except ConfigError as error:
        print_mistakes(error)
        sys.exit(2)
    if check:
        click.echo(f"{config_path}: no mistakes")
        return
    from ashibar import daemon  # noqa: PLC0415  # a configuration is refused before the slow imports

    sys.exit(daemon.run(config))


def print_mistakes(error: ConfigError) -> None:
    """Print every mistake on a line of its own, with its place and the remedy."""
    count = len(error.mistakes)
    click.echo(f"{count} mistake{'s' if count > 1 else ''} in the configuration:", err=True)
    for mistake in error.mistakes:
        click.echo(f"  {mistake.place}", err=True)
        click.echo(f"      expected {mistake.expected}", err=True)
        click.echo(f"      came     {mistake.came}", err=True)
        click.echo(f"      remedy   {mistake.remedy}", err=True)
