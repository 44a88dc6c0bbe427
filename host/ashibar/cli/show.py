"""How the record looks in a terminal: times with their offset, loads in a unit, tables, progress."""

from __future__ import annotations

import re
import sys
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.progress import Progress

NEWTON_PER: Final = {"kg": 9.80665, "lb": 4.4482216152605, "N": 1.0}
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
DAY_US: Final = 86_400_000_000
AGO: Final = re.compile(r"(\d+)([dhm])")
AGO_US: Final = {"d": DAY_US, "h": 3_600_000_000, "m": 60_000_000}


def iso(utc_us: int | None, *, digits: int = 3, utc: bool = False) -> str:
    """Return a stamp in ISO 8601 with its offset, local or UTC; '' for none."""
    if utc_us is None:
        return ""
    moment = EPOCH + timedelta(microseconds=utc_us)
    shape = {0: "seconds", 3: "milliseconds", 6: "microseconds"}[digits]
    return (moment if utc else moment.astimezone()).isoformat(timespec=shape)


def clock(utc_us: int | None) -> str:
    """Return a stamp for a table: local, to the second, with its offset."""
    return iso(utc_us, digits=0)


def lasting(seconds: float | None) -> str:
    """Return a duration as h:mm:ss; '' for none."""
    if seconds is None:
        return ""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def force(value_n: float | None, unit: str, digits: int = 1) -> str:
    """Return newtons in a unit; a dash where nothing is known."""
    return "-" if value_n is None else f"{value_n / NEWTON_PER[unit]:.{digits}f}"


def percent(fraction: float | None) -> str:
    """Return a fraction in percent; a dash where nothing is known."""
    return "-" if fraction is None else f"{100 * fraction:.0f} %"


class Moment(click.ParamType[int]):
    """A time on the command line, as Unix microseconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read ISO 8601 (local where it has no offset), a date, or how long ago (`7d`, `3h`, `20m`)."""
        if isinstance(value, int):
            return value
        ago = AGO.fullmatch(value)
        if ago:
            now_us = (datetime.now(UTC) - EPOCH) // timedelta(microseconds=1)
            return int(now_us - int(ago[1]) * AGO_US[ago[2]])
        try:
            return (datetime.fromisoformat(value).astimezone() - EPOCH) // timedelta(microseconds=1)
        except ValueError:
            self.fail(
                f"expected a time such as 2026-05-04T10:15:00+02:00, 2026-05-04 or 7d (ago), came {value!r}",
                param,
                ctx,
            )


MOMENT: Final = Moment()


def day_span(text: str) -> tuple[int, int]:
    """Return first and last microsecond of a local day, as 2026-05-04; ValueError for anything else."""
    midnight = datetime.combine(date.fromisoformat(text), time())
    first, after = midnight.astimezone(), (midnight + timedelta(days=1)).astimezone()
    micro = timedelta(microseconds=1)
    return (first - EPOCH) // micro, (after - EPOCH) // micro - 1


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table; columns whose name begins with `>` are numbers."""
    from rich.console import Console  # noqa: PLC0415 - --help stays quick
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    made = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        made.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left")
    for row in rows:
        made.add_row(*(Text(str(cell)) for cell in row))
    console = Console()
    if not console.is_terminal:
        console.width = 200
    console.print(made)


def pairs(title: str, rows: Iterable[tuple[str, Any]]) -> None:
    """Print names and values, one a line."""
    listed = [(name, value) for name, value in rows if value not in ("", None)]
    width = max((len(name) for name, _ in listed), default=0)
    click.echo(title)
    for name, value in listed:
        click.echo(f"  {name:<{width}}  {value}")


def progress() -> Progress:
    """Return a bar on the terminal's error output; nothing is shown where that is no terminal."""
    from rich.console import Console  # noqa: PLC0415 - --help stays quick
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
