"""The daemon in a time that goes with its samples: `paced_daemon.py CONFIG SECONDS_A_FRAME`. Not the product.

However fast frames come, to it they come at the rate they were taken at: stamps, packing and retention are
those of the hours the samples stand for.
"""

import sys
import time
from pathlib import Path

ROUND_S = 0.5  # of upkeep, in real time


def follow_frames(step_ns):
    """Make every clock of this process stand at the samples it has received."""
    from ashibar.io import mqtt  # noqa: PLC0415 (before anything of ours takes a clock)

    began_ns, began_mono_ns, frames = time.time_ns(), time.monotonic_ns(), [0]
    inbound = mqtt.Inbound

    def counted(topic, payload, mid, qos, *rest):
        frames[0] += qos > 0 and topic.endswith("/samples")
        return inbound(topic, payload, mid, qos, *rest)

    mqtt.Inbound = counted
    time.time_ns = lambda: began_ns + frames[0] * step_ns
    time.time = lambda: time.time_ns() / 1e9
    time.monotonic_ns = lambda: began_mono_ns + frames[0] * step_ns


if __name__ == "__main__":
    follow_frames(round(float(sys.argv[2]) * 1e9))
    from ashibar import upkeep
    from ashibar.daemon import run
    from ashibar.io.config_file import load

    upkeep.ROUND_S = ROUND_S
    sys.exit(run(load(Path(sys.argv[1]))))
