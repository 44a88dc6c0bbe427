"""When a boot has lasted so long that the node is to start again, at an hour that harms nobody: the index of
samples is a u32, which 80 samples a second use up in 621 days. Whether it may be now is not judged here."""

from micropython import const

DUE_HIGH = const(0x8000)  # of the index's high half: 2**31 samples, half of what there is
DUE_S = const(180 * 86400)


def due(taken_high, uptime_s):
    """Whether the numbers of this boot are used up by half, or it has lasted half a year."""
    return taken_high >= DUE_HIGH or uptime_s >= DUE_S
