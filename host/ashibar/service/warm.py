"""What a start takes up from where the host was: stored samples that it had not come to, or not recorded.

It reads; the rig's service takes the samples the same way as live ones.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Final, NamedTuple

from ashibar.calibrations import Calibrations
from ashibar.core.settings import stored
from ashibar.replay import script
from ashibar.replay.run import points_of
from ashibar.replay.source import in_force, node_samples
from ashibar.service.alarms import read_kept

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ashibar.core.alarm_conditions import Limits
    from ashibar.core.rig import RigParameters
    from ashibar.core.track import NodeSamples
    from ashibar.ingest import Node
    from ashibar.io.journal import SafetyReader
    from ashibar.io.journal.frames import Stamped
    from ashibar.service.alarms import Kept

# Of samples before those that count: the window of motion with a quarter-second, spikes, a silent node.
LOOK_BACK_US: Final = 3_000_000
MOST_US: Final = 600_000_000  # state is kept every 10 s; only a backlog that was cut off has more than 60 s
MOST_FRAMES: Final = 10_000  # of all rigs: twice what is evaluated at once; takes a tenth of a second


class Moment(NamedTuple):
    """What holds for samples stamped `from_us` or later; `anew`: the kept alarms do not know it yet."""

    from_us: int
    params: RigParameters
    limits: Limits
    live: bool
    anew: bool


class Left(NamedTuple):
    """Where the host was. `moments` begin with what held for the first of `samples`.

    `limits` are those of the kept alarms, `recorded` parameters and settings as last put on record.
    `skipped_us`: up to where the samples are too many to be taken up; then there are none.
    """

    kept: Kept
    limits: Limits
    moments: list[Moment]
    recorded: tuple[str, str]
    samples: list[NodeSamples]
    skipped_us: int | None = None


def left(
    reader: SafetyReader, rig: str, record: str | None, params: RigParameters, nodes: Mapping[str, Node]
) -> Left | None:
    """Return where the host was with a rig, None where there is nothing to go on from, or other cells."""
    kept = None if record is None else read_kept(record)
    if kept is None or kept.memory is None or kept.last_us is None or kept.set_us is None:
        return None
    begin_us = kept.last_us - LOOK_BACK_US
    records = reader.parameters_since(rig, begin_us)
    held = script.settings_of(reader, rig, min(begin_us, kept.set_us))
    history = in_force(records)
    if not history or not held or any(each.params.cells != params.cells for each in history):
        return None
    limits = _at(held, kept.set_us).settings.limits
    moments = []
    for each in points_of(history, held):
        settings = _at(held, each.from_us).settings
        anew = each.from_us > kept.set_us
        moments.append(Moment(each.from_us, each.params, settings.limits, settings.live, anew))
    first = max(sum(1 for _ in takewhile(lambda each: each.from_us <= begin_us, moments)) - 1, 0)
    recorded = (records[-1][1], stored(held[-1].settings)[0])
    samples, skipped_us = _samples(reader, kept.last_us, params, nodes)
    return Left(kept, limits, moments[first:], recorded, samples, skipped_us)


def _at(held: list[script.Set], at_us: int) -> script.Set:
    """Return the settings in force at a moment, the first ones before any."""
    return next((each for each in reversed(held) if each.from_us <= at_us), held[0])


def _samples(
    reader: SafetyReader, last_us: int, params: RigParameters, nodes: Mapping[str, Node]
) -> tuple[list[NodeSamples], int | None]:
    """Return what is stored of the rig from a little before `last_us` on, or up to where it is too much."""
    mine = {nodes[name].id: nodes[name] for name in params.nodes if name in nodes}
    begin_us = last_us - LOOK_BACK_US
    found = reader.frames.received_since(begin_us, MOST_FRAMES)
    cut_off = len(found.seq) >= MOST_FRAMES and int(found.utc_us.min()) > last_us
    frames = _of(found, mine, begin_us)
    if not len(frames.seq):
        return [], None
    newest_us = int(frames.utc_last_us.max())
    if cut_off or newest_us - last_us > MOST_US:
        return [], newest_us
    known = Calibrations(
        {number: node.calibrations for number, node in mine.items()},
        frozenset((number, *each) for number, node in mine.items() for each in node.refused),
    )
    return node_samples(frames, {number: node.name for number, node in mine.items()}, known), None


def _of(found: Stamped, nodes: Mapping[int, Node], begin_us: int) -> Stamped:
    wanted = found.utc_last_us >= begin_us
    for number in set(found.node.tolist()) - set(nodes):
        wanted &= found.node != number
    return found.chosen(wanted)
