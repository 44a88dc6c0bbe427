"""What of the chip outlives a reset but not a power cut: the memory of its clock, and why it was reset.

Kept in a file of the host, for each start is a process of its own; without a file it lives as long as that.
"""

import binascii
import json

POWER_ON = 1


class Rtc:
    """`memory` is bytes, `cause` what machine.reset_cause() says."""

    def __init__(self, file):
        self._file = file
        self.memory = b""
        self.cause = POWER_ON
        if file is None:
            return
        try:
            with open(file) as stream:
                kept = json.load(stream)
        except (OSError, ValueError):
            return
        self.cause = kept["cause"]
        if self.cause != POWER_ON:
            self.memory = binascii.unhexlify(kept["memory"])
        self._write(POWER_ON)

    def write(self, data):
        """Replace the memory."""
        self.memory = bytes(data)
        self._write(POWER_ON)

    def reset(self, cause):
        """The chip is about to restart: what it will say of why."""
        self._write(cause)

    def _write(self, cause):
        if self._file is not None:
            with open(self._file, "w") as stream:
                json.dump({"memory": binascii.hexlify(self.memory).decode(), "cause": cause}, stream)
