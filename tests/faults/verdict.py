"""Whether a run lost or doubled anything: taken against the journal, the journal against InfluxDB."""

import struct
from collections import Counter
from dataclasses import dataclass, field

import msgspec
import numpy as np
from ashibar.boots import DAMAGE_REASON
from ashibar.core.accounting import BootAccount, BootRecord
from ashibar.core.frame import decode_many
from ashibar.core.stamps import sample_utc_us
from ashibar.io.journal import Reader
from ashibar.point_lines import MEASUREMENT
from nodes import frame


@dataclass
class Verdict:
    """Counts of samples, except where the name says so. `unexplained` and all that is wrong must be 0."""

    taken: int = 0
    stored: int = 0
    doubled: int = 0
    altered: int = 0
    on_record: int = 0  # lost, and in a gap on record
    died_with_node: int = 0  # lost by a killed broker, and their node was killed before it sent them again
    tails: int = 0  # taken by a boot that was killed, after its last frame stored; its end is on record
    moved_aside: int = 0  # stored, then on record as not readable in a journal that was damaged
    unexplained: int = 0
    points: int = 0
    points_missing: int = 0
    points_extra: int = 0
    points_of_moved: int = 0
    lines_aside: int = 0  # lines InfluxDB refused, kept on record with its words; some are written later
    points_rejected: int = 0  # not in InfluxDB, for their lines are among these
    rewritten: int = 0  # written again with the same stamp: the same points
    notes: list = field(default_factory=list)

    @property
    def lost(self):
        return self.unexplained + self.points_missing

    @property
    def good(self):
        return not (self.lost or self.doubled or self.altered or self.points_extra)

    def row(self):
        return (
            f"{self.taken} | {self.stored} | {self.on_record} | {self.died_with_node} | {self.tails} | "
            f"{self.moved_aside} | {self.unexplained} | {self.doubled + self.altered} | "
            f"{self.points} | {self.points_missing} | {self.points_rejected} | "
            f"{self.points_extra} | {self.rewritten}"
        )


HEADER = (
    "taken | stored | gap on record | held by a node that was killed | its tail | "
    "lost with a damaged page, on record | lost | doubled | "
    "points | points missing | refused, kept aside | points extra | written again"
)


def taken_frames(directory):
    """Return what the synthetic nodes counted: (node, boot) -> frames."""
    found = {}
    for path in directory.glob("*.taken"):
        name, boot = path.stem.rsplit("-", 1)
        found[name, int(boot)] = struct.unpack("<Q", path.read_bytes())[0]
    return found


def judge(journal, taken, samples, influx=None, accepted=None):
    """Compare; `taken` is (node, boot) -> frames, None where nobody knows (a real node)."""
    reader = Reader(journal)
    try:
        verdict = Verdict()
        stamps, stored = _stored(reader, verdict, taken, samples)
        gaps, ended, died, damaged = _records(reader)
        for key, count in taken.items():
            if count is not None:
                _judge_boot(verdict, key, count, samples[key[0]], stored, gaps, ended, died, damaged)
        if influx is not None:
            _judge_points(
                verdict, stamps, influx, accepted, _samples_damaged(reader, damaged), _aside(reader)
            )
        return verdict
    finally:
        reader.close()


def _stored(reader, verdict, taken, samples):
    """Return the stamps of each node's samples and the sequences of each boot; compares what was stored."""
    stamps, stored = {}, {}
    for number, name, *_ in reader.nodes():
        parts = []
        for row in reader.boots(number):
            frames = reader.frames_of(number, row.boot)
            key = (name, row.boot)
            seqs = [each.row.seq for each in frames]
            stored[key] = set(seqs)
            verdict.doubled += len(seqs) - len(stored[key])
            verdict.stored += sum(each.row.samples for each in frames)
            parts += [_stamps(frames[at : at + 5000]) for at in range(0, len(frames), 5000)]
            if key in taken and taken[key] is not None:
                verdict.altered += sum(not _as_sent(each, row.boot, samples[name]) for each in frames)
        stamps[name] = np.concatenate(parts) if parts else np.empty(0, np.int64)
    return stamps, stored


def _as_sent(stored, boot, samples):
    """Tell whether the counts of a stored frame are those the synthetic node took."""
    sent = frame(boot, stored.row.seq, samples=samples)
    start = 32 + 2 * samples
    return stored.row.payload[start:-4] == sent[start:-4]


