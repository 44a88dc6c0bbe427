"""What kind of InfluxDB is there, and requests to it other than writing samples: set-up and InfluxQL.

One connection a request; nothing is retried. The token is sent and never shown.
"""

from __future__ import annotations

import email.utils
import http.client
import re
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, Final, NamedTuple

import msgspec

TIMEOUT_S: Final = 10.0


class ServerError(Exception):
    """InfluxDB did not do what was asked; the message says what came, what to do. `status` 0: no answer."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class Answer(NamedTuple):
    """An answer: status, headers by name in small letters, body."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body's content, None where it is no JSON."""
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            return None

    @property
    def unix_s(self) -> float | None:
        """The server's clock, to a second."""
        said = self.headers.get("date")
        return None if said is None else email.utils.parsedate_to_datetime(said).timestamp()


class Kind(NamedTuple):
    """A server's generation (1, 2 or 3), its version as it says it, and whose build."""

    generation: int
    version: str
    build: str

    def __str__(self) -> str:
        return f"InfluxDB {self.version}" + (f" {self.build}" if self.build else "")


class Server:
    """Requests to one server."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self.scheme = "Token"

    def call(
        self, method: str, path: str, query: dict[str, str] | None = None, content: Any = None
    ) -> Answer:
        """Return the answer whatever its status. Raises ServerError where none comes."""
        address = f"{self._url}{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        body = None if content is None else msgspec.json.encode(content)
        request = urllib.request.Request(address, body, method=method)  # noqa: S310 (http by configuration)
        if body is not None:
            request.add_header("Content-Type", "application/json")
        if self._token:
            request.add_header("Authorization", f"{self.scheme} {self._token}")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
                return _answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return _answer(error.code, error.headers, error.read())
        except (OSError, ValueError, http.client.HTTPException) as error:
            why = self.hidden(str(getattr(error, "reason", error)))
            raise ServerError(
                f"InfluxDB at {self._url} cannot be reached: {why}; check that it runs, and [influx] url"
            ) from None

    def need(
        self, method: str, path: str, query: dict[str, str] | None = None, content: Any = None
    ) -> Answer:
        """Return an answer of 2xx. Raises ServerError for any other."""
        answer = self.call(method, path, query, content)
        if not 200 <= answer.status < 300:
            raise self.refused(answer, f"{method} {path}")
        return answer

    def refused(self, answer: Answer, what: str) -> ServerError:
        """Return what an answer other than 2xx means."""
        remedy = {
            401: "the token is not accepted: check [influx] token_file or ASHIBAR_INFLUX_TOKEN",
            403: "the token may not do this: use one with more rights for setting up",
        }.get(answer.status, "see its log")
        said = self.hidden(" ".join(answer.body.decode(errors="replace").split()))[:300]
        return ServerError(f"{what}: InfluxDB answered {answer.status}: {said}; {remedy}", answer.status)

    def hidden(self, text: str) -> str:
        """Return a text without the token in it."""
        return text.replace(self._token, "***") if self._token else text

    def kind(self) -> Kind:
        """Ask what it is; later requests speak its language. Raises ServerError."""
        ping = self.call("GET", "/ping")
        said = ping.json() if ping.body else None
        version = ping.headers.get("x-influxdb-version") or _text(said, "version")
        build = ping.headers.get("x-influxdb-build", "")
        if not version:
            health = self.call("GET", "/health")
            version = health.headers.get("x-influxdb-version") or _text(health.json(), "version")
        found = re.match(r"v?(\d+)\.", version)
        if found is None:
            if ping.status in (401, 403):
                raise self.refused(ping, "GET /ping")
            raise ServerError(
                f"expected the version of an InfluxDB at {self._url}, came status {ping.status} without one;"
                " check [influx] url"
            )
        kind = Kind(int(found[1]), version.removeprefix("v"), build)
        if kind.generation not in (1, 2, 3):
            raise ServerError(f"expected InfluxDB 1.8, 2.x or 3 Core, came {kind}; install one of these")
        self.scheme = "Bearer" if kind.generation == 3 else "Token"
        if kind.generation == 2 and _is_true(self.call("GET", "/api/v2/setup").json(), "allowed"):
            raise ServerError(f"expected an InfluxDB with a user, came a new one; set it up: {self._url}")
        return kind

    def influxql(self, database: str, text: str) -> list[dict[str, Any]]:
        """Run InfluxQL; return the rows of the first series, times in us. Raises ServerError."""
        name, _, policy = database.partition("/")
        query = {"db": name, "q": text, "epoch": "u"} | ({"rp": policy} if policy else {})
        method = "GET" if text.lstrip().upper().startswith(("SELECT", "SHOW")) else "POST"
        answer = self.need(method, "/query", query)
        result = ((answer.json() or {}).get("results") or [{}])[0]
        if "error" in result:
            remedy = "run `ashibar influx init`, and give the token read access to the bucket"
            raise ServerError(f"InfluxQL: {self.hidden(result['error'])}; {remedy}", answer.status)
        series = result.get("series") or []
        if not series:
            return []
        return [dict(zip(series[0]["columns"], row, strict=True)) for row in series[0].get("values", [])]


def _answer(status: int, headers: Any, body: bytes) -> Answer:
    return Answer(status, {name.lower(): value for name, value in headers.items()}, body)


def _is_true(content: Any, key: str) -> bool:
    return isinstance(content, dict) and content.get(key) is True


def _text(content: Any, key: str) -> str:
    return str(content.get(key) or "") if isinstance(content, dict) else ""
