"""Posts line protocol through influxdb-client, synchronously, and says what became of every line.

Nothing is buffered or retried here: what could not be written is raised, and whoever called comes again.
"""

from __future__ import annotations

import email.utils
import logging
import re
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ashibar.io.influx.organisation import ONLY_ONE, org_id
from ashibar.io.influx.server import Server, ServerError

if TYPE_CHECKING:
    from influxdb_client.client.influxdb_client import InfluxDBClient
    from influxdb_client.client.write_api import WriteApi
    from influxdb_client.rest import ApiException

MOST_LINES: Final = 5000  # of one request: from here on larger ones gain nothing
LEAST_LINES: Final = 100  # a server too slow for these is down
MOST_REJECTED: Final = 50  # of one write: if more lines are wrong, it is not the lines
CONNECT_TIMEOUT_MS: Final = 3_000
ANSWER_TIMEOUT_MS: Final = 10_000
RETRY_AFTER_MAX_S: Final = 3600.0
# Of points too old for the bucket, the others being stored: up to 1.12.2 and 2.7.8, and since.
BEYOND_RETENTION: Final = re.compile(r"(?:beyond|outside) retention policy")
DROPPED: Final = re.compile(r"dropped=(\d+)")
PAUSES: Final = {
    401: "the token is not accepted: check [influx] token_file or ASHIBAR_INFLUX_TOKEN",
    403: "the token may not write this bucket: give it write access",
    404: "there is no such bucket, database or organisation: check [influx] org, run `ashibar influx init`",
}


class SinkError(Exception):
    """InfluxDB did not take a write; the message says why and what to do. `retry_after_s`: its own wish."""

    def __init__(self, text: str, retry_after_s: float = 0.0) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class RejectedError(SinkError):
    """At least one of the lines is wrong; the others may have been stored.

    `too_old`: nothing is wrong but that so many are beyond the retention, and the others were stored.
    """

    too_old: int | None = None


class TooLargeError(SinkError):
    """The request is larger than the server takes."""


class TooSlowError(SinkError):
    """No answer came in time."""


class PausedError(SinkError):
    """Writing makes no sense until a person has changed something."""


class Rejected(NamedTuple):
    """A line the server refused, and its words."""

    line: bytes
    reason: str


@dataclass(slots=True)
class Written:
    """What became of lines: stored, too old for the bucket's retention, refused."""

    points: int = 0
    too_old: int = 0
    rejected: list[Rejected] = field(default_factory=list)


