"""Makes docs/faults-at-the-node.md from what is observed: `python tests/firmware/fault_table.py [--write]`.

A chain of real nodes, a real broker and the daemon; each fault of fault_table_rows is made, and looked at in
three places: at the node, on the wire, on the therapist's page. Which faults there are is decided there.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "chaos"), str(HERE.parent)]

import fault_table_rows as rows  # noqa: E402 - a script, too
import playwright  # noqa: E402
from ashibar.core.codes import COUNT_MIN, Code  # noqa: E402
from ashibar.core.config import check  # noqa: E402
from ashibar.core.frame import decode  # noqa: E402
from ashibar.daemon import Daemon  # noqa: E402
from ashibar.node import virtual_rig  # noqa: E402
from chaos_run import find_micropython  # noqa: E402
from chaos_stack import ChaosNode  # noqa: E402
from device_tools import CELLS  # noqa: E402
from faults.parts import STUDIO, config_text  # noqa: E402
from firmware_paths import ROOT  # noqa: E402
from paho.mqtt import client as paho  # noqa: E402
from servers import Mosquitto, wait_until  # noqa: E402

PAGE = ROOT / "docs/faults-at-the-node.md"
STATIC = ROOT / "host/ashibar/web/static"
BEGIN, END = "<!-- observed -->\n", "<!-- end -->\n"
FLAGS = {1: "backlog", 2: "first after a loss", 4: "overload", 8: "decimated"}
CLOSED = "closed-room"
OLD = 1_700_000_000  # a calibration whose zero nobody relies on any more
WORDS = """
import { wordsFor, showable } from "%s";
import { readFileSync } from "node:fs";
for (const { figure, verdict } of JSON.parse(readFileSync(0))) {
  const shown = verdict === "live" && showable(figure);
  const words = wordsFor(figure, verdict);
  console.log(JSON.stringify(shown ? { headline: "", reason: "", remedy: "" } : words));
}
"""


class Wire:
    """What passes between the nodes and the host, as any subscriber sees it."""

    def __init__(self, port):
        self.frames, self.said = {}, {}
        self._news = threading.Lock()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, "onlooker")
        self._client.reconnect_delay_set(0.1, 0.5)
        self._client.on_connect = lambda client, *_: client.subscribe("ashibar/v1/#", 0)
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", port, keepalive=5)
        self._client.loop_start()

    def _take(self, _client, _data, message):
        node, topic = message.topic.split("/")[3:5]
        with self._news:
            if topic == "samples":
                self.frames.setdefault(node, []).append((time.monotonic(), decode(message.payload)))
            elif topic in ("weight", "state", "about", "reply"):
                said = json.loads(message.payload)
                self.said.setdefault((node, topic), []).append((time.monotonic(), said))

    def since(self, node, topic, begin_s):
        """Return the messages of a topic since a moment; frames of `samples`."""
        with self._news:
            heard = self.frames.get(node, []) if topic == "samples" else self.said.get((node, topic), [])
            return [each for at_s, each in heard if at_s >= begin_s]

    def codes(self, node, begin_s, cells, least=3):
        """Return the names of the codes that stood in the place of readings of these cells; a few among many
        are a late machine's."""
        counted = Counter()
        for frame in self.since(node, "samples", begin_s):
            counted.update(frame.counts[:, list(cells)][frame.counts[:, list(cells)] < COUNT_MIN].tolist())
        if least > 1:
            least = max(least, max(counted.values(), default=0) / 5)
        return {Code(code).name.lower() for code, count in counted.items() if count >= least}

    def flags(self, node, begin_s):
        found = {bit for frame in self.since(node, "samples", begin_s) for bit in FLAGS if frame.flags & bit}
        return {FLAGS[bit] for bit in found}

    def send(self, node, topic, **fields):
        self._client.publish(f"ashibar/v1/{STUDIO}/{node}/{topic}", json.dumps(fields), 1)

    def stop(self):
        self._client.disconnect()
        self._client.loop_stop()


