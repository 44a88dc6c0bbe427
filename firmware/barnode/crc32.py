"""CRC-32 (IEEE 802.3, as in zlib) written behind the bytes it covers: machine code where the chip has it,
else plain."""

try:
    from barnode.crc32_viper import write_crc32
except (
    ImportError,
    SyntaxError,
    ValueError,
    AttributeError,
    NameError,
):  # no native code here: WebAssembly, CPython
    from barnode.crc32_plain import write_crc32

__all__ = ("write_crc32",)
