"""The whole chain on one machine: broker, daemon, page, virtual node playing a session. Nothing outlives it.

It puts the parts together and measures them from outside; it is no part of a studio's installation.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import urllib.request
import webbrowser
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ashibar.core.config import HANGERS, check
from ashibar.core.trace import TraceError, parse_trace
from ashibar.core.units import NEWTON_PER_KG
from ashibar.daemon import Daemon
from ashibar.node import NodeError, VirtualNode, find_runtime
from ashibar.sim.broker import BrokerError, start_broker
from ashibar.sim.measure import FeedClient
from ashibar.sim.results import Played, results
from ashibar.sim.session_trace import BODY_WEIGHT_N, SHORTEST_S, built_in_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ashibar.core.config import Config
    from ashibar.core.trace import Trace
    from ashibar.node import BootInfo, RuntimeChoice
    from ashibar.sim.broker import BrokerChoice, RunningBroker

NODE: Final = "bars-1"
STUDIO: Final = "demo"
RIG: Final = "room-1"
CELL_CAPACITY_KG: Final = 200
CELL_CLASS: Final = "C3"
PORT: Final = 8080
JOURNAL: Final = "journal.sqlite"
ROUND_S: Final = 60.0  # of the built-in session, played over and over when no end is given
BOOT_TIMEOUT_S: Final = 20.0
NODE_STOP_S: Final = 5.0
DRAIN_S: Final = 3.0  # for what is still on its way to the journal
NODE_STOP_INTERRUPTED_S: Final = 0.5  # after Ctrl-C everything has to be gone within 2 s
DRAIN_INTERRUPTED_S: Final = 0.2
POLL_S: Final = 0.02


class DemoError(RuntimeError):
    """The demo cannot run; the text says what was expected, what came and what to do."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for. `port` None: 8080, or any if that is taken."""

    trace: Path | None = None
    seconds: float | None = None
    port: int | None = None
    data: Path | None = None
    browser: bool = True
    json: bool = False
    runtime: RuntimeChoice = "auto"
    broker: BrokerChoice = "auto"


def run(options: Options) -> int:
    """Run the demo in the main thread until its time is over, or Ctrl-C or SIGTERM comes; the exit status."""
    interrupted = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: interrupted.set())
    try:
        with _data_directory(options.data) as directory:
            with ExitStack() as chain:
                measure = _play(options, directory, interrupted, chain)
            measured = measure()  # all of the chain has ended: after Ctrl-C that comes first
    except (BrokerError, NodeError, TraceError, OSError) as error:
        raise DemoError(str(error)) from error
    _tell_results(measured)
    if options.json:
        print(json.dumps(measured), flush=True)
    return 0


def _play(
    options: Options, directory: Path, interrupted: threading.Event, chain: ExitStack
) -> Callable[[], dict[str, Any]]:
    """Start everything in order, wait for the end, stop the node; answers what computes the results."""
    trace, loop = _trace(options)
    broker = start_broker(directory / "broker", options.broker)
    chain.callback(broker.stop)
    daemon = _start_daemon(options.port, broker, directory, trace)
    chain.callback(daemon.stop)
    client = FeedClient(daemon.url)
    client.start()
    start_s = time.time()
    node = VirtualNode(
        broker.host,
        broker.port,
        STUDIO,
        NODE,
        trace,
        work_dir=directory / "node",
        start_unix_s=start_s,
        loop=loop,
        runtime=find_runtime(options.runtime),
    )
    node.start()
    chain.callback(node.kill)
    boot = node.wait_boot(BOOT_TIMEOUT_S)
    _tell_start(options, daemon.url, broker, boot, directory)
    if options.browser:
        _open_page(daemon.url)
    interrupted.wait(options.seconds)
    taken = _stop_node(node, NODE_STOP_INTERRUPTED_S if interrupted.is_set() else NODE_STOP_S)
    accounting = _settled(daemon.url, taken, DRAIN_INTERRUPTED_S if interrupted.is_set() else DRAIN_S)
    client.detach()
    about = {"firmware_runtime": boot.runtime, "broker": broker.name, "url": daemon.url}
    played = Played(
        trace=trace,
        loop=loop,
        start_us=round(start_s * 1e6),
        node=NODE,
        body_weight_n=BODY_WEIGHT_N,
        boot=boot.boot,
        epoch_us=boot.epoch_unix_us,
        taken=taken,
    )
    return lambda: results(played, client, directory / JOURNAL, accounting) | about


def _trace(options: Options) -> tuple[Trace, bool]:
    """What to play, and whether over and over."""
    if options.trace is None:
        seconds = ROUND_S if options.seconds is None else max(SHORTEST_S, options.seconds)
        return built_in_session(seconds).trace, options.seconds is None
    return parse_trace(options.trace.read_text(encoding="utf-8")), options.seconds is None


