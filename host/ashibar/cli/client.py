"""The daemon's HTTP interface for commands: one request, its answer, or in words why there is none."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, Final

TIMEOUT_S: Final = 10.0  # the daemon answers within 5 s, also when it cannot store


class ApiError(Exception):
    """The daemon refused; `status` is HTTP's, 0 where nobody answered. `confirm`: it asks back."""

    def __init__(self, status: int, expected: str, came: str, do: str, *, confirm: bool = False) -> None:
        super().__init__(f"expected {expected}\ncame     {came}\ndo       {do}")
        self.status = status
        self.confirm = confirm


class Api:
    """A daemon at `url`, such as http://127.0.0.1:8080."""

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S) -> None:
        self.url = url.rstrip("/")
        self._timeout_s = timeout_s

    def get(self, path: str, **query: Any) -> Any:
        """Return the answer to a GET; query values of None are left out. Raises ApiError."""
        given = {key: value for key, value in query.items() if value is not None}
        tail = f"?{urllib.parse.urlencode(given)}" if given else ""
        return self._ask("GET", path + tail, None)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Return the answer to a POST; fields of None are left out. Raises ApiError."""
        given = {key: value for key, value in body.items() if value is not None}
        return self._ask("POST", path, json.dumps(given).encode())

    def _ask(self, method: str, path: str, body: bytes | None) -> Any:
        if not self.url.startswith(("http://", "https://")):
            raise ApiError(0, "an address that begins with http:// or https://", self.url, "correct --url")
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked
            f"{self.url}/api/v1/{path}", body, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=self._timeout_s) as answer:  # noqa: S310
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise _refused(error) from error
        except (OSError, ValueError) as error:
            raise ApiError(
                0, f"a running ashibar at {self.url}", str(getattr(error, "reason", error)),
                "start it with `ashibar run`, or give its address with --url",
            ) from error  # fmt: skip


def _refused(error: urllib.error.HTTPError) -> ApiError:
    try:
        told = json.loads(error.read())
        texts = (str(told[name]) for name in ("expected", "came", "do"))
        return ApiError(error.code, *texts, confirm=bool(told.get("confirm")))
    except (ValueError, KeyError, TypeError, OSError):
        what = f"HTTP status {error.code}"
        return ApiError(error.code, "an answer of ashibar", what, "check --url: something else answers there")


def quoted(name: str) -> str:
    """Return a name as part of a path."""
    return urllib.parse.quote(name, safe="")
