"""Puts the edges together: broker, journal, load model, page and sinks, started and stopped as one.

`Daemon` runs inside any process; `run` is the service: it owns the process's signals.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ashibar import __version__
from ashibar.core.config import ConfigError
from ashibar.core.topics import TopicError
from ashibar.fresh import fresh_lane
from ashibar.influx_side import make_sink
from ashibar.ingest import Ingest
from ashibar.io.config_file import read_secret
from ashibar.io.influx import SINK
from ashibar.io.journal import (
    Batch,
    Committer,
    EventRow,
    Journal,
    JournalError,
    Reader,
    SchemaError,
)
from ashibar.io.mqtt import Link, MqttOptions
from ashibar.live import LiveRig
from ashibar.pipeline import Pipeline, subscriptions
from ashibar.rigs import configured
from ashibar.series import SeriesReader
from ashibar.series_build import SeriesBuilder
from ashibar.service.side import ServiceSide
from ashibar.upkeep import Upkeep
from ashibar.web.door import Door
from ashibar.web.feed import Feed
from ashibar.web.server import Server

if TYPE_CHECKING:
    from types import FrameType

    from fastapi import FastAPI

    from ashibar.core.config import Config, MqttConfig
    from ashibar.ingest import Node

log = logging.getLogger(__name__)

LANE_WITHIN_S: Final = 0.3  # a broker that is there answers within this
QUEUE_WAITS_S: Final = 0.25  # so long a node takes for two frames; without a session no figure comes
FIGURE_WITHIN_S: Final = 0.5
LOOK_S: Final = 0.02
CORRUPT_LOOK_S: Final = 1.0  # how soon damage found in service makes for a new start
FRESH_WITHIN_S: Final = 5.0  # readiness is for supervisors; the page itself says NO DATA after 1 s


class Daemon:
    """The whole host. `start` returns once the page is served; `stop` takes less than 2 s.

    Raises JournalError, SchemaError, ConfigError or OSError where it cannot be started, and leaves nothing
    running then.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._began_us = _utc_us()
        options = _mqtt_options(config.mqtt)
        journal_path = Path(config.journal_path)
        self.journal = Journal(journal_path)
        self.committer = Committer(self.journal)
        self._reader = Reader(journal_path)
        nodes = [cell.node for rig in config.rigs for cell in rig.cells]
        self.ingest = Ingest(config.studio, nodes, self._reader)
        self.rigs_live = [LiveRig(rig.name, configured(config, rig, self._began_us)) for rig in config.rigs]
        self.feed = Feed()
        self.link = Link(options, subscriptions(config.studio))
        moved = self.journal.moved_aside
        self.side = ServiceSide(
            config,
            journal_path,
            self.ingest,
            self.rigs_live,
            self.link,
            now_us=self._began_us,
            follows=None if moved is None else moved.name,
        )
        self.lane = fresh_lane(config.studio, options, self.ingest, self.rigs_live, self.link)
        self.pipeline = Pipeline(
            config.studio,
            self.link,
            self.ingest,
            self.committer,
            self.rigs_live,
            feed=self.feed,
            service=self.side.service,
            commands=self.side.commands,
            lane=self.lane,
        )
        self.sink = self.side.sink = make_sink(config, journal_path, self.committer, self.side.desk)
        rigs = [rig.name for rig in config.rigs]
        self.series = SeriesReader(journal_path, config.studio, rigs)
        self.upkeep = self.side.upkeep = Upkeep(
            journal_path,
            self.committer,
            SeriesBuilder(self.committer, config.studio, rigs, _utc_us),
            policy=config.retention,
            sinks=() if self.sink is None else (SINK,),
            enter=self.ingest.salvaged,
        )
        self._door = Door(self.feed, rigs, self._application)
        self._stopping = threading.Event()
        self._later = threading.Thread(target=self._start_rest, name="start", daemon=True)
        try:
            self.server = Server(self._door, self.feed, host=config.web.host, port=config.web.port)
        except OSError:
            self._reader.close()
            self.journal.close()
            raise

    @property
    def url(self) -> str:
        """The page's address."""
        return self.server.url

    def _application(self) -> FastAPI:
        """Return the page with its REST interface."""
        from ashibar.web.app import create_app  # noqa: PLC0415 (it takes as long as all the rest)
        from ashibar.web.series import series_router  # noqa: PLC0415
        from ashibar.web.service_api import service_router  # noqa: PLC0415

        app = create_app(self.feed, self)
        app.include_router(series_router(self.series))
        app.include_router(service_router(self.side.views))
        return app

    def start(self) -> None:
        """Start everything, the journal first; what no figure needs follows the first one."""
        self.committer.start()
        self.committer.submit(self._first_events())
        self.side.start()
        self.pipeline.start()
        self.server.start()
        self._later.start()

    def _start_rest(self) -> None:
        """Start what no figure needs, as soon as one is shown or none seems to come.

        A broker that hands out a queue, and whoever takes it in, have little time for anything else. For a
        journal without a boot nothing is kept, and what is sent before it listens has to be sent again.
        """
        if self.ingest.uptos():
            self.lane.wait_listening(LANE_WITHIN_S)
            self._wait_shown(QUEUE_WAITS_S)
        if self._stopping.is_set():
            return
        self.link.start()
        self._wait_shown(FIGURE_WITHIN_S)
        self._door.make()
        if self._stopping.is_set():
            return
        if self.sink is not None:
            self.sink.start()
        self.upkeep.start()

    def _wait_shown(self, within_s: float) -> None:
        end_s = time.monotonic() + within_s
        while not self._is_shown() and time.monotonic() < end_s and not self._stopping.wait(LOOK_S):
            pass

    def _is_shown(self) -> bool:
        """Whether some rig has a figure on the page."""
        newest = [self.figure(rig.name) for rig in self.config.rigs]
        return any(figure is not None and figure["client"] is not None for figure in newest)

    def stop(self) -> None:
        """Stop in the order of the samples' way; what is not stored by then is not acknowledged either."""
        self._stopping.set()
        if self._later.is_alive():
            self._later.join(timeout=2.0)
        self.server.request_stop()
        self.upkeep.stop()
        self.pipeline.stop()
        self.committer.flush(0.5)
        self.link.stop()
        if self.sink is not None:
            self.sink.stop()
        self.committer.stop()
        self.side.stop()
        self.server.stop()
        self._reader.close()

    # What the page and the interfaces ask; from any thread, from memory.

    def accounting(self) -> dict[str, Any]:
        """Return the account of all samples; what it counts as stored is on the disk."""
        return {
            **msgspec.to_builtins(self.pipeline.summary),
            "aside": self.ingest.aside,
            "unknown_nodes": dict(self.ingest.unknown_nodes),
            "influxdb": None if self.sink is None else msgspec.to_builtins(self.sink.status),
        }

    def health(self) -> dict[str, Any]:
        """Say that the process lives, and what it is."""
        return {"status": "ok", "version": __version__, "uptime_s": (_utc_us() - self._began_us) / 1e6}

    def ready(self) -> tuple[bool, list[str]]:
        """Say whether samples come in, are stored and copied, and if not, why."""
        reasons = []
        if not self.link.connected:
            mqtt = self.config.mqtt
            why = self.link.stats.last_error or "connecting"
            reasons.append(f"no connection to the broker at {mqtt.host}:{mqtt.port}: {why}")
        if self.committer.problem is not None:
            reasons.append(self.committer.problem)
        if self.upkeep.problem is not None:
            reasons.append(self.upkeep.problem)
        now_us = time.monotonic_ns() // 1000
        for name in dict.fromkeys(cell.node for rig in self.config.rigs for cell in rig.cells):
            node = self.ingest.nodes.get(name)
            heard_us = None if node is None else node.last_frame_mono_us
            if heard_us is None:
                reasons.append(f"node {name}: no live samples since the start")
            elif now_us - heard_us > FRESH_WITHIN_S * 1e6:
                reasons.append(f"node {name}: no live samples for {(now_us - heard_us) / 1e6:.0f} s")
            rivals = None if node is None else node.rivals.problem(name, now_us)
            if rivals is not None:
                reasons.append(rivals)
        if self.sink is not None and self.sink.problem is not None:
            reasons.append(self.sink.problem)
        return not reasons, reasons

    def rigs(self) -> list[dict[str, Any]]:
        """List the rigs as configured."""
        return [
            {"name": rig.name, "hangers": [cell.hanger for cell in rig.cells]} for rig in self.config.rigs
        ]

    def nodes(self) -> list[dict[str, Any]]:
        """List the nodes as last heard of."""
        return [_node_info(node) for node in list(self.ingest.nodes.values())]

    def figure(self, rig: str) -> Any:
        """Return the newest figure of a rig, None before the first."""
        snapshot = self.feed.snapshot(rig)
        return None if snapshot is None else snapshot["figure"]

    def _first_events(self) -> Batch:
        """Return what a start puts on record."""
        events = [EventRow(self._began_us, "start", "daemon", _json({"version": __version__}))]
        if self.journal.moved_aside is not None:
            moved = self.journal.moved_aside.name
            log.error("the journal was damaged; it was moved to %s and a new one begun", moved)
        return Batch(events=events)


