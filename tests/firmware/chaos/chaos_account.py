"""Whether every sample a node took is in the journal once, or in a gap that is on record and that the node
itself counted; boot by boot. Starts nothing."""

import struct
from dataclasses import dataclass, field

import msgspec
from ashibar.core.accounting import BootAccount, BootRecord
from ashibar.io.journal import Reader

FRAME_SAMPLES = 6
DECIMATED = 8


@dataclass
class Account:
    """Counts of samples of one or more boots. `unexplained` and `doubled` must be 0."""

    boots: int = 0
    taken: int = 0
    stored: int = 0
    thinned: int = 0  # a decimated frame stands for them
    gaps: int = 0  # in a gap on record, and counted by the node as dropped
    tails: int = 0  # held by a node when its power was cut; that the boot is over is on record
    unheard: int = 0  # of boots that were cut off before the host heard of them
    unexplained: int = 0
    doubled: int = 0
    notes: list = field(default_factory=list)

    def add(self, other):
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def total(self):
        """Samples with a place."""
        return self.stored + self.thinned + self.gaps + self.tails + self.unexplained

    @property
    def good(self):
        return not (self.unexplained or self.doubled)

    def row(self):
        return " | ".join(str(value) for value in vars(self).values() if isinstance(value, int))


HEADER = (
    "boots | samples taken | stored | thinned out | in counted gaps | held when the power was cut | "
    "of boots never heard of | unexplained | doubled"
)


def read_taken(folder, name):
    """Return what the boots of a node counted: boot -> (taken, dropped samples, frames let go, decimated)."""
    found = {}
    for path in folder.glob(f"{name}-*"):
        data = path.read_bytes()
        found[int(path.name.rsplit("-", 1)[1])] = struct.unpack("<4I", data) if len(data) == 16 else (0,) * 4
    return found


def judge(journal, folder, name, last_boot):
    """Return the account of a node over all its boots; `last_boot` was stopped cleanly and has no tail."""
    reader = Reader(journal)
    try:
        number = {row[1]: row[0] for row in reader.nodes()}.get(name)
        whole = Account()
        for boot, counted in read_taken(folder, name).items():
            whole.add(_judge_boot(reader, number, boot, counted, final=boot == last_boot))
        return whole
    finally:
        reader.close()


def _judge_boot(reader, number, boot, counted, *, final):
    taken, dropped_samples, let_go, _ = counted
    account = Account(boots=1, taken=taken)
    row = reader.boot(number, boot)
    if row is None:
        account.unexplained, account.unheard = (taken, 0) if final else (0, taken)
        return account
    record = msgspec.json.decode(row.counts, type=BootRecord)
    ended = record.ended and not final
    carried = _walk(account, [each.row for each in reader.frames_of(number, boot)], _counted(record, ended))
    account.thinned += min(taken - account.total(), carried)
    _expect_counted(account, dropped_samples + let_go * FRAME_SAMPLES, ended)
    if ended:
        account.tails += taken - account.total()
    else:
        account.unexplained += abs(taken - account.total())
    if not account.good:
        account.notes.append(
            f"boot {boot}: {taken} taken, {dropped_samples} dropped, {let_go} frames let go, over: {ended}; "
            f"{account.unexplained} unexplained, {account.doubled} doubled, {account.gaps} in gaps"
        )
    return account


def _counted(record, ended):
    """Return the sequences in gaps of the host's account; while a boot goes on, what is pending is none."""
    gaps = BootAccount(record.node, record.boot, record).gaps()
    return {
        seq
        for gap in gaps
        if gap.to_seq is not None and (ended or gap.reason != "pending")
        for seq in range(gap.from_seq, gap.to_seq + 1)
    }


def _expect_counted(account, counted, ended):
    """The node counts what it gives up: what else is in gaps it held when power was cut, or is unknown."""
    beyond = max(0, account.gaps - counted)
    account.gaps -= beyond
    if ended:
        account.tails += beyond
    else:
        account.unexplained += beyond


def _walk(account, frames, lost):
    """Enter frames in order of sequence; what lies between two of them is thinned out, or in a gap, or
    missing."""
    seq = index = carried = 0  # `carried`: samples the frame before stands for without having them
    for frame in frames:
        if frame.seq < seq or frame.sample_index < index:
            account.doubled += frame.samples
            continue
        between = frame.sample_index - index
        thinned = min(between, carried)
        account.thinned += thinned
        if frame.seq > seq and all(each in lost for each in range(seq, frame.seq)):
            account.gaps += between - thinned
        else:
            account.unexplained += between - thinned
        account.stored += frame.samples
        sequences = 1 << (frame.flags >> 4) if frame.flags & DECIMATED else 1
        carried = sequences * FRAME_SAMPLES - frame.samples if sequences > 1 else 0
        seq = frame.seq + sequences
        index = frame.sample_index + frame.samples
    return carried
