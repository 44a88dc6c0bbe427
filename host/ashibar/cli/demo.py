"""`ashibar demo`: the whole chain on one machine, without hardware."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ashibar.node import RuntimeChoice
    from ashibar.sim.broker import BrokerChoice


@click.command()
@click.option(
    "--trace",
    "trace_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Play this instead of the built-in session: CSV t_s,cell_0_n,... in newtons; 1 to 4 cells.",
)
@click.option("--seconds", type=click.FloatRange(min=1), help="End after so long; else with Ctrl-C.")
@click.option("--port", type=click.IntRange(0, 65535), help="Of the page; 0: any free one.  [default: 8080]")
@click.option(
    "--data",
    "data_path",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the record here; else it is removed at the end.",
)
@click.option("--no-browser", is_flag=True, help="Do not open the page.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print what was measured as one JSON object, last line."
)
@click.option(
    "--runtime",
    type=click.Choice(["auto", "micropython", "cpython"]),
    default="auto",
    show_default=True,
    help="What runs the firmware.",
)
@click.option(
    "--broker",
    type=click.Choice(["auto", "mosquitto", "amqtt"]),
    default="auto",
    show_default=True,
    help="Which MQTT broker.",
)
def demo(
    *,
    trace_path: Path | None,
    seconds: float | None,
    port: int | None,
    data_path: Path | None,
    runtime: RuntimeChoice,
    broker: BrokerChoice,
    no_browser: bool,
    as_json: bool,
) -> None:
    """Play a therapist's session on two bars: virtual node, broker, daemon and page, on this machine.

    The virtual node runs the real firmware. Ctrl-C ends all of it.
    """
    from ashibar.sim import demo as play  # noqa: PLC0415  # --help stays quick

    options = play.Options(
        trace=trace_path,
        seconds=seconds,
        port=port,
        data=data_path,
        browser=not no_browser,
        json=as_json,
        runtime=runtime,
        broker=broker,
    )
    try:
        sys.exit(play.run(options))
    except play.DemoError as error:
        raise click.ClickException(str(error)) from error
