"""Bars under a hand of the test's own: frames in real time with the load it sets, and the host's API."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request

import numpy as np
from nodes import SPAN_N_PER_COUNT, ZERO_COUNT, TestNode

KG = 9.80665
PERIOD_S = 0.0125
FAULT_CODE = -0x800001  # not ready


class Bars(TestNode):
    """A node that samples by itself, 80 times a second; `load_kg` are the four hangers."""

    def __init__(self, port, *, samples=10, boot=7):
        super().__init__(port, boot=boot)
        self.load_kg = [0.0, 0.0, 0.0, 0.0]
        self.dead = None
        self.silent = False
        self.began_unix_s = time.time()
        self.schedule = []  # (unix seconds from which on, four loads)
        self._samples = samples
        self._stopping = threading.Event()
        self._random = np.random.default_rng(1)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        begin, seq = time.monotonic(), 0
        while not self._stopping.wait(
            max(0.0, begin + (seq + 1) * self._samples * PERIOD_S - time.monotonic())
        ):
            if not self.silent:
                self.send(seq, samples=self._samples, counts=self._counts())
            seq += 1

    def _counts(self):
        forces = np.tile(np.array(self.load_kg) * KG, (self._samples, 1))
        forces += self._random.normal(0, 0.3, forces.shape)
        counts = np.rint(forces / SPAN_N_PER_COUNT).astype("<i4") + ZERO_COUNT
        if self.dead is not None:
            counts[:, self.dead] = FAULT_CODE
        return counts.reshape(-1)

    def stop(self):
        self._stopping.set()
        self._thread.join()
        super().stop()


class Api:
    """The host's REST interface. `refused` gives status and words."""

    def __init__(self, url):
        self.url = url + "api/v1/"

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return json.load(answer)

    def post(self, path, headers=(), **body):
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode(), {"content-type": "application/json", **dict(headers)}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def refused(self, path, headers=(), **body):
        try:
            came = self.post(path, headers, **body)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
        raise AssertionError(f"expected {path} to be refused, came {came}")

    def alarm(self, key):
        return next(alarm for alarm in self.get("alarms") if alarm["key"] == key)

    def log(self, *kinds):
        return self.get("log?kind=" + ",".join(kinds))
