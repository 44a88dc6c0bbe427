"""`ashibar weigh`, `ashibar hang-test`: the therapist's body weight, by scale, typed in, or off the bars."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final

import click

from ashibar.cli import show
from ashibar.cli.client import ApiError
from ashibar.cli.options import REFUSED, placed, print_json, signed

if TYPE_CHECKING:
    from ashibar.cli.client import Api
    from ashibar.cli.options import Place

KG: Final = show.NEWTON_PER["kg"]
POLL_S: Final = 0.25
OVER: Final = ("passed", "failed")


@click.command()
@click.argument("weight_kg", type=click.FloatRange(40, 150), metavar="KG")
@signed
@click.option("--therapist", required=True, help="Whose weight.")
@click.option(
    "--source",
    type=click.Choice(["scale", "typed"]),
    default="scale",
    show_default=True,
    help="Where it is from.",
)
@click.option("--rig", help="Where there are several.")
@click.option("--yes", "confirmed", is_flag=True, help="It is right, however far it is from the last.")
@placed
def weigh(
    *, place: Place, weight_kg: float, by: str, therapist: str, source: str, rig: str | None, confirmed: bool
) -> None:
    """Enter a therapist's body weight."""
    body = {
        "by": by,
        "from": "cli",
        "therapist": therapist,
        "value_n": weight_kg * KG,
        "source": source,
        "rig": rig,
    }
    api = place.api()
    try:
        told = api.post("weigh", body | {"confirmed": confirmed})
    except ApiError as error:
        if not error.confirm or place.as_json or not sys.stdin.isatty():
            raise
        click.echo(str(error), err=True)
        click.confirm("Is it right?", abort=True)
        told = api.post("weigh", body | {"confirmed": True})
    if place.as_json:
        print_json(told)
        return
    spread = show.force(2 * told["u_n"], "kg")
    until = show.clock(told["expires_us"])
    click.echo(f"{told['therapist']}: {show.force(told['value_n'], 'kg')} kg +- {spread} kg, until {until}")


@click.command("hang-test")
@signed
@click.option("--therapist", required=True, help="Who hangs.")
@click.option("--scale-kg", type=click.FloatRange(40, 150), help="Their weight by a scale, to compare with.")
@click.option("--use", is_flag=True, help="Take the result as their body weight.")
@click.option("--rig", help="Where there are several.")
@placed
def hang_test(
    *, place: Place, by: str, therapist: str, scale_kg: float | None, use: bool, rig: str | None
) -> None:
    """Weigh a therapist with the bars: hang from both, feet clear, ten seconds. Ctrl-C gives up.

    Exit status 1 if the test does not pass.
    """
    api = place.api()
    scale_n = None if scale_kg is None else scale_kg * KG
    body = {"by": by, "from": "cli", "therapist": therapist, "scale_n": scale_n, "use": use, "rig": rig}
    told = api.post("hang-test", body)
    try:
        told = _followed(api, told, rig, quiet=place.as_json)
    except KeyboardInterrupt:
        told = api.post("hang-test/cancel", {"by": by, "from": "cli", "rig": rig})
    if place.as_json:
        print_json(told)
    else:
        click.echo(f"{told['phase'].upper()}: {told['reason']} {told['remedy']}".strip())
    sys.exit(0 if told["phase"] == "passed" else REFUSED)


def _followed(api: Api, told: dict[str, Any], rig: str | None, *, quiet: bool) -> dict[str, Any]:
    """Follow a test to its end, saying what to do."""
    said = ""
    with show.progress() as bar:
        task = bar.add_task(told["say"], total=1.0)
        while told["phase"] not in OVER:
            if told["say"] != said and not quiet:
                said = told["say"]
                click.echo(said)
            bar.update(task, description=told["say"], completed=told["progress"])
            time.sleep(POLL_S)
            told = api.get("hang-test", rig=rig)
    return told
