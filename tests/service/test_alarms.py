"""Alarms, incidents and restarts on the running chain; latency is that of a real node, in the board's time."""

import json
import threading
import time
import urllib.request

import numpy as np
import pytest
from ashibar.core import chain, incident
from ashibar.core.trace import Trace
from ashibar.node import VirtualNode
from bars import KG, Api
from servers import wait_until

HANGERS = ("left-head", "left-foot", "right-head", "right-foot")
BUDGET_S = 0.150
FALL_ON_DELAY_S, OVER_ON_DELAY_S = 0.0, 0.3


class Page(threading.Thread):
    """A page of the test's own: when each alarm was first listed as raised, by the wall clock."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.raised = {}
        self._api = Api(url)
        self._stream = urllib.request.urlopen(url + "events", timeout=30)
        self.start()

    def run(self):
        standing = set()
        for line in self._stream:
            if not line.startswith(b"data:"):
                continue
            now_s, envelope = time.time(), json.loads(line[5:])
            listed = {
                alarm["key"] for alarm in envelope.get("alarms", []) if alarm["state"] == "unacknowledged"
            }
            for key in listed - standing:
                self.raised.setdefault(key, []).append(now_s)
            standing = listed


def steps(times_s, low_kg, high_kg):
    """Return a trace that steps from low to high at each time, within 2 ms, and back a second later."""
    points, forces = [0.0], [low_kg]
    for at_s in times_s:
        points += [at_s, at_s + 0.002, at_s + 1.0, at_s + 1.2]
        forces += [low_kg, high_kg, high_kg, low_kg]
    return Trace(np.array(points), np.array(forces) * KG, HANGERS)


def played(host, mosquitto, tmp_path, trace, lead_s=2.5):
    """Play a trace on a virtual node to its end; return the page that watched, and when the trace began."""
    page, start_s = Page(host.url), time.time() + lead_s
    node = VirtualNode(
        "127.0.0.1", mosquitto.port, "quiet-room", "bars-1", trace,
        work_dir=tmp_path / "node", start_unix_s=start_s,
    )  # fmt: skip
    node.start()
    try:
        node.wait_boot()
        end_s = start_s + float(trace.times_s[-1]) + 0.3
        wait_until(lambda: time.time() > end_s, "the end of the trace", within_s=end_s - time.time() + 5)
    finally:
        node.stop()
    return page, start_s


def latencies_s(page, key, times_s, start_s):
    """Return the time from each force to its alarm on the page."""
    raised = page.raised.get(key, [])
    assert len(raised) == len(times_s), (key, raised, start_s)
    return np.array(raised) - start_s - np.array(times_s)


def test_a_fall_is_raised_within_150_ms_of_the_force(host, mosquitto, tmp_path, record_property):
    times_s = [3.0 + 2.763 * number for number in range(5)]  # anywhere within a frame
    page, start_s = played(host, mosquitto, tmp_path, steps(times_s, [0] * 4, [11.0, 11.0, 10.0, 10.0]))
    found = latencies_s(page, "fall", times_s, start_s) - FALL_ON_DELAY_S
    record_property("latency_ms", (found * 1000).round().tolist())
    print("fall, force to page, ms over its on-delay:", (found * 1000).round())
    assert found.max() <= BUDGET_S


def test_over_limit_is_raised_within_its_delay_and_150_ms(host, mosquitto, tmp_path):
    host.api.post("sessions", by="Mei", therapist="Mei", client_code="A-17")
    times_s = [3.0 + 3.263 * number for number in range(4)]
    trace = steps(times_s, [5.0, 5.0, 5.0, 5.0], [2.0, 2.0, 2.0, 2.0])
    page, start_s = played(host, mosquitto, tmp_path, trace)
    found = latencies_s(page, "client-over-limit", times_s, start_s)[0:] - OVER_ON_DELAY_S
    print("over limit, force to page, ms over its on-delay:", (found * 1000).round())
    assert found.max() <= BUDGET_S
