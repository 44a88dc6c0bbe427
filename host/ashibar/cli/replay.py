"""`ashibar replay`: what follows from the frames and the settings of their time, derived anew and printed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from ashibar.cli import show
from ashibar.cli.options import REFUSED, WRONG, fail, placed, print_json
from ashibar.cli.verify import stretches

if TYPE_CHECKING:
    from ashibar.cli.options import Place
    from ashibar.cli.verify import Stretch
    from ashibar.core.replay import Derived
    from ashibar.io.journal import SafetyReader


@click.command()
@click.option("--rig", help="This rig only.")
@click.option("--day", metavar="YYYY-MM-DD", help="A day, local time.")
@click.option("--session", metavar="ID", help="One session.")
@placed
def replay(*, place: Place, rig: str | None, day: str | None, session: str | None) -> None:
    """Derive sessions, alarms and incidents again from the frames, and print them.

    It changes nothing; `ashibar verify` compares the same with the record.
    """
    if (day is None) == (session is None):
        fail("expected --day or --session\ncame     neither or both\ndo       name one stretch", WRONG)
    with place.reader() as reader:
        results = [_derived(reader, each) for each in stretches(reader, rig, day, session)]
    if place.as_json:
        print_json([derived for derived, _ in results])
        return
    for derived, took_s in results:
        _print(derived, took_s)


def _derived(reader: SafetyReader, stretch: Stretch) -> tuple[Derived, float]:
    from ashibar.replay.run import NothingRecordedError, derive_span  # noqa: PLC0415 - --help stays quick
    from ashibar.replay.verify import whole_sessions  # noqa: PLC0415

    began_s = time.perf_counter()
    with show.progress() as bar:
        task = bar.add_task(f"{stretch.rig}", total=stretch.to_us - stretch.from_us)
        try:
            derived = derive_span(
                reader,
                stretch.rig,
                *whole_sessions(reader, *stretch),
                lambda reached_us: bar.update(task, completed=reached_us - stretch.from_us),
            )
        except NothingRecordedError as error:
            fail(str(error), REFUSED)
    return derived, time.perf_counter() - began_s


def _print(derived: Derived, took_s: float) -> None:
    click.echo(
        f"{derived.rig}: {derived.samples} samples, {derived.spikes} spikes dropped, {took_s:.1f} s to derive"
    )
    rows = [_session(each) for each in derived.sessions]
    columns = ("session", "began", ">duration", ">mean kg", ">max kg", ">incidents")
    show.table(f"{len(rows)} sessions", columns, rows)
    told = ("time", "alarm", "what", "before", "after", "by", "note")
    lines = [(show.iso(e.at_us), e.key, e.cause, e.before, e.after, e.by, e.note) for e in derived.alarms]
    show.table(f"{len(lines)} alarm entries", told, lines)
    spans = [
        (e.id, show.iso(e.from_us), show.iso(e.to_us), ", ".join(t.key for t in e.triggers))
        for e in derived.incidents
    ]
    show.table(f"{len(spans)} incidents", ("incident", "from", "to", "raised by"), spans)
    for text in derived.refused:
        click.echo(f"not possible in the order of the signal: {text}")


def _session(each: Any) -> tuple[Any, ...]:
    summary = each.summary
    head = (each.session.id, show.clock(each.session.started_us))
    if summary is None:
        return (*head, "running", "", "", "")
    peak_n = None if summary.client_max is None else summary.client_max.value_n
    figures = (
        show.lasting(summary.duration_s),
        show.force(summary.mean_client_n, "kg"),
        show.force(peak_n, "kg"),
    )
    return (*head, *figures, summary.incidents)
