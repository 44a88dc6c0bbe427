"""How fast the record is derived again and listed: a year of sessions and one day of frames, made here.

Run by `make bench-replay`. One core; prints a table of seconds and of ratios to real time, which depend on
the machine less than seconds do.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


import msgspec
from ashibar.cli.sessions import _read
from ashibar.core import chain, session
from ashibar.core.bodyweight import BodyWeight
from ashibar.core.session import End, Loaded, SessionRules, SessionState, Start, Terms
from ashibar.core.settings import Settings, stored
from ashibar.io.journal import Batch, Journal, SafetyReader, safety
from ashibar.io.journal.packed import make_block
from ashibar.replay.run import derive_span, summary_of
from ashibar.replay.verify import SETTLE_US, verify_chain, verify_span
from ashibar.rigs import to_json
from ashibar.service.settings import limits_of
from records import BOOT, DAY_US, HANGERS, KG, NODE, SPACING_US, T0, first_batch, frame_rows, load, params
from rich.console import Console
from rich.table import Table
from studio import RIG, config

HOUR_US = 3_600_000_000
SESSIONS = 1500
A_DAY = 6  # sessions; 250 days a year
WEIGHT = BodyWeight(70 * KG, "scale", 0.3 * KG, T0)
TERMS = Terms(body_weight=WEIGHT, client_limit_n=70 * KG, target_low=0.2, target_high=0.9)


class Year:
    """The tables a daemon would have written in a year, with the frames of the last day."""

    def __init__(self, path, hours):
        self.path = path
        self.journal = Journal(path)
        self.head = None
        self.batch = first_batch(RIG, 0, params(T0))
        self.day_us = T0 + (SESSIONS // A_DAY - 1) * DAY_US
        self.hours = hours
        self.state = SessionState(rig=RIG)
        self.limits = limits_of(config().rigs[0], TERMS, None, live=True)

    def entry(self, kind, who, data, utc_us):
        made, self.head = chain.append(self.head, utc_us=utc_us, kind=kind, who=who, data=data)
        self.batch.statements.append((safety.LOG, [(made.seq, chain.to_line(made).decode())]))

    def set(self, from_us, weight, *, live):
        number, text = stored(Settings(HANGERS, self.limits, SessionRules(), live))
        self.batch.statements += [
            (safety.SETTINGS, [(number, text)]),
            (safety.RIG_SETTINGS, [(RIG, from_us, number)]),
        ]
        self.batch.parameters.append((RIG, from_us, to_json(params(weight))))
        self.entry("settings", "host", {"rig": RIG, "hash": number, "from_us": from_us}, from_us)

    def step(self, event, now_us):
        self.state, records = session.step(SessionRules(), self.state, event, now_us)
        for line in records:
            data = {"rig": RIG, "session": line.session, "from": line.source, "after_us": now_us} | line.data
            self.entry(line.kind, line.by, data, line.at_us)
        made = self.state.session
        row = (made.id, made.rig, made.therapist, made.client_code, made.started_us, made.ended_us,
               msgspec.json.encode(made).decode())  # fmt: skip
        self.batch.statements.append((safety.SESSION, [row]))
        return made

    def write(self):
        self.entry("genesis", "host", {"studio": "bench"}, T0)
        self.set(T0, T0, live=False)
        for number in range(SESSIONS):
            self.one(number)
            if number % 100 == 99:
                self.commit()
        self.frames()

    def one(self, number):
        """A session of an hour and a quarter, with the alarm entries a session has."""
        day, place = divmod(number, A_DAY)
        begin_us = T0 + day * DAY_US + 500_000 + place * (self.hours * HOUR_US // A_DAY)
        end_us = begin_us + self.hours * HOUR_US // A_DAY - 60_000_000
        start = Start(by="Mei", source="page", therapist="Mei", client_code=f"c-{number}", terms=TERMS)
        self.step(start, begin_us)
        self.set(begin_us, begin_us, live=True)
        if self.day_us > begin_us:
            for turn in range(8):
                self.alarm(begin_us + turn * 60_000_000)
        last_us = self.day_us + (end_us - self.day_us) // SPACING_US * SPACING_US
        self.state, _ = session.step(SessionRules(), self.state, Loaded(begin_us, last_us), last_us)
        self.step(End(by="Mei", source="page", notes="calm"), end_us)
        self.set(end_us, end_us, live=False)

    def alarm(self, at_us):
        data = {
            "rig": RIG, "session": self.state.session.id, "key": "client-near-limit", "cause": "raise",
            "before": "normal", "after": "unacknowledged", "priority": "low", "note": "made",
        }  # fmt: skip
        self.entry("alarm", "host", data, at_us)

    def frames(self):
        force_n = load(self.hours * 3600) + 5 * KG  # never at rest: what is not loaded costs nothing
        rows = list(frame_rows(force_n, from_us=self.day_us))
        for first in range(0, len(rows), 20_000):
            self.batch.frames = rows[first : first + 20_000]
            self.commit()

    def pack(self):
        """Put blocks in the place of cold frames, as the daemon's upkeep does."""
        reader = SafetyReader(self.path)
        while block := make_block(reader.connection, NODE, BOOT, self.day_us + 10 * DAY_US):
            self.journal.pack(block)
        reader.close()

    def commit(self):
        self.journal.commit(self.batch)
        self.batch = Batch()


