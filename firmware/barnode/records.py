"""Records in the chip's settings memory (NVS), which outlives a wiped file system and a redeploy.

Each record has two places, written by turns and each under a CRC: a torn or spoilt one is refused by name and
the one before it counts. What a record means is not known here. Writing stalls the chip like any flash write.
"""

from micropython import const

from barnode.crc32 import write_crc32

_HEAD = const(6)  # magic and version, then the generation
_LONGEST = const(1600)


class Records:
    """`problems` gains a sentence for each record that was refused."""

    def __init__(self, problems):
        self._problems = problems
        self._nvs = _open()

    def read(self, name):
        """The newest sound payload of a record, or None."""
        best, _, spoilt = self._look(name)
        if spoilt:
            self._problems.append(
                "%s: a whole record in the chip's memory expected, a torn or spoilt one was refused "
                "and %s: set it again"
                % (name, "the one before it counts" if best is not None else "there is none before it")
            )
        return best

    def exists(self, name):
        """Whether there is any record of the name, sound or not."""
        best, _, spoilt = self._look(name)
        return best is not None or spoilt

    def write(self, name, payload):
        """Keep a payload and read it back; ValueError when that fails, the record before it then still
        counts."""
        if self._nvs is None:
            raise ValueError(
                "a chip with settings memory (NVS) expected, this one has none: it cannot be kept"
            )
        if len(payload) + _HEAD + 4 > _LONGEST:
            raise ValueError("at most %d bytes can be kept, %d came" % (_LONGEST - _HEAD - 4, len(payload)))
        _, newest, _ = self._look(name)
        place, generation = (1 - newest[0], newest[1] + 1) if newest else (0, 1)
        blob = _seal(generation, payload)
        try:
            self._nvs.set_blob(name + "-%d" % place, blob)
            self._nvs.commit()
        except OSError as error:
            raise ValueError(
                "the settings memory refused it (%s): erase and flash the chip" % error
            ) from None
        if self._get(name, place) != blob:
            raise ValueError("what was written could not be read back: try again, else exchange the board")

    def forget(self, name):
        """Remove a record."""
        if self._nvs is None:
            return
        for place in (0, 1):
            try:  # noqa: SIM105 - no contextlib on the chip
                self._nvs.erase_key(name + "-%d" % place)
            except OSError:
                pass
        self._nvs.commit()

    def _look(self, name):
        """(newest sound payload or None, (its place, its generation) or None, whether a spoilt one was
        met)."""
        best = newest = None
        spoilt = False
        for place in (0, 1):
            blob = self._get(name, place)
            if blob is None:
                continue
            generation = _generation(blob)
            if generation < 0:
                spoilt = True
            elif newest is None or generation > newest[1]:
                best, newest = blob[_HEAD:-4], (place, generation)
        return best, newest, spoilt

    def _get(self, name, place):
        if self._nvs is None:
            return None
        buf = bytearray(_LONGEST)
        try:
            return bytes(buf[: self._nvs.get_blob(name + "-%d" % place, buf)])
        except OSError:
            return None


def _open():
    try:
        import esp32

        return esp32.NVS("ashibar")
    except (ImportError, AttributeError, OSError):
        return None


def _seal(generation, payload):
    blob = bytearray(_HEAD + len(payload) + 4)
    blob[:_HEAD] = b"R\x01" + generation.to_bytes(4, "little")
    blob[_HEAD:-4] = payload
    write_crc32(blob, len(blob) - 4)
    return bytes(blob)


def _generation(blob):
    """The generation of a whole record, -1 of any other bytes."""
    if len(blob) < _HEAD + 4 or blob[:2] != b"R\x01":
        return -1
    check = bytearray(blob)
    write_crc32(check, len(blob) - 4)
    return int.from_bytes(blob[2:_HEAD], "little") if check == blob else -1
