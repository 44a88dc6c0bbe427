"""CRC-32 in machine code, four bits at a time: no allocation, no integer wider than a register."""

from array import array

import micropython

_POLYNOMIAL = 0xEDB88320


def _nibbles():
    table = array("I")
    for value in range(16):
        for _ in range(4):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _nibbles()


@micropython.viper
def _write(buf: ptr8, n: int, table: ptr32):  # noqa: F821 - types of viper
    crc = -1
    i = 0
    while i < n:
        crc = crc ^ int(buf[i])
        # the mask makes the shift a logical one, whatever the register's width
        crc = ((crc >> 4) & 0x0FFFFFFF) ^ int(table[crc & 15])
        crc = ((crc >> 4) & 0x0FFFFFFF) ^ int(table[crc & 15])
        i += 1
    crc = -1 - crc
    buf[n] = crc & 255
    buf[n + 1] = (crc >> 8) & 255
    buf[n + 2] = (crc >> 16) & 255
    buf[n + 3] = (crc >> 24) & 255


def write_crc32(buf, n):
    """Write the CRC-32 of buf[0:n] into buf[n:n+4], little-endian."""
    _write(buf, n, _TABLE)
