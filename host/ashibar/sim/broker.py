"""A private MQTT broker on a free loopback port: mosquitto as a child, or amqtt within this process.

For demos and simulations only; the studio's broker is set up as docs/installer.md says.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from ashibar.setup.tools import find

if TYPE_CHECKING:
    from collections.abc import Callable

HOST: Final = "127.0.0.1"
CHECKOUT: Final = Path(__file__).resolve().parents[3]
START_TIMEOUT_S: Final = 10.0
STOP_TIMEOUT_S: Final = 1.0  # the demo promises to be gone 2 s after Ctrl-C
POLL_S: Final = 0.01
START_ATTEMPTS: Final = 3  # the free port may be taken between looking and listening
PR_SET_PDEATHSIG: Final = 1

BrokerChoice = Literal["auto", "mosquitto", "amqtt"]

# Sessions are saved every 10 s, less than what nodes hold, and no message of an absent client is dropped: by
# default mosquitto saves every half hour and keeps 1,000 messages. Saving at every change would write the
# whole queue with each message (450 a second at best). Without set_tcp_nodelay a busy connection waits 12 to
# 42 ms.
MOSQUITTO_CONF: Final = """\
listener {port} {host}
allow_anonymous true
persistence true
persistence_location {directory}/
autosave_interval 10
max_queued_messages 0
max_inflight_messages 100
set_tcp_nodelay true
log_dest stderr
log_type error
log_type warning
"""


class BrokerError(RuntimeError):
    """No broker could be started; the text says what was tried and what to do."""


class RunningBroker(Protocol):
    """A broker that answers until it is stopped; `protocol` is the version of MQTT to speak to it."""

    name: str
    protocol: str
    host: str
    port: int

    def stop(self) -> None:
        """End it; it has ended when this returns."""


def start_broker(directory: Path, choice: BrokerChoice = "auto") -> RunningBroker:
    """Start mosquitto with its files in `directory`; amqtt where there is no mosquitto or it is asked for.

    Call it from the main thread: the child is told to end when the thread that started it does.
    """
    program = None if choice == "amqtt" else find("mosquitto", CHECKOUT)
    if program is not None:
        return _retried(lambda port: _Mosquitto(program, directory, port))
    if choice == "mosquitto":
        raise BrokerError(
            "expected mosquitto, found none on PATH; install it, or leave the choice of broker out"
        )
    return _retried(_Amqtt)


def _retried(start: Callable[[int], RunningBroker]) -> RunningBroker:
    for _ in range(START_ATTEMPTS - 1):
        with contextlib.suppress(BrokerError):
            return start(free_port())
    return start(free_port())


def free_port() -> int:
    """A loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def end_with_parent() -> None:
    """In a child before exec: have the kernel end it if its parent dies, so that nothing is left running."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=POLL_S * 10):
        return True
    return False


class _Mosquitto:
    """mosquitto in a session of its own, so that Ctrl-C at the terminal does not reach it before us."""

    def __init__(self, program: str, directory: Path, port: int) -> None:
        self.host, self.port, self.protocol = HOST, port, "auto"
        directory.mkdir(parents=True, exist_ok=True)
        text = MOSQUITTO_CONF.format(port=port, host=HOST, directory=directory)
        if os.geteuid() == 0:
            text += "user root\n"  # else it would drop to a user who cannot write into the private directory
        conf, self._log = directory / "mosquitto.conf", directory / "mosquitto.log"
        conf.write_text(text, encoding="utf-8")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [program, "-c", str(conf)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with_parent,  # noqa: PLW1509  # no thread of ours runs yet
            )
        self._await_ready()
        self.name = _mosquitto_name(program)

    def _await_ready(self) -> None:
        end = time.monotonic() + START_TIMEOUT_S
        while not _answers(self.port):
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                words = self._log.read_text(encoding="utf-8", errors="replace").strip()[-500:]
                raise BrokerError(
                    f"mosquitto did not answer on port {self.port}; its last words: {words or 'none'}"
                )
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Ask it to end, then insist."""
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _mosquitto_name(program: str) -> str:
    done = subprocess.run([program, "-h"], capture_output=True, text=True, check=False)
    words = done.stdout.split("\n", 1)[0].split()
    return f"mosquitto {words[-1]}" if words else "mosquitto"


class _Amqtt:
    """amqtt on an event loop of its own. It speaks MQTT 3.1.1 and keeps no session of an anonymous client."""

    def __init__(self, port: int) -> None:
        self.host, self.port, self.protocol = HOST, port, "3.1.1"  # it leaves a CONNECT of MQTT 5 unanswered
        self.name = f"amqtt {version('amqtt')}"
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda *_: None)  # every broken connection would print a traceback
        self._stopping = asyncio.Event()
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="amqtt", daemon=True)
        self._thread.start()
        if not self._ready.wait(START_TIMEOUT_S) or self._error is not None:
            raise BrokerError(f"amqtt did not start on port {port}: {self._error}")

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except Exception as error:  # noqa: BLE001  # whatever it is, the waiting thread must hear of it
            self._error = error
        finally:
            self._ready.set()
            self._loop.close()

    async def _serve(self) -> None:
        from amqtt.broker import Broker  # noqa: PLC0415  # slow to import, and only the fallback

        for noisy in ("amqtt", "transitions"):
            logging.getLogger(noisy).setLevel(logging.CRITICAL)  # it logs each broken connection
        broker: Any = Broker(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{self.port}"}},
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
            }
        )
        await broker.start()
        self._ready.set()
        await self._stopping.wait()
        await broker.shutdown()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def stop(self) -> None:
        """End its loop and its thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(STOP_TIMEOUT_S)
