"""A host without broker, page or threads, on a clock of its own: frames and requests in, a journal out."""

from dataclasses import dataclass, field

import msgspec
from ashibar.core import requests
from ashibar.core.config import check
from ashibar.core.session import Session
from ashibar.ingest import Ingest
from ashibar.io.journal import Journal, Reader, SafetyReader
from ashibar.io.mqtt import Inbound
from ashibar.live import LiveRig
from ashibar.replay.run import summary_of
from ashibar.rigs import configured
from ashibar.service import Desk, Service
from ashibar.service.recompute import anew
from ashibar.service.surroundings import Surroundings
from records import BOOT, FRAME_US, HANGERS, PER_FRAME, SPAN, T0, ZERO, payloads

KG = 9.80665
RIG = "room-1"
LATENCY_US = 40_000
TURN_US = 100_000


def config(**sections):
    cells = [
        {
            "hanger": name,
            "node": "bars",
            "channel": i,
            "capacity_kg": 200,
            "class": "0.2%",
            "working_load_kg": 60,
        }
        for i, name in enumerate(HANGERS)
    ]
    return check(
        {"studio": {"name": "test"}, "journal": {"path": "x"}, "rig": [{"name": RIG, "cell": cells}]}
        | sections
    )


@dataclass
class Studio:
    """The host; `deliver` plays frames at the times they arrive, `ask` is what the desk is asked."""

    path: object
    config: object = field(default_factory=config)
    now_us: int = T0

    def __post_init__(self):
        self.journal = Journal(self.path)
        self.journal._connection.execute("PRAGMA synchronous = OFF")  # no power is cut here
        self.reader = SafetyReader(self.path)
        self.rig = self.config.rigs[0]
        self.start()

    def start(self):
        """Begin, or begin again as after a restart."""
        nodes = {cell.node for cell in self.rig.cells}
        self.ingest = Ingest("test", nodes, Reader(self.path))
        self.desk = Desk(lambda: None)
        self.live = LiveRig(RIG, configured(self.config, self.rig, self.now_us))
        around = Surroundings(self.ingest, lambda: 0.5, lambda: None)
        reader = SafetyReader(self.path)
        self.service = Service(
            self.config, [self.live], reader, around, self.desk,
            now_us=self.now_us, follows=None, stored=lambda _head, _ended: None,
        )  # fmt: skip
        self.late = []
        self.service.recompute = self.late.append
        self.work()

    def recompute(self):
        """Do what the thread of late deliveries does."""
        for span in self.late:
            for asked in anew(self.reader, span, self.now_us):
                self.ask(asked)
        self.late.clear()

    def work(self):
        self.service.tick(self.now_us)
        self.service.work(self._commit, self.now_us)

    def _commit(self, batch, then=None):
        self.journal.commit(batch)
        if then is not None:
            then()

    def ask(self, request):
        """Ask, and return the answer."""
        answer = self.desk.ask(request)
        self.work()
        return answer.result(timeout=0)

    def hear(self, topic, payload, node="bars"):
        """Take one message now."""
        message = Inbound(
            f"ashibar/v1/test/{node}/{topic}", payload, 1, 1, False, self.now_us - T0, self.now_us, 1
        )
        intake = self.ingest.take([message])
        self.service.note_late(intake.samples, intake.batch, self.now_us)
        self.journal.commit(intake.batch)
        if intake.samples:
            self.service.hold(self.live.name, intake.samples, self.now_us)
            self.service.look(self.live.name, self.now_us)
        if intake.abouts_changed:
            self.service.nodes_changed(self.now_us)

    def about(self, node="bars", boot=BOOT, names=HANGERS):
        """Let the node say what it is."""
        calibration = {
            "id": 1, "by": "bench", "unix_s": T0 / 1e6 - 3600,
            "cells": [{"zero_count": ZERO, "span_n_per_count": SPAN}] * len(names),
        }  # fmt: skip
        session = {"unix_s": T0 / 1e6, "device_us": 0, "counts": [ZERO] * len(names)}
        told = {
            "firmware": "1", "manifest": None, "board": "virtual", "adc": "hx711", "runtime": "test",
            "boot": boot, "reset_cause": "power on", "rate_hz": 80, "samples_per_frame": PER_FRAME,
            "backlog_frames": 480, "cells": [{"name": name, "capacity_n": 1961.33} for name in names],
            "calibration": calibration,
            "zeros": {"factory": [0] * len(names), "calibration": [ZERO] * len(names), "session": session},
        }  # fmt: skip
        self.hear("about", msgspec.json.encode(told), node)

    def play(self, deliveries, requests_at=(), until_us=None):
        """Deliver (time, payload) and make requests (time, function of this) in order of time."""
        events = [(at_us, 0, n, payload) for n, (at_us, payload) in enumerate(deliveries)]
        events += [(at_us, 1, n, do) for n, (at_us, do) in enumerate(requests_at)]
        for at_us, kind, _, what in sorted(events, key=lambda event: event[:3]):
            while self.now_us + TURN_US < at_us:
                self.now_us += TURN_US
                self.work()
            self.now_us = max(self.now_us, at_us)
            if kind:
                what(self)
            else:
                self.hear("samples", what)
        while until_us is not None and self.now_us + TURN_US <= until_us:
            self.now_us += TURN_US
            self.work()
        self.work()

    def sum_up(self):
        """Do what the thread of summaries does."""
        for row in self.reader.sessions_without_summary():
            made = msgspec.json.decode(row.record, type=Session)
            summary = msgspec.to_builtins(summary_of(self.reader, made))
            self.ask(requests.SummaryMade(by="host", rig=RIG, id=row.id, summary=summary))

    def close(self):
        self.reader.close()
        self.journal.close()


def in_order(force_n):
    """The frames of forces [S, 4], each delivered as soon as it is full."""
    return [(T0 + (seq + 1) * FRAME_US + LATENCY_US, payload) for seq, payload in payloads(force_n)]


def start(client="c-1", **given):
    weight = requests.WeightGiven(value_n=70 * 9.80665, source="scale")
    asked = requests.SessionStart(
        by="Mei", source="cli", therapist="Mei", client_code=client, weight=weight,
        client_limit_n=60 * 9.80665, target_low=0.2, target_high=0.6, **given,
    )  # fmt: skip
    return lambda studio: studio.ask(asked)


def end(notes="calm"):
    def do(studio):
        number = studio.service.rigs[RIG].session.running.id
        studio.ask(requests.SessionEnd(by="Mei", source="cli", id=number, notes=notes))

    return do


def act(key, action="acknowledge", **given):
    asked = requests.AlarmAction(by="Mei", source="cli", key=key, action=action, **given)
    return lambda studio: studio.ask(asked)
