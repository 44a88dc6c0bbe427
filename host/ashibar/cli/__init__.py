"""The command line: one module for each group of commands. It parses, calls and prints; it does no work."""

from __future__ import annotations

import click

from ashibar import __version__
from ashibar.cli.demo import demo
from ashibar.cli.node import node
from ashibar.cli.run import run
from ashibar.cli.simulate import simulate


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="ashibar")
def main() -> None:
    """Weight on the bars of ashiatsu massage: measured, shown, recorded.

    Not a safety device. `ashibar demo` shows the whole chain without any hardware.
    """


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(f"ashibar {__version__}")


for command in (demo, node, run, simulate):
    main.add_command(command)
