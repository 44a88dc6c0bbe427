"""A virtual node: the real firmware on a virtual board, as a child process that plays a trace.

The child ends when its input closes, so nothing is left running when this process dies, however it dies.
"""

from __future__ import annotations

import collections
import contextlib
import queue
import subprocess
import threading
import time
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ashibar.node import virtual_rig
from ashibar.node.errors import NodeError
from ashibar.node.runtime import Runtime, find_firmware, find_runtime

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ashibar.core.trace import Trace

BOOT_TIMEOUT_S: Final = 20.0
STOP_TIMEOUT_S: Final = 5.0  # the node itself waits up to 2 s for the host to confirm its last frames
LOG_LINES: Final = 200
# An ESP32's heap grows to about 112 KB; words are twice as wide here, and the virtual board shares it.
DEFAULT_HEAP: Final = "384k"


@dataclass(frozen=True, slots=True)
class BootInfo:
    """`epoch_unix_us`: wall clock (Unix microseconds) of the boot's device time 0, the truth of the board."""

    boot: int
    epoch_unix_us: int
    runtime: str
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeReport:
    """What the node counted when it stopped; `held`: frames neither confirmed by the host nor given up."""

    boot: int
    samples: int
    frames: int
    held: int = 0
    dropped: int = 0
    dropped_samples: int = 0
    resent: int = 0
    reconnects: int = 0


class VirtualNode:
    """One node of `studio` called `name`, with as many cells as the trace has.

    `start_unix_s`: when the trace begins; None: when the board is switched on. `faults`: entries of
    firmware/virtual/board_faults.py. `cells` and `calibration`: the truth of its parts, drawn from `seed`.
    `board`: a board file of the firmware, by name; None: HX711 for as many cells as the trace has.
    """

    def __init__(
        self,
        broker_host: str,
        broker_port: int,
        studio: str,
        name: str,
        trace: Trace,
        *,
        work_dir: Path,
        seed: int = 1,
        start_unix_s: float | None = None,
        loop: bool = False,
        faults: Sequence[Mapping[str, Any]] = (),
        heap: str | None = DEFAULT_HEAP,
        runtime: Runtime | None = None,
        samples_per_frame: int = 6,
        calibrated: bool = True,
        board: str | None = None,
    ) -> None:
        self.name = name
        self.runtime = runtime or find_runtime()
        wiring = (
            virtual_rig.board_file(trace.cells)
            if board is None
            else virtual_rig.load_board(board, trace.cells)
        )
        self.cells = virtual_rig.draw_cells(trace.names, seed, virtual_rig.count_per_n(wiring))
        self.calibration = virtual_rig.calibration_record(self.cells, start_unix_s or time.time())
        self.log: collections.deque[str] = collections.deque(maxlen=LOG_LINES)
        self._dir = work_dir
        self._heap = heap
        self._process: subprocess.Popen[str] | None = None
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._reader: threading.Thread | None = None
        self._node = {
            "studio": studio,
            "node": name,
            "broker": {"host": broker_host, "port": broker_port},
            "board": wiring,
            "samples_per_frame": samples_per_frame,
            "cells": [{"name": cell.name, "capacity_n": virtual_rig.CAPACITY_N} for cell in self.cells],
            "calibration": self.calibration if calibrated else None,
        }
        self._board = virtual_rig.board_config(self.cells, seed, wiring)
        self._board["faults"] = [dict(fault) for fault in faults]
        self._trace = trace
        self._start = {"start_unix_s": "now" if start_unix_s is None else start_unix_s, "loop": loop}

    def start(self) -> None:
        """Start the child; returns before it is up."""
        self._dir.mkdir(parents=True, exist_ok=True)
        trace_file = virtual_rig.write_trace(self._trace, self._dir / f"{self.name}.trace")
        self._board["trace"] = trace_file | self._start
        self._board["nvs_file"] = str(self._dir / f"{self.name}.nvs.json")
        config = self._dir / f"{self.name}.json"
        virtual_rig.write_config(config, self._node, self._board)
        script = find_firmware() / "virtual" / "run.py"
        self._process = subprocess.Popen(
            [*self.runtime.with_heap(self._heap), str(script), str(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # Ctrl-C at the terminal is for whoever started us to pass on
        )
        self._reader = threading.Thread(target=self._read, name=f"node-{self.name}", daemon=True)
        self._reader.start()

    def wait_boot(self, timeout_s: float = BOOT_TIMEOUT_S) -> BootInfo:
        """Wait until the firmware is up. Raises NodeError with its last words if it is not."""
        event = self._await("boot", timeout_s)
        return BootInfo(event["boot"], event["epoch_unix_us"], event["runtime"], tuple(event["problems"]))

    def inject(self, fault: str, *, cell: int = 0, for_s: float = 1.0, amount: float | None = None) -> None:
        """A fault from now on; kinds as in firmware/virtual/board_faults.py."""
        self._tell({"do": "fault", "fault": fault, "cell": cell, "for_s": for_s, "amount": amount})

    def set_network(self, *, up: bool) -> None:
        """Switch the node's Wi-Fi off or on; sockets that are open stay so."""
        self._tell({"do": "network", "up": up})

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> NodeReport:
        """Stop cleanly and answer the counters; the child is gone then. Raises NodeError without them."""
        with contextlib.suppress(NodeError):  # one that is already down has said why
            self._tell({"do": "stop"})
        try:
            event = self._await("stopped", timeout_s)
        except NodeError:
            self.kill()
            raise
        self.kill(after_s=0.5)
        known = {field.name for field in fields(NodeReport)}
        return NodeReport(**{name: value for name, value in event.items() if name in known})

    def kill(self, *, after_s: float = 0.0) -> None:
        """End the child, at once or unless it ends by itself within `after_s`; harmless if it has ended."""
        process = self._process
        if process is None:
            return
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._reader is not None:
            self._reader.join(1.0)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    @property
    def is_running(self) -> bool:
        """Whether the child is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Process id of the child, once started."""
        return self._process.pid if self._process else None

    def _tell(self, request: dict[str, Any]) -> None:
        if self._process is None or self._process.stdin is None:
            raise NodeError(f"node {self.name}: expected it to run, it was not started: call start() first")
        try:
            self._process.stdin.write(msgspec.json.encode(request).decode() + "\n")
            self._process.stdin.flush()
        except (OSError, ValueError) as error:
            raise NodeError(f"node {self.name} has ended; its last words: {self._last_words()}") from error

    def _read(self) -> None:
        """Sort the child's lines into events and log, until it closes its output."""
        assert self._process is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError, ValueError):
            for line in self._process.stdout:
                event = _event(line)
                if event is None:
                    self.log.append(line.rstrip())
                else:
                    self._events.put(event)
        self._events.put(None)

    def _await(self, wanted: str, timeout_s: float) -> dict[str, Any]:
        end = time.monotonic() + timeout_s
        while True:
            try:
                event = self._events.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise NodeError(
                    f"node {self.name}: expected {wanted!r} within {timeout_s:g} s, it did not come; "
                    f"its last words: {self._last_words()}"
                ) from None
            if event is None:
                self._events.put(None)
                raise NodeError(
                    f"node {self.name} ended without {wanted!r}; its last words: {self._last_words()}"
                )
            if event["event"] == wanted:
                return event
            self.log.append(str(event))

    def _last_words(self) -> str:
        return " | ".join(list(self.log)[-8:]) or "none"


def _event(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        event = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return None
    return event if isinstance(event, dict) and "event" in event else None
