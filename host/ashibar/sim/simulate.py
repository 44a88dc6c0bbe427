"""Virtual nodes that play one trace against any broker, until their time is over or a signal comes."""

from __future__ import annotations

import signal
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ashibar.core.topics import TopicError
from ashibar.core.trace import TraceError, parse_trace
from ashibar.node import NodeError, VirtualNode, find_runtime

if TYPE_CHECKING:
    from ashibar.node import RuntimeChoice

BOOT_TIMEOUT_S: Final = 30.0
LOOK_EVERY_S: Final = 0.5


class SimulationError(RuntimeError):
    """The simulation cannot run; the text says what was expected, what came and what to do."""


def run(
    *,
    trace_path: Path,
    host: str,
    port: int,
    nodes: int,
    seconds: float | None,
    studio: str,
    runtime: RuntimeChoice,
) -> int:
    """Run the nodes `bars-1`, `bars-2`, ...; the exit status: 1 if one of them ended by itself."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        trace = parse_trace(trace_path.read_text(encoding="utf-8"))
        found = find_runtime(runtime)
        with ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ashibar-simulate-")))
            start_s = time.time()
            started = [
                VirtualNode(
                    host,
                    port,
                    studio,
                    f"bars-{number}",
                    trace,
                    work_dir=directory,
                    seed=number,
                    start_unix_s=start_s,
                    loop=seconds is None,
                    runtime=found,
                )
                for number in range(1, nodes + 1)
            ]
            return _run(started, stack, ended, seconds)
    except (NodeError, TopicError, TraceError, OSError, UnicodeDecodeError) as error:
        raise SimulationError(str(error)) from error


def _run(nodes: list[VirtualNode], stack: ExitStack, ended: threading.Event, seconds: float | None) -> int:
    for node in nodes:
        node.start()
        stack.callback(node.kill)
    for node in nodes:
        boot = node.wait_boot(BOOT_TIMEOUT_S)
        print(f"{node.name}: boot {boot.boot}, {boot.runtime}", flush=True)
    end = None if seconds is None else time.monotonic() + seconds
    while all(node.is_running for node in nodes) and not ended.is_set():
        left = LOOK_EVERY_S if end is None else min(LOOK_EVERY_S, end - time.monotonic())
        if left <= 0:
            break
        ended.wait(left)
    return max(_stop(node) for node in nodes)


def _stop(node: VirtualNode) -> int:
    """Stop a node and say what it counted; 1 if it had ended by itself."""
    try:
        report = node.stop()
    except NodeError as error:
        print(error, flush=True)
        return 1
    print(
        f"{node.name}: {report.samples} samples in {report.frames} frames, {report.held} frames not stored, "
        f"{report.dropped_samples} samples dropped, {report.reconnects} reconnects",
        flush=True,
    )
    return 0
