"""Whether every sample a node took is in the journal once, or in a gap that is on record and that the node
itself counted; boot by boot. Starts nothing."""

import json
import struct
from dataclasses import dataclass, field

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
    tails: int = 0  # taken by a boot that was cut off, after its last frame; that it was is on record
    unheard: int = 0  # of boots that were cut off before the host heard of them
    unexplained: int = 0
    doubled: int = 0
    notes: list = field(default_factory=list)

    def add(self, other):
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    @property
    def good(self):
        return not (self.unexplained or self.doubled)

    def row(self):
        return " | ".join(str(value) for value in vars(self).values() if isinstance(value, int))


HEADER = (
    "boots | samples taken | stored | thinned out | in counted gaps | tails of boots cut off | "
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
    frames = [each.row for each in reader.frames_of(number, boot)]
    lost = {seq for first, last, _ in reader.gaps_of(number, boot) for seq in range(first, last + 1)}
    carried = _walk(account, frames, lost)
    end = frames[-1].sample_index + frames[-1].samples if frames else 0
    account.thinned += min(taken - end, carried)
    rest = taken - account.stored - account.thinned - account.gaps - account.unexplained
    if not final and json.loads(row.counts)["ended"]:
        account.tails = rest
    else:
        account.unexplained += abs(rest)
    beyond = account.gaps - dropped_samples - let_go * FRAME_SAMPLES
    if beyond > 0:
        account.gaps -= beyond
        account.unexplained += beyond
    if not account.good:
        account.notes.append(
            f"boot {boot}: {taken} taken, {dropped_samples} dropped, {let_go} frames let go; on record up to "
            f"{end}: {account.unexplained} unexplained, {account.doubled} doubled, {account.gaps} in gaps"
        )
    return account


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
