"""The command line: one module for each group of commands. It parses, calls and prints; it does no work."""

from __future__ import annotations

import click

from ashibar import __version__
from ashibar.cli.alarms import ack, alarm, alarms
from ashibar.cli.demo import demo
from ashibar.cli.doctor import doctor
from ashibar.cli.export import export
from ashibar.cli.influx import influx
from ashibar.cli.inspections import inspect
from ashibar.cli.journal import journal
from ashibar.cli.log import log
from ashibar.cli.node import node
from ashibar.cli.replay import replay
from ashibar.cli.run import run
from ashibar.cli.sessions import session, sessions
from ashibar.cli.simulate import simulate
from ashibar.cli.verify import verify
from ashibar.cli.weigh import hang_test, weigh


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


for command in (demo, doctor, influx, journal, node, run, simulate):
    main.add_command(command)

# The record: sessions, alarms, safety log.
for command in (
    sessions,
    session,
    alarms,
    ack,
    alarm,
    log,
    inspect,
    weigh,
    hang_test,
    verify,
    replay,
    export,
):
    main.add_command(command)
