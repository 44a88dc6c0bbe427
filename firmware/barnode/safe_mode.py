"""What is left of a node after repeated failed boots: network and commands, no sampling. It says so, can be
updated and set right from afar, and tries a full start by itself after a while."""

import asyncio
import os

from micropython import const

from barnode import guard, lazy, lights, reports, scratch
from barnode.backlog import Backlog
from barnode.clock import now_ms, since_ms
from barnode.commands import Commands
from barnode.link import LONGEST_STEP_MS, Link
from barnode.maintenance import Maintenance
from barnode.mqtt import Client
from barnode.wifi import Wifi

RETRY_MS = const(600000)  # whatever it was may be over: a node is not left so for years
_LOOK_MS = const(500)


class SafeNode:
    """Stands in for node.Node; `given` as there."""

    def __init__(self, given):
        notes = scratch.load()
        failed = notes.get("boots", 1) - 1
        self.boot = int.from_bytes(os.urandom(4), "little")
        self.given = given
        self._notes = (reports.reset_cause(), notes.get("error"), failed)
        self.problems = [
            "a start that lasts a minute expected, %d in a row failed: safe mode, no weight is "
            "measured; see last_error,"
            " update or repair, then reboot" % failed
        ]
        records = lazy.load("records").Records(self.problems)
        settings = lazy.load("settings")
        # a change on trial may be what fails: without it
        changes = settings.read(records, settings.KEPT, self.problems) or {}
        effective = dict(settings.given(given, self.problems) or {})
        effective.update(changes)
        self.config = config = lazy.load("config").Config(effective)
        self.problems += config.problems
        self.dog = guard.watchdog() if config.watchdog else None
        self.wifi = Wifi(config.wifi["ssid"], config.wifi["password"])
        self.wifi.start()
        self.loader = lazy.load("update").running_loader()
        self._versions = lazy.load("update").about(self.loader)
        board = config.board or {}
        self.light = lights.Light(board.get("light_pin"), board.get("lights", 0))
        self.maintenance = Maintenance(lambda: None)
        self._updater = lazy.load("update").Updater(self.loader, self.maintenance.refusal)
        self.commands = Commands(self._handlers(), self._reply)
        self.client = self._client(config)
        self.link = Link(config.broker, self.client, self.wifi, self._births, lambda: None)
        self.reboot_wanted = False
        self._stopping = asyncio.Event()
        for problem in self.problems:
            print("problem: %s" % problem)

    def _handlers(self):
        return {
            "identify": (self._identify, ()),
            "reboot": (self._reboot, ()),
            "maintenance": (self.maintenance.command, ("on", "minutes")),
            "update": (self._updater.command, ("step", "manifest", "path", "at", "data")),
            "set config": (self._set_config, ("config",)),
        }

    def _client(self, config):
        return Client(
            Backlog([bytearray(64), bytearray(64)]),
            1,
            1,
            "ashibar/v1/%s/%s/" % (config.studio, config.node),
            "ashibar-%s-%s" % (config.studio, config.node),
            reports.state("lost", self.boot),
            (("command", 1),),
            self._on_message,
            config.broker["user"],
            config.broker["password"],
        )

    def _reply(self, name, payload):
        self.client.publish(name, payload)

    def _on_message(self, name, payload, retained):
        if name != "command" or retained:
            return
        try:
            self.commands.take(payload)
        except Exception as error:
            print("%s: cannot be read: %s" % (name, error))

    def _births(self):
        about = reports.about(
            self.config,
            self.boot,
            self._notes,
            0,
            self.problems,
            self._versions,
            self.config.calibration,
            None,
        )
        return (("state", reports.state("online", self.boot)), ("about", about))

    async def _identify(self, _request):
        self._identifying = asyncio.create_task(self.light.identify())
        return {"node": self.config.node, "board": self.config.board["board"] if self.config.board else None}

    async def _set_config(self, request):
        records = lazy.load("records").Records(self.problems)
        settings = lazy.load("set_config").Settings(
            records, self.given, self.maintenance.loaded, self.restart
        )
        return await settings.command(request)

    async def _reboot(self, _request):
        self.restart()

    def restart(self):
        """Stop cleanly, then start in full."""
        scratch.note("boots", None)
        self.reboot_wanted = True
        self._stopping.set()

    async def run(self, stop_event=None):
        """Until `stop_event`, a command or RETRY_MS; answers the counters."""
        watch = guard.Guard(self.dog, [guard.Progress("the link", self.link.progress, LONGEST_STEP_MS)], None)
        began = now_ms()
        tasks = [asyncio.create_task(one) for one in (self.link.run(), self.commands.run())]
        while not self._stopping.is_set() and not (stop_event is not None and stop_event.is_set()):
            now = now_ms()
            watch.look(now)
            self.light.show(lights.SAFE)
            if since_ms(now, began) >= RETRY_MS:
                self.restart()
            await asyncio.sleep_ms(_LOOK_MS)
        self.client.publish("state", reports.state("offline", self.boot), True)
        for _ in range(50):
            if self.client.idle() or not self.client.connected:
                break
            await asyncio.sleep_ms(20)
        for task in tasks:
            task.cancel()
        self.client.close()
        return {"boot": self.boot, "samples": 0, "frames": 0}


def main(given):
    """Run it on the chip; it ends with a reset."""
    asyncio.run(SafeNode(given).run())
    import machine

    machine.reset()
