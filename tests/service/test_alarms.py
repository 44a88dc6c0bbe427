"""Alarms, incidents and restarts on the running chain; latency is a real node's, in its board's time."""

import json
import threading
import time
import urllib.request

import numpy as np
import pytest
from ashibar.core import chain
from ashibar.core.trace import Trace
from ashibar.node import VirtualNode
from bars import KG
from servers import wait_until

HANGERS = ("left-head", "left-foot", "right-head", "right-foot")
BUDGET_S = 0.150
QUIET_S = (
    0.020  # kept waiting longer than this while an alarm was on its way, the machine is what is measured
)
QUIET_EVENTS = 2
FALL_ON_DELAY_S, OVER_ON_DELAY_S = 0.0, 0.3


class Page(threading.Thread):
    """A page of the test's own: when each alarm was first listed as raised, by the wall clock."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.raised = {}
        self.stalls = Stalls()
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


class Stalls(threading.Thread):
    """How long this machine kept a thread waiting that wanted nothing but to wake every 2 ms.

    What others take of a shared machine is no latency of the chain; on a quiet one it is next to nothing.
    """

    PERIOD_S = 0.002

    def __init__(self):
        super().__init__(daemon=True)
        self.late = []  # (unix seconds, seconds too late)
        self.stopping = threading.Event()
        self.start()

    def run(self):
        before = time.monotonic()
        while not self.stopping.wait(self.PERIOD_S):
            now = time.monotonic()
            self.late.append((time.time(), now - before - self.PERIOD_S))
            before = now

    def between(self, from_s, to_s):
        return sum(late for at, late in self.late if from_s <= at - late and at <= to_s)


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
    """Return the time from each force to its alarm on the page, and what of it the machine took."""
    forces = start_s + np.array(times_s)
    raised = [min((at for at in page.raised.get(key, []) if at > force), default=np.inf) for force in forces]
    stalled = [page.stalls.between(a, b) for a, b in zip(forces, raised, strict=True)]
    return np.array(raised) - forces, np.array(stalled)


@pytest.mark.alone
def test_a_fall_is_raised_within_150_ms_of_the_force(host, mosquitto, tmp_path):
    times_s = [1.5 + 2.763 * number for number in range(4)]  # anywhere within a frame
    page, start_s = played(host, mosquitto, tmp_path, steps(times_s, [0] * 4, [11.0, 11.0, 10.0, 10.0]))
    check(latencies_s(page, "fall", times_s, start_s), FALL_ON_DELAY_S, "fall")


def check(found, delay_s, what):
    taken_s, stalled_s = found[0] - delay_s, found[1]
    print(f"{what}: force to page, ms over its on-delay: {(taken_s * 1000).round()}", end=" ")
    print(f"of which this machine was busy elsewhere: {(stalled_s * 1000).round()}")
    in_time = taken_s <= BUDGET_S
    excused = ~in_time & (stalled_s > QUIET_S)
    if excused.any() and in_time.sum() < QUIET_EVENTS:
        pytest.skip(f"this machine was busy elsewhere for {stalled_s.round(3)} s: no latency can be measured")
    assert (in_time | excused).all()


@pytest.mark.alone
def test_over_limit_is_raised_within_its_delay_and_150_ms(host, mosquitto, tmp_path):
    host.api.post("sessions", by="Mei", therapist="Mei", client_code="A-17")
    times_s = [1.5 + 3.263 * number for number in range(3)]
    trace = steps(times_s, [5.0, 5.0, 5.0, 5.0], [2.0, 2.0, 2.0, 2.0])
    page, start_s = played(host, mosquitto, tmp_path, trace)
    check(latencies_s(page, "client-over-limit", times_s, start_s), OVER_ON_DELAY_S, "over limit")


def state(host, key):
    return host.api.alarm(key)["state"]


def test_a_dead_cell_puts_its_alarms_into_error_and_raises_its_own(host, bars):
    wait_until(lambda: state(host, "fall") == "normal", "the alarms to be evaluated")
    bars.dead = 1
    wait_until(lambda: state(host, "cell-fault:left-foot") == "unacknowledged", "the cell's alarm")
    wait_until(lambda: state(host, "fall") == "error", "the alarm that cannot be evaluated")
    assert state(host, "hanger-overload:left-head") == "normal"
    bars.dead = None
    wait_until(lambda: state(host, "fall") == "normal", "the alarm to be evaluated again")


def test_silence_in_a_session_is_an_alarm_of_the_host(host, bars):
    host.api.post("sessions", by="Mei", therapist="Mei", client_code="A-17")
    bars.silent = True
    wait_until(lambda: state(host, "no-data") == "unacknowledged", "the alarm", within_s=3)
    wait_until(lambda: host.feed.snapshot("room-1")["alarm_level"] == "high", "the level")
    bars.silent = False
    wait_until(lambda: state(host, "no-data") == "returned-unacknowledged", "its end")


def test_an_overloaded_hanger_stays_latched_until_a_named_person_inspected_it(host, bars):
    key = "hanger-overload:right-head"
    bars.load_kg = [0, 0, 70, 0]
    wait_until(lambda: state(host, key) == "unacknowledged", "the overload")
    due = int((time.time() + 86_400 * 365) * 1e6)
    found = {"due_us": due, "passed": True, "finding": "anchor and cell sound"}
    status, words = host.api.refused("inspections", by="R. Smith", subject="right-head", **found)
    assert (status, key in words["came"]) == (409, True)
    bars.load_kg = [0, 0, 0, 0]
    host.api.post(f"alarms/{key}/acknowledge", by="Mei")
    time.sleep(1.0)
    assert host.api.alarm(key)["latched"]
    assert host.api.refused("inspections", by="", subject="right-head", **found)[0] == 409
    host.api.post("inspections", by="R. Smith", subject="right-head", **found | {"passed": False})
    assert host.api.alarm(key)["latched"]
    host.api.post("inspections", by="R. Smith", subject="right-head", **found)
    assert (state(host, key), host.api.alarm(key)["latched"]) == ("normal", False)
    assert {entry["who"] for entry in host.api.log("inspection")} == {"R. Smith"}


def test_a_shelf_is_limited_and_says_who_and_when(host):
    key = "inspection-due"
    wait_until(lambda: state(host, key) == "unacknowledged", "an alarm that may be shelved")
    status, words = host.api.refused(f"alarms/{key}/shelve", by="Mei", note="ordered", for_s=90_000)
    assert (status, "86400 s" in words["expected"]) == (409, True)
    shelved = host.api.post(f"alarms/{key}/shelve", by="Mei", note="ordered", for_s=1.5)
    assert (shelved["state"], shelved["by"], shelved["note"]) == ("shelved", "Mei", "ordered")
    wait_until(lambda: state(host, key) == "unacknowledged", "the end of the shelf", within_s=4)
    assert host.api.refused("alarms/fall/shelve", by="Mei", note="x", for_s=5)[0] == 409
    assert host.api.refused("alarms/falls/acknowledge", by="Mei")[0] == 404


def test_every_action_of_these_is_in_a_chain_that_holds_and_cannot_be_changed(host):
    test_a_shelf_is_limited_and_says_who_and_when(host)
    verdict = chain.verify(host.safety.log_lines())
    assert (verdict.broken, verdict.sound) == (None, len(host.safety.log_lines()))
    writer = host.journal._connection
    for sql in ("UPDATE safety_log SET line = line", "DELETE FROM safety_log"):
        with pytest.raises(Exception, match="append-only"):
            writer.execute(sql)
    with pytest.raises(Exception, match="append-only"):
        writer.execute(
            "INSERT OR REPLACE INTO safety_log (seq, line) SELECT seq, line FROM safety_log LIMIT 1"
        )
