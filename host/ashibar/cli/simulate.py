"""`ashibar simulate`: virtual nodes that play a trace against any broker."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ashibar.node import RuntimeChoice


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of HOST:PORT, [V6]:PORT or HOST (port 1883). Raises click.BadParameter."""
    host, separator, port = text.rpartition(":")
    if not separator or text.endswith("]"):
        host, port = text, "1883"
    host = host.strip("[]")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise click.BadParameter(f"expected HOST:PORT, came {text!r}; for example 127.0.0.1:1883")
    return host, int(port)


@click.command()
@click.option(
    "--trace",
    "trace_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="CSV t_s,cell_0_n,cell_1_n,... in newtons; 1 to 4 cells.",
)
@click.option("--broker", "address", required=True, metavar="HOST:PORT", help="The MQTT broker.")
@click.option("--nodes", default=1, show_default=True, type=click.IntRange(1, 100), help="How many nodes.")
@click.option("--seconds", type=click.FloatRange(min=0.1), help="End after so long; else with Ctrl-C.")
@click.option("--studio", default="demo", show_default=True, help="The studio's name in the topics.")
@click.option(
    "--runtime",
    type=click.Choice(["auto", "micropython", "cpython"]),
    default="auto",
    show_default=True,
    help="What runs the firmware.",
)
def simulate(
    *, trace_path: Path, address: str, nodes: int, seconds: float | None, studio: str, runtime: RuntimeChoice
) -> None:
    """Run virtual nodes, the real firmware on a virtual board, against any broker."""
    from ashibar.sim import simulate as simulation  # noqa: PLC0415  # --help stays quick

    host, port = parse_address(address)
    try:
        sys.exit(
            simulation.run(
                trace_path=trace_path,
                host=host,
                port=port,
                nodes=nodes,
                seconds=seconds,
                studio=studio,
                runtime=runtime,
            )
        )
    except simulation.SimulationError as error:
        raise click.ClickException(str(error)) from error
