"""The command `set calibration`: a new record checked, kept and put in force, or refused with the reason."""

from barnode import calibration

_FIELDS = ("id", "by", "unix_s", "cells")


class SetCalibration:
    """The command `set calibration`. `loaded()` is why nothing may be written now, or None; `current` the
    record in force; `use(record)` puts a new one in force."""

    def __init__(self, records, channels, loaded, current, use):
        self._records = records
        self._channels = channels
        self._loaded = loaded
        self._current = current
        self._use = use

    async def command(self, request):
        """`{"calibration": {"id": 2, "by": "who", "unix_s": 1790000000, "cells": [{...}]}}`."""
        record = self._checked(request.get("calibration"))
        reason = self._loaded()
        if reason:
            raise ValueError(reason)
        self._records.write(calibration.NAME, calibration.pack(record))
        data = self._records.read(calibration.NAME)
        if data is None:
            raise ValueError("what was written could not be read back: try again, else exchange the board")
        record = calibration.unpack(data)
        self._use(record)
        return {"calibration": record["id"]}

    def _checked(self, given):
        if not calibration.fits(given, self._channels):
            raise ValueError(
                "calibration: " + calibration.FITTING % self._channels + ", something else came: correct it"
            )
        for field in given:
            if field not in _FIELDS:
                raise ValueError(
                    "calibration: one of %s expected, field %s came" % (", ".join(_FIELDS), field)
                )
        by = given.get("by")
        if not isinstance(by, str) or not 1 <= len(by.encode()) <= 60:
            raise ValueError("calibration.by: the name of who calibrated expected, %r came" % (by,))
        if not calibration.whole(given.get("unix_s"), 1600000000, 0xFFFFFFFF):
            raise ValueError(
                "calibration.unix_s: when it was made expected, %r came" % (given.get("unix_s"),)
            )
        current = self._current
        if current is not None and given["id"] <= current["id"]:
            raise ValueError(
                "calibration.id: above %d expected, %d came: a record never changes"
                % (current["id"], given["id"])
            )
        return given
