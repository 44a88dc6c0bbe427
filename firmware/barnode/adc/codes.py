"""What stands in place of a count that must not be taken for one: the codes of docs/protocol.md. And the
range of counts."""

from micropython import const

NOT_READY = const(-0x800001)
DESYNC = const(-0x800002)
SATURATED_HIGH = const(-0x800003)
SATURATED_LOW = const(-0x800004)
ABSENT = const(-0x800005)

COUNT_MIN = const(-0x800000)
COUNT_MAX = const(0x7FFFFF)