def run(config: Config) -> int:
    """Run the daemon until SIGINT or SIGTERM; returns the exit status. A second signal ends at once."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        daemon = Daemon(config)
    except (JournalError, SchemaError, ConfigError, TopicError, OSError) as error:
        print(f"ashibar cannot start: {error}", file=sys.stderr)
        return 1
    ended = threading.Event()

    def end(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    daemon.start()
    print(f"ashibar {__version__}: {daemon.url}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        while not ended.wait(CORRUPT_LOOK_S):
            if daemon.committer.corrupt:
                log.error("the journal is damaged: beginning anew with what can be read of it")
                daemon.stop()
                daemon = Daemon(config)
                daemon.start()
    daemon.stop()
    return 0


def _mqtt_options(mqtt: MqttConfig) -> MqttOptions:
    password = None
    if mqtt.password_file is not None:
        password, warnings = read_secret(mqtt.password_file, "MQTT password")
        for warning in warnings:
            log.warning("%s", warning)
    return MqttOptions(
        host=mqtt.host,
        port=mqtt.port,
        client_id=mqtt.client_id,
        protocol=mqtt.protocol,
        username=mqtt.username,
        password=password,
        tls=mqtt.tls,
        ca_file=None if mqtt.ca_file is None else Path(mqtt.ca_file),
    )


def _node_info(node: Node) -> dict[str, Any]:
    rivals = node.rivals.problem(node.name, time.monotonic_ns() // 1000)
    said = [] if node.about is None else node.about.problems
    return {
        "name": node.name,
        "state": node.state,
        "boot": node.boot,
        "newest_index": node.newest,
        "last_live_unix_s": None if node.last_frame_utc_us is None else node.last_frame_utc_us / 1e6,
        "about": None if node.about is None else msgspec.to_builtins(node.about),
        "problems": [*said, *(each for each in (rivals, node.problem) if each)],
        "health": None if node.health is None else msgspec.to_builtins(node.health),
    }


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _utc_us() -> int:
    return time.time_ns() // 1000
