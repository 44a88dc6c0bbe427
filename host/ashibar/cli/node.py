"""`ashibar node`: what an installer does with one node over the network."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import click

from ashibar.cli.simulate import parse_address


@click.group()
def node() -> None:
    """Commands to one node."""


@node.command()
@click.argument("name", metavar="NODE")
@click.option(
    "--from",
    "directory",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The directory that holds barnode/, firmware/ of a checkout.",
)
@click.option("--broker", "address", required=True, metavar="HOST:PORT", help="The MQTT broker.")
@click.option("--studio", required=True, help="The studio's name in the topics.")
@click.option("--user", help="User at the broker; the password is taken from ASHIBAR_MQTT_PASSWORD.")
@click.option(
    "--sources", is_flag=True, help="Send the sources as they are: for a virtual node, not for a chip."
)
def update(*, name: str, directory: Path, address: str, studio: str, user: str | None, sources: bool) -> None:
    """Put new firmware onto NODE over the air.

    Nobody may be on the bars. The node keeps the old version and returns to it by itself if the new one
    does not connect and sample. Can be repeated: what the node has is not sent again.
    """
    from ashibar.node import application  # noqa: PLC0415  # --help stays quick
    from ashibar.node import update as updating  # noqa: PLC0415
    from ashibar.node.commander import Commander  # noqa: PLC0415
    from ashibar.node.errors import NodeError  # noqa: PLC0415

    host, port = parse_address(address)
    password = os.environ.get("ASHIBAR_MQTT_PASSWORD")
    try:
        new = application.read(directory)
        if not sources:
            with tempfile.TemporaryDirectory() as work_dir:
                new = application.compiled(new, Path(work_dir))
        click.echo(f"{new.version}: {len(new.files)} files, {sum(map(len, new.files.values()))} bytes")
        with Commander(host, port, studio, name, user=user, password=password) as commander:
            outcome = updating.update(commander, new, progress=_show)
    except NodeError as error:
        raise click.ClickException(str(error)) from None
    click.echo(outcome.text)
    sys.exit(0 if outcome.updated else 1)


def _show(sent: int, total: int) -> None:
    if sys.stdout.isatty() or sent == total:
        click.echo(f"\r{sent} of {total} bytes", nl=sent == total)
