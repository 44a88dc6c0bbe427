"""The host in time of the test's own: the daemon from message to disk, moved on by hand, no broker."""

import time
from pathlib import Path

import ashibar.daemon
import msgspec
import numpy as np
from ashibar.core import chain
from ashibar.core.config import check
from ashibar.daemon import Daemon
from ashibar.io.journal import SafetyReader
from ashibar.io.mqtt import Inbound
from ashibar.pipeline import Pipeline
from bars import KG, Api
from nodes import SPAN_N_PER_COUNT, ZERO_COUNT, about, frame

SAMPLES = 40  # of a frame: a quarter of the turns
FRAME_US = SAMPLES * 12_500
ROOT = "ashibar/v1/quiet-room/bars-1"
NETWORK_US = 20_000  # from the last sample of a frame to its arrival


class VirtualHost:
    """A daemon whose threads of network and pipeline are not started: `turn` and `play` are its time."""

    def __init__(self, document, monkeypatch, start_us=1_790_000_000_000_000):
        self.now_us = start_us
        self.seq, self.boot, self.began_us = 0, 7, start_us
        self.calibration = 1  # the id that frames carry
        self._noise = np.random.default_rng(1)
        monkeypatch.setattr(ashibar.daemon, "_utc_us", lambda: self.now_us)
        self.daemon = daemon = Daemon(check(document))
        self.rig = daemon.side.service.rigs["room-1"]
        self.pipeline = Pipeline(
            daemon.config.studio, daemon.link, daemon.ingest, daemon.committer, daemon.rigs_live,
            feed=daemon.feed, service=daemon.side.service, commands=daemon.side.commands,
            utc_us=lambda: self.now_us,
        )  # fmt: skip
        daemon.committer.start()
        daemon.side.start()
        daemon.server.start()
        self.api = Api(daemon.url)
        self.safety = SafetyReader(Path(document["journal"]["path"]))
        self.say_about(about(self.boot, unix_s=start_us / 1e6 - 60))

    def say_about(self, payload):
        self.turn([("about", payload)])

    def turn(self, messages=()):
        inbound = [
            Inbound(f"{ROOT}/{topic}", payload, 0, 1, False, self.now_us, self.now_us, 0)
            for topic, payload in messages
        ]
        self.pipeline.turn(inbound, time.monotonic())

    def reboot(self, boot):
        """Let the node begin anew under another number."""
        self.boot, self.seq, self.began_us = boot, 0, self.now_us
        self.say_about(about(boot, unix_s=self.began_us / 1e6 - 60))

    def play(self, seconds, load_kg=(0, 0, 0, 0), to_kg=None):
        """Sample for some seconds, under a load of the four hangers, or from one to another."""
        frames = round(seconds * 1e6 / FRAME_US)
        share = np.linspace(0, 1, frames * SAMPLES)[:, None]
        from_n = np.array(load_kg) * KG
        force_n = from_n + share * (np.array(load_kg if to_kg is None else to_kg) * KG - from_n)
        force_n += self._noise.normal(0, 0.3, force_n.shape)
        counts = np.rint(force_n / SPAN_N_PER_COUNT).astype("<i4") + ZERO_COUNT
        for number in range(frames):
            part = counts[number * SAMPLES : (number + 1) * SAMPLES]
            payload = frame(
                self.boot, self.seq, samples=SAMPLES, counts=part.reshape(-1), calibration=self.calibration
            )
            self.seq += 1
            self.now_us = self.began_us + self.seq * FRAME_US + NETWORK_US
            self.turn([("samples", payload)])

    def wait(self, seconds, every_s=0.25):
        """Let time pass without samples."""
        end_us = self.now_us + round(seconds * 1e6)
        while self.now_us < end_us:
            self.now_us += round(every_s * 1e6)
            self.turn()

    def ask(self, request, **fields):
        """Ask as an interface does, and give the answer; raises what is refused."""
        answer = self.daemon.side.desk.ask(msgspec.convert(fields, request))
        self.turn()
        return answer.result(timeout=10)

    def log(self, kind):
        assert self.daemon.committer.flush(5)
        return [chain.from_line(line) for line in self.safety.log_of(kinds=(kind,))]

    def stop(self):
        self.safety.close()
        self.daemon.server.request_stop()
        self.daemon.committer.stop()
        self.daemon.side.stop()
        self.daemon.server.stop()
        self.daemon._reader.close()
