"""A test build of the daemon: `daemon_build.py CONFIG [--clock FILE] [--ack-first]`. Not the product.

`--clock FILE`: the host's clock is off by the seconds in FILE, which may change while it runs: a clock step.
`--ack-first`: acknowledges and says committed before the commit, the mistake a campaign has to find.
"""

import argparse
import contextlib
import sys
import threading
import time
from pathlib import Path


def step_clock(file):
    """Make everything in this process read a clock that is off by what `file` says."""
    real_ns, real = time.time_ns, time.time
    offset_ns = [0]

    def follow():
        while True:
            with contextlib.suppress(OSError, ValueError):  # it is being written
                offset_ns[0] = round(float(file.read_text()) * 1e9)
            time.sleep(0.05)

    offset_ns[0] = round(float(file.read_text()) * 1e9)
    time.time_ns = lambda: real_ns() + offset_ns[0]
    time.time = lambda: real() + offset_ns[0] / 1e9
    threading.Thread(target=follow, daemon=True).start()


def acknowledge_first():
    from ashibar.io.journal import Committer  # noqa: PLC0415 (after the clock)

    commit = Committer.submit

    def submit(self, batch, stored=None, **how):
        if stored is not None:
            stored()
        commit(self, batch, **how)

    Committer.submit = submit


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("config", type=Path)
    parser.add_argument("--clock", type=Path)
    parser.add_argument("--ack-first", action="store_true")
    options = parser.parse_args()
    if options.clock:
        step_clock(options.clock)  # before anything of ours takes a clock
    if options.ack_first:
        acknowledge_first()
    from ashibar.daemon import run
    from ashibar.io.config_file import load

    sys.exit(run(load(options.config)))
