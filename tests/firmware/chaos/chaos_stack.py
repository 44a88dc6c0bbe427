"""The chain a campaign is let loose on: mosquitto, the daemon as a process, nodes as devices that restart, a
wire that can be cut before each."""

import json
import time

import paho.mqtt.client as paho
from ashibar.io.journal import Reader
from ashibar.node import virtual_rig
from device_tools import CELLS, Device
from faults.parts import STUDIO, DaemonProcess
from faults.proxies import TcpProxy
from firmware_paths import FIRMWARE, ROOT
from paho.mqtt.enums import CallbackAPIVersion
from servers import Mosquitto, wait_until

WATCHED = ROOT / "tests/firmware/chaos/chaos_node.py"
WIFI = {"ssid": "room", "password": "long enough"}
LETS_GO = "        self._at_ms[slot] = now_ms\n        if refused:"
FORGETFUL = "        self._release(slot)\n        return\n" + LETS_GO


class ChaosNode(Device):
    """A device with its account on file and a wire of its own. `forgetful`: lets go of a frame at its
    PUBACK."""

    def __init__(self, micropython, folder, number, broker_port, *, forgetful=False, **settings):
        self.name, self.number, self.accounts = f"bars-{number}", number, folder / "accounts"
        self.accounts.mkdir(exist_ok=True)
        self.wire = TcpProxy(broker_port)
        today = virtual_rig.calibration_record(virtual_rig.draw_cells(CELLS, 1), time.time())
        settings = {"studio": STUDIO, "node": self.name, "wifi": WIFI, "calibration": today} | settings
        super().__init__(micropython, folder / self.name, self.wire.port, **settings)
        script, config = self._command[-2:]
        account = str(self.accounts / self.name)
        self._command[-2:] = [str(WATCHED), str(FIRMWARE / "virtual"), config, account]
        assert script.endswith("run.py")
        self.forgetful = forgetful
        if forgetful:
            path = self.flash / "barnode/backlog.py"
            text = path.read_text()
            assert LETS_GO in text
            path.write_text(text.replace(LETS_GO, FORGETFUL))

    @property
    def boot(self):
        return self.boots[-1]["boot"] if self.boots else None

    def order(self, **request):
        """A line of control.py; a node that is just starting again does not hear it."""
        try:
            self.tell(**request)
        except (OSError, ValueError):
            return False
        return True

    def shows(self):
        """What a person at the node sees now: light, buzzer, counters."""
        said = [line for line in self.lines[-400:] if line.startswith("shows ")]
        return json.loads(said[-1].removeprefix("shows ")) if said else None

    def finish(self, within_s=20):
        """Stop cleanly and return what it counted."""
        self._ended = True
        self.order(do="stop")
        self.wait_line('"event": "stopped"', within_s)
        self._thread.join(within_s)
        return json.loads(self.said('"event": "stopped"')[-1])

    def close(self):
        self._ended = True
        if self._thread.ident is not None:
            self.__exit__()
        self.wire.stop()


class Listener:
    """Hears what the nodes say of themselves, whatever becomes of the broker; sends what nobody should."""

    def __init__(self, port):
        self.heard = {}  # (node, topic) -> [(monotonic seconds, message)]
        self._client = paho.Client(CallbackAPIVersion.VERSION2, "listener")
        self._client.reconnect_delay_set(0.1, 0.5)
        self._client.on_connect = lambda client, *_: client.subscribe(f"ashibar/v1/{STUDIO}/#", 0)
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", port, keepalive=5)
        self._client.loop_start()

    def _take(self, _client, _data, message):
        node, topic = message.topic.split("/")[3:5]
        if topic in ("weight", "health", "state", "reply") and message.payload[:1] == b"{":
            said = json.loads(message.payload)
            self.heard.setdefault((node, topic), []).append((time.monotonic(), said))

    def since(self, node, topic, begin_s):
        return [said for at_s, said in self.heard.get((node, topic), []) if at_s >= begin_s]

    def send(self, node, topic, payload):
        self._client.publish(f"ashibar/v1/{STUDIO}/{node}/{topic}", payload, 0)

    def stop(self):
        self._client.disconnect()
        self._client.loop_stop()


class ChaosStack:
    """Everything of one campaign below `folder`. `nodes`: settings of each node, by number."""

    def __init__(self, micropython, folder, nodes):
        self.folder = folder
        self.broker = Mosquitto(folder / "mosquitto")
        self.host_wire = TcpProxy(self.broker.port)
        names = [f"bars-{number}" for number in nodes]
        self.host = DaemonProcess(folder / "host", names, self.host_wire.port)
        self.nodes = {
            number: ChaosNode(micropython, folder, number, self.broker.port, **settings)
            for number, settings in nodes.items()
        }
        self.listener = None
        self._faults = {}

    def start(self):
        self.broker.start()
        self.host.start()
        self.listener = Listener(self.broker.port)
        for node in self.nodes.values():
            node.__enter__()
        for node in self.nodes.values():
            node.wait_boots(1, 30)
        wait_until(lambda: all(self.figure(node.name) for node in self.nodes.values()), "figures", 30, 0.1)
        return self

    def figure(self, name):
        """The rig's figure if it is one to rely on."""
        answer = self.host.get(f"api/v1/figure?rig=room-{name.rsplit('-', 1)[1]}")
        return answer if answer and answer["client"] is not None else None

    def stop(self):
        for node in self.nodes.values():
            node.close()
        if self.listener is not None:
            self.listener.stop()
        self.host_wire.stop()
        for process in (self.host, self.broker):
            if process.child is not None:
                process.kill()

    def settled(self):
        """Whether the host has all stamps of what it stored."""
        reader = Reader(self.host.journal)
        try:
            return not reader.boots_with_provisional()
        finally:
            reader.close()
