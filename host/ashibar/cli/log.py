"""`ashibar log`: the safety log as it is kept, the heads an owner keeps elsewhere, corrections."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from ashibar.cli import show
from ashibar.cli.options import WRONG, fail, placed, print_json, signed

if TYPE_CHECKING:
    from ashibar.cli.options import Place

HIDDEN = ("rig", "session")


@click.group(invoke_without_command=True)
@click.option("--from", "from_us", type=show.MOMENT, help="At or after: ISO 8601, a date, or 7d (ago).")
@click.option("--to", "to_us", type=show.MOMENT, help="At or before.")
@click.option("--kind", "kinds", multiple=True, help="Only entries of this kind; may be repeated.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="At most so many, the oldest.",
)
@placed
@click.pass_context
def log(
    context: click.Context,
    *,
    place: Place,
    from_us: int | None,
    to_us: int | None,
    kinds: tuple[str, ...],
    limit: int,
) -> None:
    """Show the safety log, oldest first. `ashibar verify` checks it."""
    if context.invoked_subcommand is not None:
        context.obj = place
        return
    with place.reader() as reader:
        span = {"from_us": from_us or 0} | ({} if to_us is None else {"to_us": to_us})
        entries = [json.loads(line) for line in reader.log_of(**span, kinds=kinds, limit=limit)]
    if place.as_json:
        print_json(entries)
        return
    rows = ((e["seq"], show.clock(e["utc_us"]), e["kind"], e["who"], _what(e)) for e in entries)
    show.table(f"{len(entries)} entries", (">seq", "time", "kind", "who", "what"), rows)


def _what(entry: dict[str, Any]) -> str:
    """Say what an entry is about in words where there are some, else as it is written."""
    data = entry["data"]
    if entry["kind"] == "alarm":
        note = f"; {data['note']}" if data["note"] else ""
        return f"{data['rig']} {data['key']}: {data['cause']}, {data['before']} to {data['after']}{note}"
    return _data(data)


def _data(data: dict[str, Any]) -> str:
    where = [str(data[name]) for name in HIDDEN if data.get(name) is not None]
    text = json.dumps({key: value for key, value in data.items() if key not in HIDDEN}, ensure_ascii=False)
    return " ".join([*where, text if len(text) <= 160 else f"{text[:157]}..."])


@log.command()
@placed
def heads(*, place: Place) -> None:
    """Print the last entry's hash of each day, a line each: keep them outside this machine.

    `ashibar verify --heads FILE` checks the log against them.
    """
    from ashibar.core import chain  # noqa: PLC0415 - --help stays quick

    with place.reader() as reader:
        found = chain.daily_heads(chain.from_line(line) for line in reader.log_lines())
    for day, head in found.items():
        told = {"day": day, "seq": head.seq, "hash": head.hash, "utc_us": head.utc_us}
        click.echo(json.dumps(told))


@log.command()
@click.argument("seq", type=click.IntRange(min=0))
@signed
@click.option("--why", required=True, help="What was wrong.")
@click.option(
    "--data", "text", required=True, metavar="JSON", help="What the entry should have said: its `data`."
)
@placed
def correct(*, place: Place, seq: int, by: str, why: str, text: str) -> None:
    """Enter a correction of entry SEQ. The entry itself stays."""
    try:
        data = json.loads(text)
    except ValueError as error:
        fail(
            f"expected JSON in --data\ncame     {error}\ndo       `ashibar log --json` shows the entry", WRONG
        )
    told = place.api().post(
        "log/corrections", {"by": by, "from": "cli", "seq": seq, "why": why, "data": data}
    )
    if place.as_json:
        print_json(told)
    else:
        click.echo(f"entry {told['seq']} corrects entry {seq}")