@contextmanager
def _data_directory(wanted: Path | None) -> Iterator[Path]:
    """The directory asked for, which stays, or a temporary one, which does not."""
    if wanted is not None:
        wanted.mkdir(parents=True, exist_ok=True)
        yield wanted.absolute()
        return
    directory = Path(tempfile.mkdtemp(prefix="ashibar-demo-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _config(port: int, broker: RunningBroker, directory: Path, trace: Trace) -> Config:
    """The configuration of a studio with one rig: the trace's columns are its hangers, in order."""
    named = set(trace.names) <= set(HANGERS)
    hangers = trace.names if named else HANGERS[: trace.cells]
    cells = [
        {
            "hanger": hanger,
            "node": NODE,
            "channel": channel,
            "capacity_kg": CELL_CAPACITY_KG,
            "class": CELL_CLASS,
        }
        for channel, hanger in enumerate(hangers)
    ]
    return check(
        {
            "studio": {"name": STUDIO},
            "mqtt": {"host": broker.host, "port": broker.port, "protocol": broker.protocol},
            "journal": {"path": str(directory / JOURNAL)},
            "web": {"port": port},
            "rig": [{"name": RIG, "cell": cells}],
            "session": {"body_weight_kg": BODY_WEIGHT_N / NEWTON_PER_KG, "source": "scale"},
        }
    )


def _start_daemon(port: int | None, broker: RunningBroker, directory: Path, trace: Trace) -> Daemon:
    """Start the daemon on the port asked for; without one on the usual port, or any that is free."""
    for number in [PORT, 0] if port is None else [port]:
        try:
            daemon = Daemon(_config(number, broker, directory, trace))
        except OSError:
            if number == 0 or port is not None:
                raise
            print(f"port {PORT} is taken; choosing another")
        else:
            daemon.start()
            return daemon
    raise AssertionError("unreachable: port 0 either works or raises")


def _open_page(url: str) -> None:
    """Show the page; without a display a browser of the terminal would come up and hold everything."""
    display = sys.platform != "linux" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    if not (display and webbrowser.open(url)):
        print(f"no browser could be opened here; open {url} in one", flush=True)


def _stop_node(node: VirtualNode, timeout_s: float) -> int | None:
    """Samples the node took, by its own word; None if it did not answer in time."""
    try:
        return node.stop(timeout_s).samples
    except NodeError as error:
        print(error)
        return None


def _settled(url: str, taken: int | None, timeout_s: float) -> dict[str, Any]:
    """The daemon's accounting, once it knows of all samples taken or the time is over."""
    end = time.monotonic() + timeout_s
    while True:
        with urllib.request.urlopen(url + "api/v1/accounting", timeout=timeout_s) as answer:  # noqa: S310
            accounting: dict[str, Any] = json.load(answer)
        known = accounting["samples_stored"] + accounting["lost"]
        if (taken is not None and known >= taken) or time.monotonic() > end:
            return accounting
        time.sleep(POLL_S)


def _tell_start(options: Options, url: str, broker: RunningBroker, boot: BootInfo, directory: Path) -> None:
    kept = "kept" if options.data else "removed at the end"
    playing = options.trace or "the built-in session"
    end = "Ctrl-C ends it" if options.seconds is None else f"{options.seconds:g} s"
    for what, value in (
        ("page", url),
        ("firmware", f"{boot.runtime}, on a virtual board"),
        ("broker", f"{broker.name} on {broker.host}:{broker.port}"),
        ("record", f"{directory} ({kept})"),
        ("playing", f"{playing}; {end}"),
    ):
        print(f"{what:<9} {value}", flush=True)
    for problem in boot.problems:
        print(f"the node says: {problem}", flush=True)


def _tell_results(measured: dict[str, Any]) -> None:
    latency, error = measured["latency_ms"], measured["client_load_error_n"]
    sent, missing = (
        "unknown" if measured[name] is None else measured[name] for name in ("samples_sent", "missing")
    )
    print(
        f"samples   {sent} taken, {measured['samples_stored']} stored, "
        f"{missing} missing, {measured['duplicates']} duplicate, {measured['late']} late"
    )
    print(f"latency   {_words(latency, 'ms')}, from force to the page's feed")
    print(f"error     {_words(error, 'N')}, while quiet", flush=True)


def _words(spread: dict[str, float | None], unit: str) -> str:
    return ", ".join(
        f"{name} {'unknown' if value is None else f'{value:g} {unit}'}" for name, value in spread.items()
    )
