"""`ashibar node`: what an installer does with one node over the network."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ashibar.cli.options import print_json
from ashibar.cli.simulate import parse_address

if TYPE_CHECKING:
    from collections.abc import Callable

    from ashibar.node.calibrating import Diagnosis
    from ashibar.node.commander import Commander

DIAGNOSE_WITHIN_S = 20.0  # it looks at ten seconds, after what it was doing
ABOUT_WITHIN_S = 5.0


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


def _at_node(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what says where a node is."""
    for option in (
        click.option("--user", help="User at the broker; the password is taken from ASHIBAR_MQTT_PASSWORD."),
        click.option("--studio", required=True, help="The studio's name in the topics."),
        click.option("--broker", "address", required=True, metavar="HOST:PORT", help="The MQTT broker."),
        click.argument("name", metavar="NODE"),
    ):
        command = option(command)
    return command


def _commander(name: str, address: str, studio: str, user: str | None) -> Commander:
    from ashibar.node.commander import Commander  # noqa: PLC0415  # --help stays quick

    host, port = parse_address(address)
    password = os.environ.get("ASHIBAR_MQTT_PASSWORD")
    return Commander(host, port, studio, name, user=user, password=password)


@node.command()
@_at_node
@click.option("--json", "as_json", is_flag=True, help="The reply as JSON.")
def diagnose(*, name: str, address: str, studio: str, user: str | None, as_json: bool) -> None:
    """Look at ten seconds of NODE's samples: rate, noise, range and faults of each cell, with a verdict.

    Exit status 1 where something is not sound.
    """
    from ashibar.node.errors import NodeError  # noqa: PLC0415  # --help stays quick

    try:
        with _commander(name, address, studio, user) as commander:
            told, found = _diagnosed(commander)
    except NodeError as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        print_json(told)
    else:
        _table(found)
    sys.exit(0 if found.sound else 1)


@node.command()
@_at_node
@click.option("--weight", "weight_kg", required=True, type=click.FloatRange(min=1), metavar="KG",
              help="The known weight that is hung on each hanger in turn.")  # fmt: skip
@click.option("--by", required=True, envvar="ASHIBAR_BY", help="Who calibrates.")
@click.option("--id", "number", type=click.IntRange(1, 65535), help="Of the record; else the next one.")
def calibrate(
    *, name: str, address: str, studio: str, user: str | None, weight_kg: float, by: str, number: int | None
) -> None:
    """Calibrate NODE with a known weight, cell by cell, saying what to do; ten seconds each.

    Nothing is changed before the last reading. The record is kept by the node and goes to the journal.
    """
    from ashibar.node import calibrating  # noqa: PLC0415  # --help stays quick
    from ashibar.node.errors import NodeError  # noqa: PLC0415

    def means(say: str) -> list[float]:
        click.prompt(f"{say}, then Enter", default="", show_default=False, prompt_suffix=" ")
        return _diagnosed(commander)[1].means()

    try:
        with _commander(name, address, studio, user) as commander:
            names, before = _cells(commander)
            free = means("Take everything off the bars")
            spans = []
            for cell, hanger in enumerate(names):
                loaded = means(f"Hang {weight_kg:g} kg on {hanger}, nothing on the others")
                spans.append(calibrating.span_n_per_count(names, cell, free, loaded, weight_kg))
            zeros = means("Take everything off again")
            calibrating.expect_return(names, free, zeros, spans, weight_kg)
            record = calibrating.record(number or before + 1, by, int(time.time()), zeros, spans)
            commander.ask("set calibration", calibration=record)
    except NodeError as error:
        raise click.ClickException(str(error)) from None
    print_json(record)


def _diagnosed(commander: Commander) -> tuple[dict[str, Any], Diagnosis]:
    from ashibar.node import calibrating  # noqa: PLC0415  # --help stays quick

    told = commander.ask("diagnose", DIAGNOSE_WITHIN_S)
    return told, calibrating.read(told)


def _cells(commander: Commander) -> tuple[list[str], int]:
    """Return the names of the cells and the id of the record in force, 0 without one."""
    from ashibar.node.errors import NodeError  # noqa: PLC0415  # --help stays quick

    about = commander.about(lambda _: True, ABOUT_WITHIN_S)
    if about is None:
        raise NodeError(f"{commander.node}: its `about` expected, none is there: check studio, node, power")
    return [cell.name for cell in about.cells], 0 if about.calibration is None else about.calibration.id


def _table(found: Diagnosis) -> None:
    rate = "no rate" if found.rate_hz is None else f"{found.rate_hz:.1f} samples a second"
    gap = "" if found.longest_gap_us is None else f", at most {found.longest_gap_us / 1000:.1f} ms apart"
    click.echo(f"{rate}{gap}: {found.verdict}")
    width = max(len("cell"), *(len(cell.name) for cell in found.cells))
    heads = ("mean", "noise", "least", "greatest", "saturated", "spikes", "desync", "not ready")
    click.echo("  ".join([f"{'cell':<{width}}", *(f"{head:>9}" for head in heads), "verdict"]))
    for cell in found.cells:
        values = (
            cell.mean, cell.noise, cell.least, cell.greatest, cell.saturated, cell.spikes, cell.desync,
            cell.not_ready,
        )  # fmt: skip
        shown = [f"{'-' if value is None else format(value, '.0f'):>9}" for value in values]
        click.echo("  ".join([f"{cell.name:<{width}}", *shown, cell.verdict]))


def _show(sent: int, total: int) -> None:
    if sys.stdout.isatty() or sent == total:
        click.echo(f"\r{sent} of {total} bytes", nl=sent == total)
