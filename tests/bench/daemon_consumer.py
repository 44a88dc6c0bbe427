"""The daemon within this process: `daemon_consumer.py CONFIG FRAMES [--profile THREAD FILE]`.

Prints JSON once so many frames are evaluated, committed and acknowledged since the link came up.
"""

import cProfile
import json
import pstats
import resource
import sys
import threading
import time
from pathlib import Path

from ashibar.daemon import Daemon
from ashibar.io.config_file import load

TICKS_PER_S = 100


def thread_cpu_s():
    """Return the processor time of each thread by its name."""
    found = {}
    for thread in threading.enumerate():
        fields = Path(f"/proc/self/task/{thread.native_id}/stat").read_text().rsplit(")", 1)[1].split()
        found[thread.name] = (int(fields[11]) + int(fields[12])) / TICKS_PER_S
    return found


def profiled(owner, profile):
    inner = owner._run
    owner._thread._target = lambda: profile.runcall(inner)


def main():
    wanted = int(sys.argv[2])
    daemon = Daemon(load(Path(sys.argv[1])))
    profile = cProfile.Profile() if "--profile" in sys.argv else None
    if profile is not None:
        profiled({"pipeline": daemon.pipeline, "journal": daemon.committer}[sys.argv[4]], profile)
    daemon.start()
    while not daemon.link.connected:
        time.sleep(0.0005)
    began, cpu_s = time.perf_counter(), time.process_time()
    while daemon.link.stats.acknowledged < wanted and time.perf_counter() < began + 300:
        time.sleep(0.002)
    result = {
        "seconds": time.perf_counter() - began,
        "cpu_s": time.process_time() - cpu_s,
        "frames": daemon.committer.stored_frames,
        "samples_evaluated": daemon.pipeline.samples_evaluated,
        "commits": daemon.committer.commits,
        "peak_rss_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "threads_cpu_s": thread_cpu_s(),
    }
    daemon.stop()
    print(json.dumps(result))
    if profile is not None:
        with Path(sys.argv[5]).open("w") as out:
            pstats.Stats(profile, stream=out).sort_stats("tottime").print_stats(45)


if __name__ == "__main__":
    main()
