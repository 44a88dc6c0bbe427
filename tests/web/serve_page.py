"""A program for the tests: the real feed, application and server, fed at 10 Hz as told on stdin.

First line out: the port. Each line in: a JSON object whose keys replace those of the state,
`{"running": false}` stops the source, `{"client_kg": 61.5}` changes the figure, `{"stop": true}` ends it all
and prints the seconds it took.
"""

import json
import math
import sys
import threading
import time

import numpy as np
from ashibar.core.accounting import Accounting, FrameColumns
from ashibar.web.app import create_app
from ashibar.web.feed import Feed
from ashibar.web.server import Server

KG = 9.80665
REASONS = {
    "fault": ("left-head does not answer.", "Check the plug and cable of this cell."),
    "stale": ("No data from the bars.", "Check the power and the network of the bars' box."),
    "no body weight": ("Your body weight is not known.", "Weigh yourself, or type your weight in."),
    "not zeroed": ("The bars are not zeroed.", "Take your hands off the bars and press Zero."),
}


class Status:
    """A daemon that has two rigs and is ready or not."""

    def __init__(self, state):
        self.state = state

    def accounting(self):
        """Two frames of ten samples each came, the one between them did not."""
        account = Accounting()
        columns = {"seq": [0, 2], "sample_index": [0, 20], "samples": [10, 10], "decimated": [False, False]}
        times = {"first_utc_us": [0, 250_000], "last_utc_us": [112_500, 362_500]}
        arrays = {name: np.array(values) for name, values in (columns | times).items()}
        account.boot("node-1", 7).fold(FrameColumns(**arrays))
        return account.summary()

    def health(self):
        return {"status": "ok"}

    def ready(self):
        reasons = self.state["not_ready"]
        return not reasons, reasons

    def rigs(self):
        return ["room-1", "room-2"]

    def nodes(self):
        return [{"name": "node-1", "state": "online"}]

    def figure(self, rig):
        return figure(self.state, 0.0) if rig == "room-1" else None


def reading(kg, u_kg, unit="kg", step=0.5):
    text = f"{round(kg / step) * step:.1f}"
    return {"value_n": kg * KG, "u_n": u_kg * KG, "text": text, "u_text": f"{u_kg:.1f}", "unit": unit}


def figure(state, elapsed_s):
    """One figure of the state; with `swing_kg` the load follows a slow wave."""
    kg = state["client_kg"] + state["swing_kg"] * math.sin(elapsed_s * state["pace"])
    validity = state["validity"]
    left, right = (state["weight_kg"] - kg) * 0.6, (state["weight_kg"] - kg) * 0.4
    reason, remedy = REASONS.get(validity, ("", ""))
    shown = validity in ("valid", "motion", "calibration overdue")
    return {
        "sample_utc_us": int(time.time() * 1e6) - 60_000,
        "age_s": 0.06,
        "validity": validity,
        "reason": reason,
        "remedy": remedy,
        "flags": state["flags"],
        "client": reading(kg, 1.5) if shown else None,
        "bar": reading(state["weight_kg"] - kg, 1.0),
        "fraction": kg / state["weight_kg"] if shown else None,
        "body_weight": reading(state["weight_kg"], 0.6),
        "motion": state["motion"],
        "hands_off": state["hands_off"],
        "band": None,
        "left": reading(left, 0.8) if shown else None,
        "right": reading(right, 0.8) if shown else None,
        "hangers": [{"name": "left-head", "force": reading(left / 2, 0.5), "state": "ok"}],
        "peak": None,
        "spikes_dropped": 0,
    }


def publish(feed, state, stop):
    began = time.monotonic()
    if state["history"]:
        now_ms = time.time() * 1000
        past = [figure(state, t / 10) for t in range(-600, 0)]
        points = [
            [now_ms + t * 100, f["client"]["value_n"], f["client"]["u_n"]]
            for t, f in zip(range(-600, 0), past, strict=True)
        ]
        feed.publish({"rig": "room-1", "figure": past[-1], "trend": points, "newest": {}})
    while not stop.wait(0.1):
        if not state["running"]:
            continue
        newest = figure(state, time.monotonic() - began)
        client = newest["client"]
        point = [time.time() * 1000, client and client["value_n"], client and client["u_n"]]
        envelope = {
            "rig": "room-1",
            "figure": newest,
            "trend": [point],
            "newest": {"node-1": {"boot": 7, "index": 1}},
        }
        for name in ("limits", "alarms", "alarm_level", "session"):
            if state[name]:
                envelope[name] = state[name]
        feed.publish(envelope)


def main():
    state = {
        "running": True, "history": False, "validity": "valid", "flags": [], "motion": False,
        "hands_off": False, "client_kg": 38.5, "swing_kg": 0.0, "pace": 1.0, "weight_kg": 68.0,
        "limits": None, "alarms": None, "alarm_level": None, "session": None, "not_ready": [],
    }  # fmt: skip
    options = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
    port = options.pop("port", 0)
    state.update(options)
    feed, stop = Feed(), threading.Event()
    server = Server(create_app(feed, Status(state)), feed, port=port)
    server.start()
    source = threading.Thread(target=publish, args=(feed, state, stop), daemon=True)
    source.start()
    print(server.port, flush=True)
    for line in sys.stdin:
        state.update(json.loads(line))
        if state.get("stop"):
            break
        print("ok", flush=True)
    stop.set()
    source.join()
    began = time.monotonic()
    server.stop()
    print(time.monotonic() - began, flush=True)


if __name__ == "__main__":
    main()
