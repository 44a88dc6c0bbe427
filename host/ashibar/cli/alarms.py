"""`ashibar alarms`, `ack` and `alarm`: how the alarms stand, and a person's answer to one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from ashibar.cli import show
from ashibar.cli.client import ApiError, quoted
from ashibar.cli.options import placed, print_json, signed

if TYPE_CHECKING:
    from ashibar.cli.options import Place

RIG = click.option("--rig", help="Where there are several.")
QUIET = ("normal", "not-armed")  # nothing to be done about them
NOTE = click.option("--note", required=True, help="Why.")


@click.command()
@RIG
@click.option("--all", "everything", is_flag=True, help="Those that are normal or not armed, too.")
@placed
def alarms(*, place: Place, rig: str | None, everything: bool) -> None:
    """List the alarms. Without a running daemon: as it left them."""
    try:
        listed, title = place.api().get("alarms", rig=rig), "alarms"
    except ApiError as error:
        if error.status or place.given_url is not None:
            raise
        listed, title = (
            _left(place, rig),
            "alarms as the daemon left them: it does not answer, nobody watches",
        )
    if place.as_json:
        print_json(listed)
        return
    shown = [each for each in listed if everything or each["state"] not in QUIET or each["latched"]]
    columns = ("rig", "alarm", "state", "priority", "since", "due", "by", "note")
    show.table(f"{title}: {len(shown)} of {len(listed)}", columns, (_line(each) for each in shown))


def _line(each: dict[str, Any]) -> tuple[Any, ...]:
    state = each["state"] + (", latched" if each["latched"] else "")
    until = each.get("shelved_until_us")
    state += f" until {show.clock(until)}" if until else ""
    since = show.clock(each["since_us"]) if each["since_us"] else ""
    due = show.clock(each["due_us"]) if each["due_us"] else ""
    return each["rig"], each["key"], state, each["priority"], since, due, each["by"], each["note"]


def _left(place: Place, rig: str | None) -> list[dict[str, Any]]:
    """Return the alarms as the journal has them for a restart."""
    from ashibar.replay.source import rigs  # noqa: PLC0415 - --help stays quick
    from ashibar.service.alarms import as_left  # noqa: PLC0415

    found = []
    with place.reader() as reader:
        for name in rigs(reader) if rig is None else [rig]:
            found += as_left(reader, name, time.time_ns() // 1000)
    return found


@click.command()
@click.argument("key")
@RIG
@signed
@click.option("--note", help="What is to be said.")
@placed
def ack(*, place: Place, key: str, **given: Any) -> None:
    """Acknowledge the alarm KEY, such as `fall` or `hanger-overload:left-head`."""
    _act(place, key, "acknowledge", given)


@click.group()
def alarm() -> None:
    """Shelve an alarm for a while, take it out of service, and back."""


@alarm.command()
@click.argument("key")
@RIG
@signed
@NOTE
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), required=True, help="For so long.")
@placed
def shelve(*, place: Place, key: str, minutes: float, **given: Any) -> None:
    """Put the alarm KEY aside for a limited time."""
    _act(place, key, "shelve", given | {"for_s": 60 * minutes})


@alarm.command()
@click.argument("key")
@RIG
@signed
@placed
def unshelve(*, place: Place, key: str, **given: Any) -> None:
    """Take the alarm KEY back before its time."""
    _act(place, key, "unshelve", given)


@alarm.command()
@click.argument("key")
@RIG
@signed
@NOTE
@placed
def remove(*, place: Place, key: str, **given: Any) -> None:
    """Take the alarm KEY out of service."""
    _act(place, key, "remove", given)


@alarm.command()
@click.argument("key")
@RIG
@signed
@placed
def restore(*, place: Place, key: str, **given: Any) -> None:
    """Return the alarm KEY to service."""
    _act(place, key, "restore", given)


def _act(place: Place, key: str, action: str, given: dict[str, Any]) -> None:
    told = place.api().post(f"alarms/{quoted(key)}/{action}", given | {"from": "cli"})
    if place.as_json:
        print_json(told)
    else:
        click.echo(f"{told['key']}: {told['state']}")