class Chain:
    """Broker, daemon in this process and nodes 1 to 6; 4 is not calibrated, 5 was calibrated long ago."""

    def __init__(self, micropython, folder):
        self.micropython, self.folder, self.host_gone = micropython, folder, False
        self.broker = Mosquitto(folder / "mosquitto").start()
        self.wire = Wire(self.broker.port)
        settings = {number: {} for number in range(1, 7)}
        settings[4]["calibration"] = None
        settings[5]["calibration"] = virtual_rig.calibration_record(virtual_rig.draw_cells(CELLS, 1), OLD)
        names = [f"bars-{number}" for number in settings]
        text = config_text(names, self.broker.port, 0, journal=str(folder / "journal.sqlite"))
        self.daemon = Daemon(check(tomllib.loads(text)))
        self.daemon.start()
        self.closed = self._closed_studio(folder / "closed.sqlite")
        self.nodes = {number: self.node(number, **each) for number, each in settings.items()}

    def _closed_studio(self, journal):
        """A second host, of a studio where no session runs: there a node may be updated."""
        given = tomllib.loads(config_text(["bars-7"], self.broker.port, 0, journal=str(journal)))
        given["studio"]["name"] = CLOSED
        given["mqtt"]["client_id"] = CLOSED
        given["session"]["required"] = True
        daemon = Daemon(check(given))
        daemon.start()
        return daemon

    def node(self, number, *, folder=None, unique_id=None, **settings):
        """Switch on a node; `unique_id`: of another chip."""
        folder = folder or self.folder
        folder.mkdir(exist_ok=True)
        node = ChaosNode(self.micropython, folder, number, self.broker.port, **settings)
        if unique_id is not None:
            text = json.loads(node.config.read_text())
            text["board"]["unique_id"] = unique_id
            node.config.write_text(json.dumps(text))
        return node.__enter__()

    def wait_up(self):
        for number in self.nodes:
            wait_until(
                lambda number=number: self.figure(number)["age_s"], f"samples of bars-{number}", 30, 0.1
            )

    def figure(self, number):
        """Return what the page is told; None when the host does not answer."""
        daemon, room = (self.closed, 1) if number == 7 else (self.daemon, number)
        try:
            with urllib.request.urlopen(f"{daemon.url}api/v1/figure?rig=room-{room}", timeout=2) as answer:
                return json.load(answer)
        except OSError:
            return None

    def stop(self):
        for node in self.nodes.values():
            node.close()
        self.wire.stop()
        self.closed.stop()
        if not self.host_gone:
            self.daemon.stop()
        self.broker.stop()


def observe(micropython, folder):
    """Make every fault and return {row: Seen}, words of the page included; a row that fails has its error."""
    chain = Chain(micropython, folder)
    try:
        chain.wait_up()
        seen = {}
        with ThreadPoolExecutor(len(rows.LANES)) as pool:
            for part in pool.map(lambda lane: _play(chain, lane), rows.LANES):
                seen |= part
        seen |= _play(chain, rows.LAST)
    finally:
        chain.stop()
    _add_words(seen)
    return seen


def _play(chain, lane):
    seen = {}
    for row in lane:
        try:
            seen[row.fault] = row.make(chain)
        except Exception as error:  # noqa: BLE001 - told by the test of that row
            seen[row.fault] = error
    return seen


def _add_words(seen):
    """Let the page's own code say what stands where the figure would be."""
    good = [each for each in seen.values() if isinstance(each, rows.Seen)]
    asked = json.dumps([{"figure": each.figure, "verdict": each.verdict} for each in good])
    node = os.environ.get("PLAYWRIGHT_NODEJS_PATH") or str(Path(playwright.__file__).parent / "driver/node")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "figure.mjs").write_text((STATIC / "figure.js").read_text())
        script = WORDS % "./figure.mjs"
        (Path(folder) / "words.mjs").write_text(script)
        done = subprocess.run(
            [node, f"{folder}/words.mjs"], input=asked, capture_output=True, text=True, check=True
        )
    for each, line in zip(good, done.stdout.splitlines(), strict=True):
        each.words = json.loads(line)


def table(seen):
    """Return the table as it stands in the page."""
    lines = ["| fault | at the node | on the wire | to the therapist |", "|---|---|---|---|"]
    for row in rows.ALL:
        told = seen[row.fault]
        if isinstance(told, Exception):
            raise told
        lines.append(f"| {row.fault} | {told.node} | {told.wire} | {told.page()} |")
    return "\n".join(lines) + "\n"


def documented():
    """Return the table of the page as text, and its rows by fault."""
    text = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    found = {}
    for line in text.splitlines()[2:]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        found[cells[0]] = tuple(cells[1:])
    return text, found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"replace the table in {PAGE.name}")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        text = table(observe(find_micropython(), Path(folder)))
    print(text, end="")
    if options.write:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(before + BEGIN + text + END + rest.partition(END)[2])
    return 0


if __name__ == "__main__":
    sys.exit(main())
