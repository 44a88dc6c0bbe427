"""Puts the service together for the daemon: desk, commands, summaries, heads. It runs no rig itself."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Final

from ashibar.core import topics
from ashibar.core.messages import encode
from ashibar.io.journal import Reader, SafetyReader
from ashibar.io.mqtt import NotConnectedError
from ashibar.service.commands import Commands
from ashibar.service.desk import Desk
from ashibar.service.heads import HeadKeeper
from ashibar.service.recompute import Recomputer
from ashibar.service.service import Service
from ashibar.service.summaries import Summarizer
from ashibar.service.surroundings import Surroundings
from ashibar.service.views import Views

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ashibar.core.chain import Head
    from ashibar.core.config import Config
    from ashibar.core.messages import Command
    from ashibar.ingest import Ingest
    from ashibar.io.influx import InfluxSink
    from ashibar.io.mqtt import Link
    from ashibar.live import LiveRig
    from ashibar.upkeep import Upkeep

LOOK_EVERY_S: Final = 10.0  # at the disk and the sink: neither fills within that


class ServiceSide:
    """All of the service. The daemon starts it before the pipeline and stops it after the committer."""

    def __init__(
        self,
        config: Config,
        journal: Path,
        ingest: Ingest,
        rigs: Sequence[LiveRig],
        link: Link,
        *,
        now_us: int,
        follows: str | None,
    ) -> None:
        self._studio, self._link = config.studio, link
        self.sink: InfluxSink | None = None
        self.upkeep: Upkeep | None = None
        self.journal = journal
        self._reader = SafetyReader(journal)
        self._looks: dict[str, tuple[float, float | None]] = {}
        around = Surroundings(ingest, self._store_free, self._sink_lag_s, self._send)
        self.desk = Desk(link.wake)
        self.summarizer = Summarizer(journal, self.desk)
        self.recomputer = Recomputer(journal, self.desk)
        self.heads = HeadKeeper(config.studio, config.safety_log)
        self.service = Service(
            config, rigs, self._reader, around, self.desk, now_us=now_us, follows=follows, stored=self._stored
        )
        self.views = Views(journal, self.service, self.desk)
        self.service.recompute = self.recomputer.add
        self.commands = Commands(config.studio, link, self.desk, self.service)

    def start(self) -> None:
        """Begin what has threads of its own."""
        self.summarizer.start()
        self.recomputer.start()
        self.heads.start()

    def stop(self) -> None:
        """End, with everything stored that will be."""
        self.desk.close()
        self.summarizer.stop()
        self.recomputer.stop()
        self.heads.stop()
        self._reader.close()

    def _stored(self, head: Head | None, ended: Sequence[str]) -> None:
        """What was handed in is on the disk. Runs in the journal's thread."""
        if head is not None:
            self.heads.stored(head)
        self.summarizer.add(ended)

    def _send(self, node: str, command: Command) -> bool:
        """Send a command to a node; False where there is no connection."""
        try:
            topic = topics.build(self._studio, node, topics.Kind.COMMAND)
            self._link.publish(topic, encode(command), 1, retain=False)
        except NotConnectedError:
            return False
        return True

    def _store_free(self) -> float | None:
        """Return the free fraction of the store: 0 where upkeep is short of room, else that of the disk."""
        if self.upkeep is not None and self.upkeep.store_full:
            return 0.0
        known = self._known("store")
        if known is None:
            usage = shutil.disk_usage(self.journal.parent)
            known = self._looks["store"] = (time.monotonic(), usage.free / usage.total)
        return known[1]

    def _sink_lag_s(self) -> float | None:
        if self.sink is None:
            return None
        known = self._known("sink")
        if known is None:
            known = self._looks["sink"] = (time.monotonic(), _lag_s(self._reader, self.sink.cursor))
        return known[1]

    def _known(self, what: str) -> tuple[float, float | None] | None:
        known = self._looks.get(what)
        return known if known is not None and time.monotonic() - known[0] < LOOK_EVERY_S else None


def _lag_s(reader: Reader, cursor: int) -> float:
    """Return how long the oldest frame a sink has not has been waiting."""
    waiting = reader.frames_after(cursor, 1)
    return max(0.0, time.time() - waiting[0].row.received_us / 1e6) if waiting else 0.0
