"""`ashibar inspect`: inspections and engineer's ratings, what is due, and recording a new one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from ashibar.cli import show
from ashibar.cli.client import ApiError
from ashibar.cli.options import placed, print_json, signed

if TYPE_CHECKING:
    from ashibar.cli.options import Place

RIG = click.option("--rig", help="Where there are several.")
DUE = click.option("--due", "due_us", type=show.MOMENT, required=True, help="When it must be done again.")
AT = click.option("--at", "at_us", type=show.MOMENT, help="When it was done.  [default: now]")


@click.group()
def inspect() -> None:
    """Inspections and engineer's ratings: list them, record one."""


@inspect.command("list")
@RIG
@placed
def list_all(*, place: Place, rig: str | None) -> None:
    """List what is due and what was recorded. Without a running daemon: from the safety log."""
    try:
        told = place.api().get("inspections", rig=rig)
    except ApiError as error:
        if error.status or place.given_url is not None:
            raise
        told = _from_log(place, rig)
    if place.as_json:
        print_json(told)
        return
    columns = ("what", "of", "due", "state", "by")
    dues = (
        (d["kind"], d["subject"], show.clock(d["due_us"]), d["state"], d["by"]) for d in told["obligations"]
    )
    show.table("due", columns, dues)
    made = ("inspected", "when", "by", "result", "due again", "finding")
    show.table("inspections", made, (_inspected(each) for each in told["inspections"]))
    rated = (">rating N", "when", "by", "due again", "document")
    rows = ((f"{r['rating_n']:.0f}", show.clock(r["at_us"]), r["by"], show.clock(r["due_us"]), r["document"])
            for r in told["ratings"])  # fmt: skip
    show.table("engineer's ratings", rated, rows)


def _inspected(each: dict[str, Any]) -> tuple[str, ...]:
    result = "passed" if each["passed"] else "NOT PASSED"
    times = show.clock(each["at_us"]), show.clock(each["due_us"])
    return each["subject"], times[0], each["by"], result, times[1], each["finding"]


def _from_log(place: Place, rig: str | None) -> dict[str, Any]:
    """Return what the daemon would answer."""
    import msgspec  # noqa: PLC0415 - --help stays quick

    from ashibar.replay.script import inspections_of  # noqa: PLC0415

    with place.reader() as reader:
        told: dict[str, Any] = msgspec.to_builtins(inspections_of(reader, rig, time.time_ns() // 1000))
        return told


@inspect.command()
@click.argument("subject")
@RIG
@signed
@click.option("--passed/--failed", required=True, help="The result.")
@click.option("--finding", required=True, help="What was seen, in words.")
@DUE
@AT
@placed
def add(*, place: Place, subject: str, by: str, **given: Any) -> None:
    """Record an inspection of SUBJECT: `rig` or a hanger such as `left-head`.

    One that passed releases a latched overload alarm of its subject.
    """
    told = place.api().post("inspections", {"by": by, "from": "cli", "subject": subject} | given)
    _done(place, told, f"inspection of {told['subject']} recorded, due again {show.clock(told['due_us'])}")


@inspect.command()
@RIG
@signed
@click.option("--rating-n", type=click.FloatRange(0, 100_000, min_open=True), required=True,
              help="What the rig may carry, newtons.")  # fmt: skip
@click.option("--document", required=True, help="Where the engineer says so.")
@DUE
@AT
@placed
def rating(*, place: Place, by: str, **given: Any) -> None:
    """Record an engineer's rating of the rig. NAME is the engineer's."""
    told = place.api().post("ratings", {"by": by, "from": "cli"} | given)
    _done(place, told, f"rating of {told['rating_n']:.0f} N recorded, due again {show.clock(told['due_us'])}")


def _done(place: Place, told: Any, text: str) -> None:
    if place.as_json:
        print_json(told)
    else:
        click.echo(text)
