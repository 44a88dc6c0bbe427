"""`ashibar verify`: whether the safety log is whole and every figure still follows from the frames."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from ashibar.cli import show
from ashibar.cli.options import REFUSED, WRONG, fail, placed, print_json

if TYPE_CHECKING:
    from ashibar.cli.options import Place
    from ashibar.core.chain import Head, Verdict
    from ashibar.io.journal import SafetyReader
    from ashibar.replay.verify import Report

HEAD: Final = re.compile(r"(\d+):([0-9a-f]{64})")
SHOWN: Final = 20  # differences of a stretch; --json has all


class Stretch(NamedTuple):
    """What is derived again: a rig and a span, both ends included."""

    rig: str
    from_us: int
    to_us: int


def stretches(reader: SafetyReader, rig: str | None, day: str | None, session: str | None) -> list[Stretch]:
    """Return what the options ask for: a session, a day, or every day that has sessions."""
    import json  # noqa: PLC0415 - --help stays quick

    from ashibar.replay.source import rigs  # noqa: PLC0415

    if session is not None:
        row = reader.session(session)
        if row is None:
            fail(f"expected a session\ncame     {session!r}\ndo       `ashibar sessions` lists them", REFUSED)
        told = json.loads(row.record)
        end_us = told["ended_us"] or told["started_us"]
        return [Stretch(told["rig"], told["started_us"] - 1, end_us)]
    names = rigs(reader) if rig is None else [rig]
    if day is not None:
        return [Stretch(name, *_day(day)) for name in names]
    found = []
    for name in names:
        started = [json.loads(row.record)["started_us"] for row in reader.sessions(name)]
        days = sorted({show.iso(us)[:10] for us in started})
        found += [Stretch(name, *_day(each)) for each in days]
    return found


def _day(text: str) -> tuple[int, int]:
    try:
        return show.day_span(text)
    except ValueError:
        fail(f"expected a day such as 2026-05-04\ncame     {text!r}\ndo       correct --day", WRONG)


@click.command()
@click.option("--rig", help="This rig only.")
@click.option("--day", metavar="YYYY-MM-DD", help="Derive this day (local time) again.")
@click.option("--session", metavar="ID", help="Derive this session again.")
@click.option("--log-only", is_flag=True, help="Check the chain only, derive nothing.")
@click.option("--head", "heads", multiple=True, metavar="ENTRY:HASH", help="Of the log, kept elsewhere.")
@click.option(
    "--heads",
    "heads_path",
    type=click.Path(exists=True, path_type=Path),
    help="A file of `ashibar log heads`, or the folder the daemon keeps them in.",
)
@placed
def verify(
    *, place: Place, rig: str | None, day: str | None, session: str | None, log_only: bool,
    heads: tuple[str, ...], heads_path: Path | None,
) -> None:  # fmt: skip
    """Check the safety log and derive sessions, alarms and incidents again from the frames.

    Without --day or --session: every day that has sessions. Exit status 0: all of it holds; 1: it does not,
    and each thing is named.
    """
    from ashibar.replay.verify import verify_chain  # noqa: PLC0415 - --help stays quick

    kept = [_head(text) for text in heads] + _kept(heads_path)
    with place.reader() as reader:
        verdict = verify_chain(reader, kept)
        asked = [] if log_only else stretches(reader, rig, day, session)
        reports = [_report(reader, each) for each in asked]
    if place.as_json:
        print_json({"log": _plain(verdict, len(kept)), "stretches": [_told(each) for each in reports]})
    else:
        _print(verdict, len(kept), reports)
    sound = verdict.broken is None and not any(each.differences for each in reports)
    sys.exit(0 if sound else REFUSED)


def _head(text: str) -> Head:
    from ashibar.core.chain import Head  # noqa: PLC0415 - --help stays quick

    found = HEAD.fullmatch(text)
    if found is None:
        fail(f"expected --head ENTRY:HASH, the hash of 64 hex digits\ncame     {text!r}\n"
             "do       copy both from the file or mail", WRONG)  # fmt: skip
    return Head(seq=int(found[1]), hash=found[2], utc_us=0)


def _kept(path: Path | None) -> list[Head]:
    from ashibar.replay.verify import read_heads  # noqa: PLC0415 - --help stays quick

    if path is None:
        return []
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    try:
        return [head for file in files for head in read_heads(file)]
    except ValueError as error:
        fail(str(error), WRONG)


def _report(reader: SafetyReader, stretch: Stretch) -> Report:
    from ashibar.replay.run import NothingRecordedError  # noqa: PLC0415 - --help stays quick
    from ashibar.replay.verify import verify_span  # noqa: PLC0415

    with show.progress() as bar:
        task = bar.add_task(
            f"{stretch.rig} {show.iso(stretch.from_us)[:10]}", total=stretch.to_us - stretch.from_us
        )
        try:
            return verify_span(
                reader,
                *stretch,
                now_us=time.time_ns() // 1000,
                progress=lambda reached_us: bar.update(task, completed=reached_us - stretch.from_us),
            )
        except NothingRecordedError as error:
            fail(str(error), REFUSED)


def _plain(verdict: Verdict, heads: int) -> dict[str, Any]:
    broken = None if verdict.broken is None else verdict.broken._asdict()
    return {"sound": verdict.sound, "head": verdict.head, "heads_compared": heads, "broken": broken}


def _told(report: Report) -> dict[str, Any]:
    return report._asdict() | {"differences": [each._asdict() for each in report.differences]}


def _print(verdict: Verdict, heads: int, reports: list[Report]) -> None:
    against = f", compared with {heads} head(s) kept elsewhere" if heads else ""
    click.echo(f"log: {verdict.sound} entries hold{against}")
    if verdict.broken is not None:
        click.echo(f"log: BROKEN at entry {verdict.broken.seq}: {verdict.broken.why}")
    for report in reports:
        counts = f"{report.sessions} sessions, {report.alarms} alarm entries, {report.incidents} incidents"
        result = (
            "the same, number by number"
            if not report.differences
            else f"{len(report.differences)} DIFFERENCES"
        )
        click.echo(
            f"{report.rig} {show.iso(report.from_us)[:10]}: {report.samples} samples, {counts}: {result}"
        )
        if report.host_alarms:
            seen = "of what only the host could see (no data, dates, disk, InfluxDB)"
            click.echo(f"  {report.host_alarms} alarm entries {seen} are not derived")
        for each in report.differences[:SHOWN]:
            click.echo(f"  {each}")
        if len(report.differences) > SHOWN:
            click.echo(f"  and {len(report.differences) - SHOWN} more; --json has them")
