"""CRC-32 by the interpreter's own library; its result is a big int on the chip, so not used there."""

import binascii
import struct


def write_crc32(buf, n):
    """Write the CRC-32 of buf[0:n] into buf[n:n+4], little-endian."""
    struct.pack_into("<I", buf, n, binascii.crc32(memoryview(buf)[:n]) & 0xFFFFFFFF)
