"""Keeps the client connected: network, fresh name look-up, connection, and again after a growing, bounded,
jittered wait."""

import asyncio
import os

from micropython import const

from barnode import net
from barnode.clock import now_ms, since_ms
from barnode.mqtt import LevelRefused, MqttError

BACKOFF_FIRST_MS = const(250)
BACKOFF_LAST_MS = const(5000)  # a broker that comes back is found within this
_SESSION_TAKEN_OVER = const(0x8E)
LONGEST_STEP_MS = const(20000)  # joining the Wi-Fi, with its wait before
STEADY_MS = const(5000)  # a connection that lasted this long was a good one: the next wait is short again


def jittered_ms(wait_ms, byte):
    """`wait_ms` spread to 75 to 125 % by a random byte, so that nodes do not come back in step."""
    return wait_ms * 3 // 4 + wait_ms * byte // 510


def _tls_error(error):
    """What the TLS library makes of a certificate it cannot read or does not trust."""
    return OSError("TLS: %s: check broker.ca_file and the broker's certificate" % str(error).strip())


class Link:
    """`broker` has host, port, ca_file and protocol ("auto", "5" or "3.1.1"); `births` is called at each
    connection, `taken_over` when the broker says that another client took this one's name."""

    def __init__(self, broker, client, wifi, births, taken_over):
        self._broker = broker
        self._client = client
        self._wifi = wifi
        self._births = births
        self._taken_over = taken_over
        client.tls = broker["ca_file"] is not None
        self._level = 4 if broker["protocol"] == "3.1.1" else 5
        self._fixed = self._proven = broker["protocol"] != "auto"
        self._steps = 0
        self.connections = 0
        self.last_error = None

    async def run(self):
        """For ever."""
        wait_ms = BACKOFF_FIRST_MS
        while True:
            began = now_ms()
            self._steps += 1
            try:
                await self.connect(self._births())
                await self._client.serve()
            except (OSError, EOFError, MqttError, asyncio.TimeoutError) as error:
                self._note(error)
            if self._client.ended_by == _SESSION_TAKEN_OVER:
                self._client.ended_by = 0
                self._taken_over()
            if since_ms(now_ms(), began) >= STEADY_MS and self.connections:
                wait_ms = BACKOFF_FIRST_MS
            await asyncio.sleep_ms(jittered_ms(wait_ms, os.urandom(1)[0]))
            wait_ms = min(2 * wait_ms, BACKOFF_LAST_MS)

    async def connect(self, births=()):
        """One attempt; on failure the socket is closed and the error raised."""
        await self._wifi.join()
        self._steps += 1
        try:
            stream = await net.connect(self._broker["host"], self._broker["port"], self._broker["ca_file"])
        except ValueError as error:
            raise _tls_error(error) from None
        self._steps += 1
        try:
            await self._client.connect(stream, self._level, births)
        except LevelRefused:
            self._client.abandon()
            if not self._fixed:
                self._level = 9 - self._level
            raise
        except BaseException as error:
            self._client.abandon()
            if isinstance(error, ValueError):
                raise _tls_error(error) from None
            if (
                isinstance(error, MqttError) and not self._proven
            ):  # some brokers answer an unknown level with silence
                self._level = 9 - self._level
            raise
        self._proven = True
        self.connections += 1
        self.last_error = None

    def progress(self):
        """A number that grows as long as this is not stuck: no step in it takes longer than
        LONGEST_STEP_MS."""
        return self._steps + self._client.beats

    def reconnects(self):
        """Connections after the first."""
        return max(0, self.connections - 1)

    def _note(self, error):
        text = str(error) or type(error).__name__
        if text != self.last_error:
            print("link: %s" % text)
        self.last_error = text
