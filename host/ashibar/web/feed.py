"""The live feed: what the pipeline publishes, each page gets as server-sent events, newest first.

It keeps no record and judges no weight; it only takes the figure out of what has grown too old on its way.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

HEARTBEAT_S = 0.4  # a page calls "NO DATA" after 1 s: two beats must fit
STALE_AFTER_S = 1.0  # design limit of the live page: an older figure is no figure
TREND_SPAN_MS = 60_000  # what the page draws
MAX_CLIENTS = 64  # a rig has one or two displays; more is a script gone wild
LOOK_WAIT_S = 0.25  # for the figure of a rig nobody looked at: a turn of the pipeline takes a fiftieth of it
LOOKED_S = 2.0  # who asked for a snapshot may ask again: a rig counts as watched for so long
RETRY_MS = 1_000  # how long a browser waits before it connects again

_NUMBERS = ("client", "bar", "fraction", "body_weight", "left", "right", "peak")

Envelope = dict[str, Any]


@dataclass(slots=True)
class _Item:
    """An envelope in a mailbox and when it was published (monotonic seconds)."""

    envelope: Envelope
    published_s: float


@dataclass(slots=True, eq=False)
class _Client:
    """A mailbox of one: the newest envelope, with the trend points of those it replaced."""

    rig: str
    loop: asyncio.AbstractEventLoop
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    item: _Item | None = None

    def post(self, item: _Item) -> None:
        """Replace what waits; keep its trend points and its being a snapshot. Call under the feed's lock."""
        waiting = self.item
        if waiting is not None:
            trend = _within_span(waiting.envelope["trend"] + item.envelope["trend"])
            item = _Item(item.envelope | {"kind": waiting.envelope["kind"], "trend": trend}, item.published_s)
        self.item = item
        if waiting is None:
            self.ring()

    def ring(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and the client with it
            self.loop.call_soon_threadsafe(self.wake.set)


class Feed:
    """Hand every attached page the newest figure of its rig.

    `publish` may be called from any thread; `stream` belongs to the event loop that serves the page. `clock`
    gives monotonic seconds, `utc_us` microseconds of UTC.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        utc_us: Callable[[], int] = lambda: time.time_ns() // 1000,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> None:
        self.server_id = secrets.token_hex(8)
        self._clock = clock
        self._utc_us = utc_us
        self._heartbeat_s = heartbeat_s
        self.on_look: Callable[[], None] | None = None  # somebody looks at a rig nobody looked at
        self._lock = threading.Condition()
        self._latest: dict[str, _Item] = {}
        self._clients: set[_Client] = set()
        self._looked_s: dict[str, float] = {}
        self._seq = 0
        self._closed = False

    def publish(self, envelope: Envelope) -> int:
        """Give the newest figure of a rig to its pages; return its sequence number.

        `envelope` has `rig`, `figure`, `trend` ([[utc_ms, client_n | null, u_n | null], ...], the points new
        since the last one), `newest`, and may have `limits` ({low, high, limit}: the studio's band and limit
        as fractions of body weight, each may be null); structs in it are turned into plain values. `kind`,
        `server`, `seq` and `sent_utc_us` are the feed's to fill in. Raises ValueError for an envelope without
        a rig or a figure.
        """
        plain = _checked(msgspec.to_builtins(envelope))
        now = self._clock()
        with self._lock:
            self._seq += 1
            plain |= {"kind": "update", "server": self.server_id, "seq": self._seq}
            item = _Item(plain, now)
            for client in self._clients:
                if client.rig == plain["rig"]:
                    client.post(item)
            before = self._latest.get(plain["rig"])
            trend = (before.envelope["trend"] if before else []) + plain["trend"]
            self._latest[plain["rig"]] = _Item(
                plain | {"kind": "snapshot", "trend": _within_span(trend)}, now
            )
            self._lock.notify_all()
            return self._seq

    def rigs(self) -> list[str]:
        """Name the rigs that have been published, in the order of their first figure."""
        with self._lock:
            return list(self._latest)

    def snapshot(self, rig: str) -> Envelope | None:
        """Return a rig's latest figure with 60 s of trend, aged to this moment; None if there is none.

        Where nobody looked at the rig it waits a moment for the figure of now.
        """
        now_s = self._clock()
        with self._lock:
            item = self._latest.get(rig)
            if item is not None:
                watched = rig in self._watched(now_s)
                self._looked_s[rig] = now_s
                if not watched and self.on_look is not None:
                    self.on_look()
                    self._lock.wait_for(lambda: self._latest[rig].published_s >= now_s, LOOK_WAIT_S)
                    item = self._latest[rig]
        return None if item is None else self._stamped(item)

    def watched(self) -> frozenset[str]:
        """Name the rigs somebody looks at: those with a page, and those asked for a moment ago."""
        with self._lock:
            return self._watched(self._clock())

    def _watched(self, now_s: float) -> frozenset[str]:
        asked = [rig for rig, at_s in self._looked_s.items() if at_s > now_s - LOOKED_S]
        return frozenset([*asked, *(client.rig for client in self._clients)])

    @property
    def clients(self) -> int:
        """Count the attached pages."""
        with self._lock:
            return len(self._clients)

    def close(self) -> None:
        """End every stream at once, and each later one: the server is going down. From any thread."""
        with self._lock:
            self._closed = True
            for client in self._clients:
                client.ring()

    @property
    def full(self) -> bool:
        """Tell whether one more page would be too many."""
        return self.clients >= MAX_CLIENTS

    async def stream(self, rig: str) -> AsyncIterator[bytes]:
        """Yield a rig's events, encoded: first a snapshot if there is one, then newest figures or heartbeats.

        Attaches at the first step and detaches when closed; ends by itself after `close`.
        """
        client = _Client(rig, asyncio.get_running_loop())
        with self._lock:
            self._clients.add(client)
            if rig in self._latest:
                client.post(self._latest[rig])
        if self.on_look is not None:
            self.on_look()
        try:
            yield f"retry: {RETRY_MS}\n\n".encode()
            if client.item is None:
                yield self._heartbeat()
            while not self._closed:
                yield await self._next_event(client)
        finally:
            with self._lock:
                self._clients.discard(client)

    async def _next_event(self, client: _Client) -> bytes:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._heartbeat_s):
                await client.wake.wait()
        client.wake.clear()
        with self._lock:
            item, client.item = client.item, None
        return self._heartbeat() if item is None else _event(self._stamped(item))

    def _heartbeat(self) -> bytes:
        return _event(
            {"kind": "heartbeat", "server": self.server_id, "seq": self._seq, "sent_utc_us": self._utc_us()}
        )

    def _stamped(self, item: _Item) -> Envelope:
        """Add to the figure's age the time it lay here; beyond STALE_AFTER_S take the numbers out."""
        figure = item.envelope["figure"]
        age_s = figure.get("age_s")
        waited_s = self._clock() - item.published_s
        if age_s is not None:
            figure = figure | {"age_s": round(age_s + waited_s, 4)}
        if waited_s > STALE_AFTER_S or (figure.get("age_s") or 0.0) > STALE_AFTER_S:
            figure = _without_numbers(figure)
        return item.envelope | {"figure": figure, "sent_utc_us": self._utc_us()}


def _checked(envelope: Envelope) -> Envelope:
    if not envelope.get("rig") or not envelope.get("figure"):
        raise ValueError(f"expected an envelope with a rig and a figure, came one with {sorted(envelope)}")
    return {"newest": {}} | envelope | {"trend": list(envelope.get("trend") or [])}


def _within_span(trend: list[list[float | None]]) -> list[list[float | None]]:
    """Drop the points more than TREND_SPAN_MS older than the last one."""
    if not trend:
        return trend
    oldest_ms = (trend[-1][0] or 0) - TREND_SPAN_MS
    first = next((i for i, point in enumerate(trend) if (point[0] or 0) >= oldest_ms), 0)
    return trend[first:]


def _without_numbers(figure: Envelope) -> Envelope:
    """Make a figure that has grown old say so; a fault or a refusal it carries keeps its own words."""
    blank: Envelope = figure | dict.fromkeys(_NUMBERS)
    blank["hangers"] = [hanger | {"force": None} for hanger in figure.get("hangers") or []]
    if figure.get("client") is not None:
        blank |= {
            "validity": "stale",
            "reason": "no fresh sample from the bars",
            "remedy": "Check that the box at the bars has power and Wi-Fi. The display comes back by itself.",
        }
    return blank


def _event(envelope: Envelope) -> bytes:
    return b"data: " + msgspec.json.encode(envelope) + b"\n\n"
