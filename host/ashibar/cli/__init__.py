"""The command line: one module for each group of commands. It parses, calls and prints; it does no work."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

from ashibar import __version__

MODULES: Final = {  # of this package, by command; the function is named as the command
    "demo": "demo",
    "doctor": "doctor",
    "influx": "influx",
    "journal": "journal",
    "node": "node",
    "run": "run",
    "simulate": "simulate",
    # The record: sessions, alarms, safety log.
    "sessions": "sessions",
    "session": "sessions",
    "alarms": "alarms",
    "ack": "alarms",
    "alarm": "alarms",
    "log": "log",
    "inspect": "inspections",
    "weigh": "weigh",
    "hang-test": "weigh",
    "verify": "verify",
    "replay": "replay",
    "export": "export",
}


class Commands(click.Group):
    """Imports a command's module when it is asked for: the daemon is back sooner without all the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name every command."""
        return sorted({*super().list_commands(ctx), *MODULES})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by name, None for a word that is none."""
        if cmd_name in MODULES and cmd_name not in self.commands:
            module = import_module(f"ashibar.cli.{MODULES[cmd_name]}")
            self.add_command(getattr(module, cmd_name.replace("-", "_")), cmd_name)
        return super().get_command(ctx, cmd_name)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="ashibar")
def main() -> None:
    """Weight on the bars of ashiatsu massage: measured, shown, recorded.

    Not a safety device. `ashibar demo` shows the whole chain without any hardware.
    """


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(f"ashibar {__version__}")