def _stamps(frames):
    decoded = decode_many([each.row.payload for each in frames])
    parts = []
    for group in decoded.groups:
        rows = [frames[row].row for row in group.rows.tolist()]
        first = np.array([row.utc_us for row in rows], np.int64)
        last = np.array([row.utc_last_us for row in rows], np.int64)
        parts.append(sample_utc_us(first, last, group.sample_device_us).reshape(-1))
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def _records(reader):
    """Return what is on record, as (node, boot) -> sequences.

    Gaps; boots whose end is on record; what those took with them; gaps of a damaged journal.
    """
    names = {number: name for number, name, *_ in reader.nodes()}
    gaps, ended, died, damaged = {}, set(), {}, {}
    for node, boot, first, last, reason, _ in reader.gaps():
        where = damaged if reason == DAMAGE_REASON else gaps
        where.setdefault((names[node], boot), set()).update(range(first, last + 1))
    for row in reader.boots():
        record = msgspec.json.decode(row.counts, type=BootRecord)
        if record.ended:  # nobody has what is still missing: the account names it from-to
            key = (names[row.node], row.boot)
            ended.add(key)
            for gap in BootAccount(*key, record).gaps():
                if gap.to_seq is not None:
                    died.setdefault(key, set()).update(range(gap.from_seq, gap.to_seq + 1))
    return gaps, ended, died, damaged


def _samples_damaged(reader, damaged):
    """Return how many samples of each node were in frames that are on record as not readable any more."""
    numbers = {name: number for number, name, *_ in reader.nodes()}
    found = {}
    for (name, boot), seqs in damaged.items():
        most = max((each.row.samples for each in reader.frames_of(numbers[name], boot)), default=10)
        found[name] = found.get(name, 0) + most * len(seqs)
    return found


def _judge_boot(verdict, key, count, samples, stored, gaps, ended, died, damaged):  # noqa: PLR0917
    verdict.taken += count * samples
    have = stored.get(key, set())
    highest = max(have, default=-1)
    missing = set(range(count)) - have
    aside = missing & damaged.get(key, set())
    recorded = missing & gaps.get(key, set()) - aside
    held = missing & died.get(key, set()) - recorded - aside
    tail = {seq for seq in missing - recorded - held - aside if seq > highest} if key in ended else set()
    rest = missing - recorded - held - aside - tail
    verdict.on_record += len(recorded) * samples
    verdict.died_with_node += len(held) * samples
    verdict.tails += len(tail) * samples
    verdict.moved_aside += len(aside) * samples
    verdict.unexplained += len(rest) * samples
    if recorded:
        verdict.notes.append(f"{key}: frames {sorted(recorded)[:10]}.. of {count} on record as lost")
    if held:
        verdict.notes.append(f"{key}: frames {sorted(held)[:10]}.. of {count} were held by a node that died")
    if rest:
        verdict.notes.append(f"{key}: frames {sorted(rest)[:10]}.. of {count} not accounted for")


def _judge_points(verdict, stamps, influx, accepted, damaged, aside):  # noqa: PLR0917
    for number, (name, expected) in enumerate(sorted(stamps.items(), key=lambda each: _order(each[0])), 1):
        rows = influx.query(f'SELECT "validity" FROM "{MEASUREMENT}" WHERE "rig" = \'room-{number}\'')
        times = {row["time"] for row in rows}
        wanted = set(expected.tolist())
        verdict.points += len(times)
        refused = (wanted - times) & aside.get(f"room-{number}", set())
        verdict.points_rejected += len(refused)
        never, same = wanted - times - refused, len(expected) - len(wanted)
        verdict.points_missing += len(never) + same
        if never or same:
            at = sorted(never)[:5]
            verdict.notes.append(
                f"{name}: {len(never)} points never written {at}, {same} under the stamp of another"
            )
        extra = len(times - wanted)
        known = min(extra, damaged.get(name, 0))  # written before the page was damaged
        verdict.points_of_moved += known
        verdict.points_extra += extra - known
    verdict.lines_aside = sum(len(each) for each in aside.values())
    if accepted is not None:
        verdict.rewritten = accepted.get(MEASUREMENT, 0) - verdict.points


def _aside(reader):
    """Return the stamps of the lines of each rig that InfluxDB refused and the journal keeps."""
    found = {}
    for topic, _, _, line in reader.aside():
        if topic == "sink/influx" and line.startswith(MEASUREMENT.encode()):
            rig = line.split(b"rig=", 1)[1].split(b",", 1)[0].split(b" ", 1)[0].decode()
            found.setdefault(rig, set()).add(int(line.rsplit(b" ", 1)[1]))
    return found


def _order(name):
    return int(name.rsplit("-", 1)[1])


def total(verdicts):
    """Add up the counts of several runs."""
    sums = Counter()
    for each in verdicts:
        for name, value in vars(each).items():
            if isinstance(value, int):
                sums[name] += value
    return Verdict(**sums)