def summarize(year, reader):
    """Give every session figures: those of the last day their own, the others those of its first."""
    rows = reader.sessions(RIG)
    last = [msgspec.json.decode(row.record, type=session.Session) for row in rows[:A_DAY]]
    made = {each.id: msgspec.to_builtins(summary_of(reader, each)) for each in last}
    other = made[last[0].id]
    for row in rows[::-1]:
        figures = made.get(row.id, other)
        year.batch.statements.append((safety.SUMMARY, [(msgspec.json.encode(figures).decode(), row.id)]))
        year.entry(
            "session-summary", "host", {"rig": RIG, "session": row.id, "summary": figures}, year.head.utc_us
        )
    year.commit()


def announce(year, reader, to_us):
    """Put the alarms and incidents of the last day on record, as the daemon would have."""
    derived = derive_span(reader, RIG, year.day_us, to_us + SETTLE_US)
    for line in derived.alarms:
        data = {
            "rig": RIG,
            "session": None,
            **{n: getattr(line, n) for n in ("key", "cause", "before", "after")},
        }
        year.entry("alarm", "host", data | {"priority": line.priority, "note": line.note}, line.at_us)
    for line in derived.records:
        if line.kind.startswith("unattended"):
            year.entry(
                line.kind, "host", {"rig": RIG, "session": None, "from": "host"} | line.data, line.at_us
            )
    for each in derived.incidents:
        plain = msgspec.to_builtins(each)
        year.entry("incident", "host", {"rig": RIG, "session": None} | plain, each.to_us)
    year.commit()


class Took(NamedTuple):
    """Seconds of this process on its core, and on the wall."""

    cpu_s: float
    wall_s: float

    def __add__(self, other):
        return Took(self.cpu_s + other.cpu_s, self.wall_s + other.wall_s)


class Row(NamedTuple):
    """A line of the table; `met` None: nothing is demanded."""

    what: str
    of: str
    took: Took
    demand: str = ""
    met: bool | None = None


def timed(do):
    """Call, and return how long it took and what it gave."""
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    result = do()
    return Took(time.process_time() - cpu_s, time.perf_counter() - wall_s), result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=int, default=8, help="length of the day")
    hours = parser.parse_args().hours
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(measure(Path(folder), hours))


def measure(folder, hours):
    """Make the year, measure, print; 0 if every demand is met."""
    made_took, year = timed(lambda: made(folder / "journal.sqlite", hours))
    reader = SafetyReader(year.path)
    to_us = year.day_us + hours * HOUR_US
    summarize(year, reader)
    announce(year, reader, to_us)
    hot, _ = timed(lambda: derive_span(reader, RIG, year.day_us, to_us))
    year.pack()
    listing, listed = timed(lambda: [_read(row) for row in reader.sessions(RIG)])
    packed, derived = timed(lambda: derive_span(reader, RIG, year.day_us, to_us))
    chained, verdict = timed(lambda: verify_chain(reader))
    span = (year.day_us, to_us)
    verified, report = timed(lambda: verify_span(reader, RIG, *span, now_us=to_us + HOUR_US))
    assert verdict.broken is None, verdict
    assert not report.differences, report.differences[:5]
    assert derived.samples == hours * 3600 * 80
    of = f"{derived.samples} samples x 4 cells"
    rows = [
        Row("list a year", f"{len(listed)} sessions", listing, "under 1 s", listing.cpu_s < 1),
        Row("replay a day, as it came", of, hot, *quicker(hours, hot)),
        Row("replay a day, packed", of, packed, *quicker(hours, packed)),
        Row("verify a day, packed", f"{report.sessions} sessions, {report.alarms} alarm entries", verified),
        Row("verify the log of a year", f"{verdict.sound} entries", chained),
        Row("verify, both", "", verified + chained, "under 5 s", (verified + chained).cpu_s < 5),
    ]
    table = Table("what", "of", "CPU s", "wall s", "demand", "met", title=f"{hours} h a day, one core")
    for row in rows:
        met = "" if row.met is None else "yes" if row.met else "NO"
        table.add_row(row.what, row.of, f"{row.took.cpu_s:.2f}", f"{row.took.wall_s:.2f}", row.demand, met)
    Console(width=120).print(table)
    print(
        f"made in {made_took.wall_s:.0f} s; CPU seconds count, as others may use the machine at the same time"
    )
    return 1 if any(row.met is False for row in rows) else 0


def quicker(hours, took):
    ratio = hours * 3600 / took.cpu_s
    return f"{ratio:.0f} x real time, over 200", ratio > 200


def made(path, hours):
    year = Year(path, hours)
    year.write()
    return year


if __name__ == "__main__":
    main()
