"""Measures the chain from outside: a client of the page's feed, and what it got against the trace played.

It uses the feed as a browser would and the wall clock; it reaches into nothing of the daemon.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec
import numpy as np

from ashibar.core import decoding
from ashibar.core.codes import is_reading
from ashibar.core.frame import decode
from ashibar.core.messages import Calibration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ashibar.core.trace import Trace
    from ashibar.io.journal import Reader

QUIET_RANGE_N: Final = 5.0  # the trace is quiet where its sum stays within this, half a kilogram, ...
QUIET_WINDOW_S: Final = 1.0  # ... for this long before: the span over which motion is judged
QUIET_STEP_S: Final = 0.01
ATTACH_TIMEOUT_S: Final = 5.0
READ_TIMEOUT_S: Final = 2.0  # the feed's heartbeat comes several times within it


@dataclass(frozen=True, slots=True)
class Arrival:
    """One figure as it reached a client: wall time (Unix microseconds), and what it covers."""

    at_us: int
    newest: Mapping[str, int]
    sample_utc_us: int | None
    client_n: float | None


class FeedClient:
    """Attach to `<url>events` as a page does and note when each figure arrives."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(
            parts.hostname or "", parts.port or 80, timeout=READ_TIMEOUT_S
        )
        self._stopping = threading.Event()
        self._attached = threading.Event()
        self.arrivals: list[Arrival] = []
        self.attached_us = 0
        self._thread = threading.Thread(target=self._run, name="feed-client", daemon=True)

    def start(self) -> None:
        """Attach; return once the feed answers. Raises ConnectionError if it does not."""
        self._thread.start()
        if not self._attached.wait(ATTACH_TIMEOUT_S):
            raise ConnectionError(
                f"expected the page's feed to answer within {ATTACH_TIMEOUT_S:g} s, it did not"
            )

    def detach(self) -> None:
        """Take no more arrivals; the thread ends with the next line, or with the server."""
        self._stopping.set()

    def _run(self) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            self._connection.request("GET", "/events", headers={"Accept": "text/event-stream"})
            response = self._connection.getresponse()
            while not self._stopping.is_set():
                line = response.readline()
                at_us = time.time_ns() // 1000
                if not line:
                    break
                if not self._attached.is_set():
                    self.attached_us = at_us
                    self._attached.set()
                self._take(line, at_us)
        self._connection.close()

    def _take(self, line: bytes, at_us: int) -> None:
        if not line.startswith(b"data: "):
            return
        envelope: dict[str, Any] = msgspec.json.decode(line[6:])
        figure = envelope.get("figure")
        if figure is None:
            return
        newest = {name: int(of["index"]) for name, of in (envelope.get("newest") or {}).items()}
        client = figure.get("client")
        self.arrivals.append(
            Arrival(at_us, newest, figure.get("sample_utc_us"), None if client is None else client["value_n"])
        )


def latency_ms(
    arrivals: list[Arrival],
    node: str,
    indices: NDArray[np.int64],
    applied_us: NDArray[np.int64],
    since_us: int,
) -> NDArray[np.float64]:
    """Milliseconds from the moment each sample's force was applied to the first arrival that covers it.

    `indices` and `applied_us` [S]: sample index within the boot and wall time. Those from before `since_us`,
    when the client attached, and samples that no arrival covers are left out.
    """
    covering = [(arrival.newest[node], arrival.at_us) for arrival in arrivals if node in arrival.newest]
    if not covering:
        return np.empty(0)
    newest, at_us = np.array(covering, dtype=np.int64).T
    first = np.searchsorted(np.maximum.accumulate(newest), indices)
    wanted = (first < len(at_us)) & (applied_us >= since_us)
    latencies: NDArray[np.float64] = (at_us[first[wanted]] - applied_us[wanted]) / 1e3
    return latencies


def quiet(trace: Trace, at_s: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether the sum stayed within QUIET_RANGE_N for QUIET_WINDOW_S before each moment of the trace."""
    before_s = np.arange(0.0, QUIET_WINDOW_S + 1e-9, QUIET_STEP_S)
    seen = np.interp(at_s[:, None] - before_s[None, :], trace.times_s, trace.total_n)
    still: NDArray[np.bool_] = np.ptp(seen, axis=1) <= QUIET_RANGE_N
    return still


@dataclass(frozen=True, slots=True)
class Stored:
    """The samples of one boot as the journal has them: index and device time int64[S], bar load float64[S].

    `index` rises; the bar load (newtons) is nan where a cell gave a code instead of a reading.
    """

    index: NDArray[np.int64]
    device_us: NDArray[np.int64]
    bar_n: NDArray[np.float64]


def read_stored(reader: Reader, node: int, boot: int) -> Stored:
    """Read one boot's samples and weigh them with the calibrations on record."""
    calibrations = {
        number: decoding.from_json(record, Calibration)
        for owner, number, record in reader.calibrations()
        if owner == node
    }
    index, device_us, bar_n = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0)]
    for stored in reader.frames_of(node, boot):
        frame = decode(stored.row.payload)
        cells = calibrations[frame.calibration_id].cells
        zero = np.array([cell.zero_count for cell in cells])
        span = np.array([cell.span_n_per_count for cell in cells])
        force_n = np.where(is_reading(frame.counts), (frame.counts - zero) * span, np.nan)
        index.append(frame.sample_index + np.arange(frame.samples))
        device_us.append(frame.sample_device_us)
        bar_n.append(force_n.sum(axis=1))
    return Stored(np.concatenate(index), np.concatenate(device_us), np.concatenate(bar_n))


def spread(
    values: NDArray[np.float64], percentiles: tuple[int, ...], digits: int = 2
) -> dict[str, float | None]:
    """Percentiles and maximum by name (`p50`, ..., `max`); each None where there are no values."""
    names = [*(f"p{percentile}" for percentile in percentiles), "max"]
    if not len(values):
        return dict.fromkeys(names)
    levels = np.percentile(values, [*percentiles, 100])
    return {name: round(float(level), digits) for name, level in zip(names, levels, strict=True)}