class InfluxWriter:
    """One connection; one thread. The token is in no message and no log line."""

    def __init__(self, url: str, org: str, bucket: str, token: str) -> None:
        """Raises PausedError for a token that cannot be sent."""
        if not token.isascii() or not all(each.isprintable() for each in token):
            raise PausedError("InfluxDB token: expected one line of printable ASCII; write it anew")
        self.requests = 0
        self.most_lines = self._fits = MOST_LINES
        self._bucket = bucket
        self._taken: tuple[bytes, str] | None = None  # a line the server took, and its precision
        self._where = url
        self._org = org
        self._token = token
        self._client: InfluxDBClient | None = None
        self._api: WriteApi | None = None
        logging.getLogger().addFilter(self._hide)  # the client logs bodies of errors to the root

    def write(self, lines: bytes, precision: str = "us") -> Written:
        """Write lines without line breaks inside, however many, and sort out those the server refuses.

        Raises SinkError where the server cannot take anything now; what was stored until then is stored.
        """
        written = Written()
        waiting = [lines.splitlines(keepends=True)]
        refused: list[bytes] = []
        while waiting:
            part = waiting.pop()
            if len(part) > self.most_lines:
                waiting.append(part[self.most_lines :])
                part = part[: self.most_lines]
            if part:
                waiting += self._store(part, precision, written, refused)
            while refused and (self._taken is not None or not waiting):
                self._judge(refused.pop(), precision, written)
        return written

    def _store(  # noqa: PLR0911 (each refusal goes on in its own way)
        self, lines: list[bytes], precision: str, written: Written, refused: list[bytes]
    ) -> list[list[bytes]]:
        """Post lines; return what is to be tried again, the last part first."""
        try:
            self.post(b"".join(lines), precision)
        except RejectedError as error:
            if error.too_old is not None:  # the rest is stored, and no retry makes these younger
                too_old = min(error.too_old, len(lines))
                written.too_old += too_old
                written.points += len(lines) - too_old
                return []
            if len(lines) > 1:
                middle = len(lines) // 2
                return [lines[middle:], lines[:middle]]
            refused.append(lines[0])
            return []
        except TooLargeError as error:
            if len(lines) == 1:
                self._put_aside(lines[0], error, written)
                return []
            self.most_lines = self._fits = max(1, len(lines) // 2)
            return [lines]
        except TooSlowError:
            if len(lines) <= LEAST_LINES:
                raise
            self.most_lines = max(LEAST_LINES, len(lines) // 2)
            return [lines]
        written.points += len(lines)
        self._taken = (lines[-1], precision)
        self.most_lines = min(self._fits, self.most_lines * 2)
        return []

    def _judge(self, line: bytes, precision: str, written: Written) -> None:
        """Find out whether it is the line that is wrong: only while the server takes what it took before.

        Between two refusals of it, and after them, a known one has to go through. That changes nothing.
        """
        self._still_takes()
        try:
            self.post(line, precision)
        except RejectedError as error:
            self._still_takes()
            self._put_aside(line, error, written)
        else:
            written.points += 1

    def _still_takes(self) -> None:
        """Raise SinkError unless the server takes a line again that it has taken."""
        if self._taken is None:
            raise SinkError(self._text("refuses every line it was sent so far; is it an InfluxDB?"))
        try:
            self.post(*self._taken)
        except RejectedError as error:
            if error.too_old is not None:
                return  # it was taken, and has grown old since
            raise SinkError(f"{error}; it refuses what it took before, so it is not the lines") from None

    @staticmethod
    def _put_aside(line: bytes, error: SinkError, written: Written) -> None:
        written.rejected.append(Rejected(line, str(error)))
        if len(written.rejected) > MOST_REJECTED:
            raise PausedError(
                f"{error}; it refuses line after line, so it is not the lines: look at the field types of the"
                " bucket, or write into a new one"
            ) from None

    def post(self, lines: bytes, precision: str = "us") -> None:
        """Post lines as one request; returns once the server has answered 2xx. Raises SinkError."""
        from influxdb_client.rest import ApiException  # noqa: PLC0415 (slow: the start does not wait for it)
        from urllib3.exceptions import HTTPError, ReadTimeoutError  # noqa: PLC0415

        self.requests += 1
        unit: Any = precision  # mypy knows the client's precision as a class
        api = self._api or self._open()
        try:
            api.write(bucket=self._bucket, record=lines, write_precision=unit)
        except ApiException as error:
            if error.status != 404 or not self._finds_org():
                raise self._named(error) from None  # the cause would show the request's headers
        except ReadTimeoutError as error:
            raise TooSlowError(self._text(f"gave no answer in time: {error}; is it overloaded?")) from None
        except (HTTPError, OSError) as error:
            raise SinkError(self._text(f"cannot be reached: {error}; is it running?")) from None
        else:
            return
        self.post(lines, precision)

    def _finds_org(self) -> bool:
        """Find the organisation where none is named: 2.x wants it. Raises SinkError where there is none."""
        if self._org != ONLY_ONE:
            return False
        server = Server(self._where, self._token)
        try:
            if server.kind().generation != 2:
                return False
        except ServerError:
            return False  # it is no 2.x that could be asked
        try:
            self._org = org_id(server, self._org, self._bucket)
        except ServerError as error:
            kind = PausedError if error.status else SinkError
            raise kind(self._text(f"wants an organisation: {error}")) from None
        self._close()
        return True

    def _open(self) -> WriteApi:
        """Return the client's interface, made at the first request."""
        from influxdb_client.client.influxdb_client import InfluxDBClient  # noqa: PLC0415
        from influxdb_client.client.write_api import SYNCHRONOUS  # noqa: PLC0415

        timeout: Any = (CONNECT_TIMEOUT_MS, ANSWER_TIMEOUT_MS)
        self._client = InfluxDBClient(
            url=self._where, token=self._token, org=self._org, timeout=timeout, retries=False
        )
        self._api = self._client.write_api(write_options=SYNCHRONOUS)
        return self._api

    def _named(self, error: ApiException) -> SinkError:
        status = int(error.status or 0)
        body = self.hidden(" ".join(str(error.body or error.reason or "").split()))
        text = f"answered {status}: {body[:300]}"
        if status in PAUSES or 300 <= status < 400:
            return PausedError(self._text(f"{text}; {PAUSES.get(status, 'check the url')}"))
        if status in (400, 422):
            refusal = RejectedError(self._text(text))
            if BEYOND_RETENTION.search(body):
                found = DROPPED.search(body)
                refusal.too_old = sys.maxsize if found is None else int(found[1])  # unsaid: all
            return refusal
        if status == 413:
            return TooLargeError(self._text(text))
        return SinkError(self._text(f"{text}; see its log"), _retry_after_s(error))

    def _text(self, text: str) -> str:
        return self.hidden(f"InfluxDB at {self._where} {text}")

    def hidden(self, text: str) -> str:
        """Return a text without the token in it."""
        return text.replace(self._token, "***") if self._token else text

    def _hide(self, record: logging.LogRecord) -> bool:
        if self._token and self._token in record.getMessage():
            record.msg, record.args = self.hidden(record.getMessage()), ()
        return True

    def close(self) -> None:
        """Close the connection."""
        logging.getLogger().removeFilter(self._hide)
        self._close()

    def _close(self) -> None:
        if self._api is not None and self._client is not None:
            self._api.close()  # type: ignore[no-untyped-call]
            self._client.close()  # type: ignore[no-untyped-call]
        self._api = self._client = None


def _retry_after_s(error: ApiException) -> float:
    """Return the seconds a server asks for, as a number or a date (RFC 9110, 10.2.3); 0 for none."""
    said = None if error.headers is None else error.headers.get("Retry-After")
    if said is None:
        return 0.0
    try:
        wait_s = float(said)
    except ValueError:
        try:
            wait_s = email.utils.parsedate_to_datetime(said).timestamp() - time.time()
        except ValueError:
            return 0.0
    return min(max(wait_s, 0.0), RETRY_AFTER_MAX_S)
