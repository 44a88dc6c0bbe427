"""A sink behind the journal's cursor: copies the record to InfluxDB, moving the cursor only after a 2xx.

What a frame becomes is the converter's business; here are the connection, the order and the patience. Stamps
are those of the record, so a write repeated is the same points again.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, Protocol

from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException
from urllib3.exceptions import HTTPError

from ashibar.io.journal.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ashibar.io.journal.reader import StoredFrame

log = logging.getLogger(__name__)

SINK = "influx"
US: Any = "us"  # of every time stamp; mypy knows the client's precision as a class
FRAMES_PER_WRITE = 500  # 5,000 lines: the size from which larger requests gain nothing
IDLE_S = 1.0  # without a commit, look again after this
RETRY_MIN_S = 0.25
RETRY_MAX_S = 10.0  # a server that is back is used within this
REQUEST_TIMEOUT_MS = 10_000


class SinkError(Exception):
    """InfluxDB did not take a write; the message says why and what to do."""


class Converter(Protocol):
    """Turns frames, in the order of their ids, into line protocol in us; it may look up their neighbours."""

    def __call__(self, frames: Sequence[StoredFrame], reader: Reader) -> bytes: ...  # noqa: D102


class InfluxWriter:
    """Posts lines; one thread. Nothing is buffered or retried here."""

    def __init__(self, url: str, org: str, bucket: str, token: str) -> None:
        self._bucket = bucket
        self._where = url
        self._client = InfluxDBClient(
            url=url, token=token, org=org, timeout=REQUEST_TIMEOUT_MS, retries=False
        )
        self._api = self._client.write_api(write_options=SYNCHRONOUS)

    def write(self, lines: bytes) -> None:
        """Write lines; returns once the server has answered 2xx. Raises SinkError."""
        try:
            self._api.write(bucket=self._bucket, record=lines, write_precision=US)
        except ApiException as error:
            body = str(error.body or error.reason)[:300]
            raise SinkError(
                f"InfluxDB at {self._where} answered {error.status}: {body}; check bucket, token and its log"
            ) from error
        except (HTTPError, OSError) as error:
            raise SinkError(
                f"InfluxDB at {self._where} cannot be reached: {error}; is it running?"
            ) from error

    def close(self) -> None:
        """Close the connection."""
        self._api.close()  # type: ignore[no-untyped-call]
        self._client.close()  # type: ignore[no-untyped-call]


class InfluxSink:
    """The thread that copies the journal to InfluxDB from its cursor on, for as long as it takes."""

    def __init__(
        self,
        journal: Path,
        writer: InfluxWriter,
        convert: Converter,
        move_cursor: Callable[[str, int], None],
    ) -> None:
        """`move_cursor(sink, frame_id)` hands the new cursor to the journal; any thread may call it."""
        self.written_frames = 0
        self.cursor = 0
        self._journal = journal
        self._writer = writer
        self._convert = convert
        self._move_cursor = move_cursor
        self._problem: str | None = None
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="influx", daemon=True)

    @property
    def problem(self) -> str | None:
        """Why the newest write failed, None while writing works."""
        return self._problem

    def start(self) -> None:
        """Begin to copy."""
        self._thread.start()

    def wake(self) -> None:
        """Say that there is something new; from any thread."""
        self._wake.set()

    def stop(self) -> None:
        """End after the write that is under way; the rest is written at the next start."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)

    def _run(self) -> None:
        reader = Reader(self._journal)
        self.cursor = reader.cursor(SINK)
        delay_s = RETRY_MIN_S
        try:
            while not self._stopping.is_set():
                self._wake.clear()
                try:
                    busy = self._one_write(reader)
                    delay_s = RETRY_MIN_S
                except Exception as error:  # noqa: BLE001 (a sink must never stop the rest, nor itself)
                    self._complain(error)
                    self._stopping.wait(delay_s)
                    delay_s = min(delay_s * 2, RETRY_MAX_S)
                    continue
                if not busy:
                    self._wake.wait(IDLE_S)
        finally:
            reader.close()
            self._writer.close()

    def _one_write(self, reader: Reader) -> bool:
        """Copy the next frames; False when there are none."""
        frames = reader.frames_after(self.cursor, FRAMES_PER_WRITE)
        if not frames:
            return False
        lines = self._convert(frames, reader)
        if lines:
            self._writer.write(lines)
        self.cursor = frames[-1].id
        self.written_frames += len(frames)
        self._move_cursor(SINK, self.cursor)
        if self._problem is not None:
            log.warning("InfluxDB takes writes again")
            self._problem = None
        return True

    def _complain(self, error: Exception) -> None:
        text = str(error) if isinstance(error, SinkError) else f"{type(error).__name__}: {error}"
        if text != self._problem:
            log.warning("%s", text, exc_info=None if isinstance(error, SinkError) else error)
        self._problem = text
