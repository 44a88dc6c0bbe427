"""`ashibar sessions` and `ashibar session`: what was done on the bars, from the record; start and end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from ashibar.cli import show
from ashibar.cli.client import quoted
from ashibar.cli.options import REFUSED, fail, placed, print_json, signed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ashibar.cli.options import Place
    from ashibar.io.journal import SessionRow

UNIT = click.option(
    "--unit", type=click.Choice(["kg", "lb", "N"]), default="kg", show_default=True, help="Of loads."
)
PART = click.FloatRange(0, 200)


@click.command()
@click.option("--rig", help="Of this rig only.")
@click.option("--from", "from_us", type=show.MOMENT, help="Begun at or after: ISO 8601, a date, or 7d (ago).")
@click.option("--to", "to_us", type=show.MOMENT, help="Begun at or before.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many, the newest.")
@UNIT
@placed
def sessions(
    *, place: Place, rig: str | None, from_us: int | None, to_us: int | None, limit: int | None, unit: str
) -> None:
    """List sessions, newest first, with their figures."""
    with place.reader() as reader:
        span = {"from_us": from_us or 0} | ({} if to_us is None else {"to_us": to_us})
        listed = [_read(row) for row in reader.sessions(rig, **span, limit=limit or -1)]
    if place.as_json:
        print_json(listed)
        return
    columns = ("session", "therapist", "client", "began", ">duration", f">mean {unit}", f">max {unit}",
               ">over limit", ">incidents", ">missing")  # fmt: skip
    show.table(f"{len(listed)} sessions", columns, (_line(each, unit) for each in listed))


def _read(row: SessionRow) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(row.record)
    return told | {"summary": None if row.summary is None else json.loads(row.summary)}


def _line(told: dict[str, Any], unit: str) -> tuple[Any, ...]:
    summary = told["summary"]
    head = (told["id"], told["therapist"], told["client_code"], show.clock(told["started_us"]))
    if summary is None:
        return (*head, "running" if told["ended_us"] is None else "not summed up yet", "", "", "", "", "")
    client_max = summary["client_max"]
    return (
        *head, show.lasting(summary["duration_s"]), show.force(summary["mean_client_n"], unit),
        show.force(None if client_max is None else client_max["value_n"], unit), _over(summary),
        summary["incidents"], summary["samples"]["missing"],
    )  # fmt: skip


def _over(summary: dict[str, Any]) -> str:
    span = summary["over_limit_s"]
    if span is None:
        return "no limit"
    least, most = (show.lasting(seconds) for seconds in span)
    return least if least == most else f"{least} to {most}"


@click.group()
def session() -> None:
    """Start, end and show a session."""


@session.command("show")
@click.argument("number", metavar="ID")
@UNIT
@placed
def show_session(*, place: Place, number: str, unit: str) -> None:
    """Show one session with all its figures."""
    with place.reader() as reader:
        row = reader.session(number)
    if row is None:
        fail(f"expected a session\ncame     {number!r}\ndo       `ashibar sessions` lists them", REFUSED)
    told = _read(row)
    if place.as_json:
        print_json(told)
        return
    _print(told, unit)


def _print(told: dict[str, Any], unit: str) -> None:
    terms, summary = told["terms"], told["summary"]
    weight, limit_n = terms["body_weight"], terms["client_limit_n"]
    rows = [
        ("rig", told["rig"]),
        ("therapist", told["therapist"]),
        ("client", told["client_code"]),
        ("began", f"{show.clock(told['started_us'])} by {told['started_by']} ({told['started_from']})"),
        ("ended", _ended(told)),
        ("body weight", weight and f"{show.force(weight['value_n'], unit)} {unit} by {weight['source']}"),
        ("client limit", limit_n and f"{show.force(limit_n, unit)} {unit}"),
        ("notes", told["notes"]),
    ]  # fmt: skip
    show.pairs(told["id"], rows)
    if summary is not None:
        show.pairs("figures", _figures(summary, unit))


def _ended(told: dict[str, Any]) -> str:
    if told["ended_us"] is None:
        return "still running"
    return f"{show.clock(told['ended_us'])} by {told['ended_by']}: {told['end_reason']}"


def _figures(summary: dict[str, Any], unit: str) -> Iterator[tuple[str, Any]]:
    for name in ("duration_s", "known_s", "unknown_s", "below_s", "in_target_s", "above_target_s"):
        yield name.removesuffix("_s").replace("_", " "), show.lasting(summary[name])
    yield "over limit", _over(summary)
    yield "mean load on client (max)", f"{show.force(summary['mean_client_n'], unit)} {unit}"
    shares = ", ".join(f"{p} %: {show.force(n, unit)}" for p, n in summary["percentiles_n"].items())
    yield f"percentiles of time, {unit}", shares
    for name in ("client_max", "bar_max", "bar_min"):
        yield name.replace("_", " "), _peak(summary[name], unit)
    for hanger, peak in summary["cell_max"].items():
        yield f"{hanger} max", _peak(peak, unit)
    yield "moving", show.percent(summary["motion_share"])
    yield "hangs", f"{summary['hangs']}, {show.lasting(summary['hang_s'])}"
    yield "bars", ", ".join(f"{bar} {show.percent(part)}" for bar, part in summary["bar_share"].items())
    yield "incidents", str(summary["incidents"])
    samples = summary["samples"]
    yield "samples", f"{samples['stored']} of {samples['expected']}, {samples['missing']} missing"
    yield (
        "validity",
        ", ".join(f"{name} {show.percent(part)}" for name, part in summary["validity_share"].items()),
    )
    yield "calibrations", ", ".join(summary["calibrations"])
    yield "zeros", ", ".join(summary["zeros"])


def _peak(peak: dict[str, Any] | None, unit: str) -> str:
    return "" if peak is None else f"{show.force(peak['value_n'], unit)} {unit} at {show.iso(peak['at_us'])}"


@session.command()
@signed
@click.option("--therapist", required=True, help="Who works.")
@click.option("--client", "client_code", required=True, help="A pseudonym: 1 to 16 letters, digits, hyphens.")
@click.option("--rig", help="Where there are several.")
@click.option("--weight-kg", type=click.FloatRange(40, 150), help="The therapist's, as just weighed.")
@click.option("--source", type=click.Choice(["scale", "typed"]), default="scale", show_default=True,
              help="Where --weight-kg is from.")  # fmt: skip
@click.option("--confirmed", is_flag=True, help="The weight is right, however far it is from the last.")
@click.option("--limit-kg", type=click.FloatRange(min=0, min_open=True), help="Load on the client at most.")
@click.option("--target", nargs=2, type=PART, metavar="LOW HIGH", help="The band, in percent of body weight.")
@click.option("--notes", default="", help="Fixed when the session ends.")
@placed
def start(*, place: Place, by: str, weight_kg: float | None, source: str, confirmed: bool,
          limit_kg: float | None, target: tuple[float, float] | None, **given: Any) -> None:  # fmt: skip
    """Start a session. What is left out is the studio's, and the therapist's newest weight."""
    kg = show.NEWTON_PER["kg"]
    weight = (
        None if weight_kg is None else {"value_n": weight_kg * kg, "source": source, "confirmed": confirmed}
    )
    low, high = (None, None) if target is None else (part / 100 for part in target)
    limit_n = None if limit_kg is None else limit_kg * kg
    body = {
        "by": by,
        "from": "cli",
        "weight": weight,
        "client_limit_n": limit_n,
        "target_low": low,
        "target_high": high,
    }
    told = place.api().post("sessions", body | given)
    _done(place, told, f"session {told['id']} began")


@session.command()
@click.argument("number", metavar="[ID]", required=False)
@signed
@click.option("--rig", help="Where there are several and no ID is given.")
@click.option("--notes", help="Fixed with the end.")
@placed
def end(*, place: Place, number: str | None, by: str, rig: str | None, notes: str | None) -> None:
    """End a session: the running one, if no ID is given."""
    told = _post(place, number, rig, "end", {"by": by, "from": "cli", "notes": notes})
    _done(place, told, f"session {told['id']} has ended")


@session.command()
@click.argument("number", metavar="[ID]", required=False)
@signed
@click.option("--rig", help="Where there are several and no ID is given.")
@placed
def keep(*, place: Place, number: str | None, by: str, rig: str | None) -> None:
    """Say that a session is still going, when asked."""
    told = _post(place, number, rig, "keep", {"by": by, "from": "cli"})
    _done(place, told, f"session {told['id']} goes on")


def _post(place: Place, number: str | None, rig: str | None, what: str, body: dict[str, Any]) -> Any:
    api = place.api()
    if number is None:
        current = api.get("sessions/current", rig=rig)["session"]
        if current is None or current["ended_us"] is not None:
            fail(
                "expected a running session\ncame     none\ndo       `ashibar session start` starts one",
                REFUSED,
            )
        number = current["id"]
    return api.post(f"sessions/{quoted(str(number))}/{what}", body)


def _done(place: Place, told: Any, text: str) -> None:
    if place.as_json:
        print_json(told)
    else:
        click.echo(text)
