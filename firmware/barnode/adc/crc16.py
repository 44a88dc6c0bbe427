"""CRC-16/CCITT (polynomial 0x1021, seed 0xFFFF) of the first bytes of a buffer, in ints of 16 bits."""


def crc16(buf, n):
    """The checksum of buf[0:n]. No table and no allocation: a byte's eight steps folded into three shifts."""
    crc = 0xFFFF
    for i in range(n):
        step = crc >> 8 ^ buf[i]
        step ^= step >> 4
        crc = (crc << 8 ^ step << 12 ^ step << 5 ^ step) & 0xFFFF
    return crc
