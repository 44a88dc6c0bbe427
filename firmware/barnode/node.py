"""The node put together: samples go into the backlog, the backlog to the broker, the host's word back; and a
clean stop.

On the unix port, interrupting it (SIGINT) is a clean stop too, but only through `main`: MicroPython raises
the interrupt out of the event loop, past every coroutine.
"""

import asyncio
import gc
import json
import os
import time

from micropython import const

from barnode import guard, lazy, pool, reports, scratch
from barnode.alone import Alone
from barnode.backlog import SPARE_SLOTS, Backlog
from barnode.builder import FrameBuilder
from barnode.buzzer import Buzzer
from barnode.clock import Clock, now_ms, since_ms
from barnode.duties import Duties
from barnode.frame import OVERLOAD, frame_length
from barnode.lights import Light
from barnode.link import LONGEST_STEP_MS, Link
from barnode.mqtt import Client
from barnode.overload import Overload
from barnode.twins import Twins
from barnode.weight import Weight
from barnode.wifi import Wifi

CONFIG_PATH = "/config.json"
WEIGHT_MS = const(250)
HEALTH_MS = const(10000)
COLLECT_MS = const(
    1000
)  # garbage is collected when we choose, right after a sample, not in the middle of one
RESTART_MS = const(1000)  # before a task that failed is started again
STOP_MS = const(1500)  # a clean stop waits this long for the host to confirm the last frames
GOODBYE_MS = const(300)
SUBSCRIPTIONS = (("committed", 1), ("command", 1), ("display", 0), ("state", 0))


class Node:
    """One node for one boot. `given` is the configuration as a dict; `adc` None opens the board's own
    converter."""

    def __init__(self, given, adc=None):
        self.problems: list = []
        self.given = given
        records = lazy.load("records").Records(self.problems)
        config, on_trial = self._configure(records)
        self.dog = guard.watchdog() if config.watchdog else None
        notes = scratch.load()
        self._notes = (reports.reset_cause(), notes.get("error"), max(0, (notes.get("boots") or 1) - 1))
        self.boot = int.from_bytes(os.urandom(4), "little")
        self.clock = Clock()
        self.adc = adc if adc is not None else self._open_adc()
        self.wifi = Wifi(config.wifi["ssid"], config.wifi["password"])
        self.wifi.start()
        self.channels = self.adc.channels if self.adc is not None else config.channels
        self.loader = lazy.load("update").running_loader()
        self._versions = lazy.load("update").about(self.loader)
        stored = lazy.load("calibration").stored
        calibration = stored(records, config.calibration, self.channels, self.problems)
        del records, stored
        lazy.unload("update", "manifest", "calibration", "config", "settings", "boards", "records")
        self._build(config, calibration)
        self.duties = Duties(self, on_trial)
        self.unreadable = 0
        self.tap = None  # takes each sample while a capture runs
        self.reboot_wanted = False
        self._ending = False
        self._stopping = asyncio.Event()
        for problem in self.problems:
            print("problem: %s" % problem)

    def _configure(self, records):
        """Read and check the configuration; answers it, and whether it is on trial."""
        settings = lazy.load("settings")
        effective, on_trial = settings.overlay(
            records, settings.given(self.given, self.problems), self.problems
        )
        checked = lazy.load("config").Config(effective)
        self.problems += checked.problems
        self.config = checked.settled()
        return self.config, on_trial

    def _build(self, config, calibration):
        """The parts, in the order of a sample's way."""
        samples = config.samples_per_frame
        self.health = reports.Health(self.boot, self.channels, self._notes[0])
        wanted = config.backlog_frames or -(-pool.BACKLOG_S * config.rate_hz // samples) + SPARE_SLOTS
        self.weight = Weight(self.channels, self.boot, calibration)
        self.overload = Overload(self.weight, config.overload["cell_n"], config.overload["sum_n"])
        board = config.board or {}
        self.light = Light(board.get("light_pin"), board.get("lights", 0))
        buzzer = Buzzer(board.get("buzzer_pin"), board.get("buzzer_hz"))
        self.twins = Twins(config.node, self.boot, reports.hardware(), self.tell_about)
        self.alone = Alone(self.light, buzzer, self.overload, self._faulty, self.twins.problem)
        self.backlog = Backlog(pool.allocate(frame_length(samples, self.channels), wanted), self.channels)
        calibration_id = calibration["id"] if calibration else 0
        self.builder = FrameBuilder(
            self.backlog, self.clock, self.boot, samples, self.channels, calibration_id
        )
        self.client = self._client(config)
        self.link = Link(config.broker, self.client, self.wifi, self._births, self.twins.taken_over)

    def _client(self, config):
        return Client(
            self.backlog,
            config.samples_per_frame,
            self.channels,
            "ashibar/v1/%s/%s/" % (config.studio, config.node),
            "ashibar-%s-%s" % (config.studio, config.node),
            reports.state("lost", self.boot),
            SUBSCRIPTIONS,
            self.on_message,
            config.broker["user"],
            config.broker["password"],
        )

    def _open_adc(self):
        """A node that cannot read its converter stays on the network and says so."""
        try:
            if self.config.board is None:
                raise ValueError("no board, no converter")  # noqa: TRY301 - one way to say it
            return lazy.load("boards").open_adc(self.config.board)
        except Exception as error:
            self.problems.append("converter: cannot be opened (%s): check board and wiring" % error)
            return None

    # The sampler's sink

    def take(self, ticks, counts):
        """One sample of all cells, read at `ticks`. No allocation."""
        self.weight.take(counts)
        if self.builder.take(ticks, counts, OVERLOAD if self.overload.take(counts) else 0):
            self.client.wake()
        if self.tap is not None:
            self.tap.take(ticks, counts)

    def _faulty(self):
        return self.adc is None or self.weight.faulty

    # The host

    def on_message(self, name, payload, retained):
        """A message under this node's root; what cannot be read is counted and forgotten."""
        try:
            if name == "committed":
                self._committed(json.loads(payload), retained)
            elif name == "display":
                display = json.loads(payload)
                self.alone.display(display)
                self.duties.maintenance.hear(display)
            elif name == "state":
                self.twins.state(json.loads(payload), retained, self.link.connections)
            elif (
                name == "command" and not retained and not self._ending
            ):  # a kept command would come again at every connection
                self.duties.commands.take(payload)
        except Exception as error:
            self.unreadable += 1
            print("%s: cannot be read: %s" % (name, error))

    def _committed(self, word, retained):
        if not retained:
            self.backlog.host_seen(now_ms())
        if word["boot"] == self.boot and not self.backlog.commit(word["upto"], now_ms(), alive=not retained):
            self.unreadable += 1
        self.client.wake()

    def _births(self):
        return (("state", reports.state("online", self.boot)), ("about", self._about()))

    def _about(self):
        twin = self.twins.problem()
        return reports.about(
            self.config,
            self.boot,
            self._notes,
            len(self.backlog.slots),
            self.problems + ([twin] if twin else []),
            self._versions,
            self.weight.calibration,
            self.duties.zero,
        )

    def tell_about(self):
        """Publish `about` anew."""
        self.client.publish("about", self._about(), True)

    def reply(self, name, payload):
        """Answer a command."""
        self.client.publish(name, payload)

    def device_us(self):
        """Device time now."""
        self.clock.advance(time.ticks_us())
        return self.clock.us()

    def restart(self):
        """Stop cleanly, then start again."""
        self.reboot_wanted = True
        self._stopping.set()

    # Work in the background

    async def _keep(self, name, work):
        """Run `work` for ever: what fails says so, and starts again."""
        while True:
            try:
                await work()
            except Exception as error:
                print("%s: %s" % (name, scratch.note_error(error)))
            await asyncio.sleep_ms(RESTART_MS)

    async def _sample(self):
        from barnode.sampler import Sampler

        await Sampler(self.adc, self).run()

    async def _trial(self):
        await (
            lazy.load("trial")
            .Trial(
                self.loader,
                self.config.trial_s,
                lambda: self.client.connected,
                self.builder.taken,
                self.duties.maintenance.loaded,
                self._confirmed,
            )
            .run()
        )

    def _confirmed(self):
        self._versions = lazy.load("update").about(self.loader)
        self.tell_about()

    async def _report(self):
        health_ms = collect_ms = now_ms()
        while True:
            await asyncio.sleep_ms(WEIGHT_MS)
            self.client.publish_now("weight", self.weight.report(max(0, self.builder.taken() - 1)))
            self.duties.window.note()
            self.backlog.sweep()
            self.twins.forget()
            now = now_ms()
            if since_ms(now, health_ms) >= HEALTH_MS:
                health_ms = now
                self.clock.advance(time.ticks_us())
                self.client.publish_now("health", self._health())
                self.duties.look()
            if since_ms(now, collect_ms) >= COLLECT_MS:
                collect_ms = now
                await self._collect_after_sample()

    def _health(self):
        return self.health.report(
            self.clock, self.builder, self.backlog, self.link, self.wifi, self.adc, self.overload.count
        )

    async def _collect_after_sample(self):
        before = self.builder.taken()
        for _ in range(15):
            if self.builder.taken() != before:
                break
            await asyncio.sleep_ms(1)
        gc.collect()

    async def run(self, stop_event=None):
        """Work until `stop_event`, a reboot command or cancellation; then stop cleanly and answer the
        counters."""
        work = [
            ("alone", self.alone.run),
            ("commands", self.duties.commands.run),
            ("reports", self._report),
            ("guard", self._guard().run),
        ]
        if self.adc is not None:
            work.append(("sampler", self._sample))
        tasks = [asyncio.create_task(self._keep(name, one)) for name, one in work]
        if self.duties.on_trial:
            tasks.append(asyncio.create_task(self._keep("settings", self.duties.try_settings)))
        if self.loader is not None and self.loader.trial:
            tasks.append(asyncio.create_task(self._keep("trial", self._trial)))
        if self.config.broker["host"]:
            self._link_task = asyncio.create_task(self._keep("link", self.link.run))
        else:
            print("no broker is configured: samples are not sent")
        if stop_event is not None:
            tasks.append(asyncio.create_task(self._stop_with(stop_event)))
        try:  # noqa: SIM105 - no contextlib on the chip
            await self._stopping.wait()
        except asyncio.CancelledError:  # how CPython tells of SIGINT
            pass
        for task in tasks:
            task.cancel()
        return await self.finish()

    def _guard(self):
        watched = []
        if self.adc is not None:
            watched.append(guard.Progress("sampling", self.builder.taken, guard.SAMPLES_MS))
        if self.config.broker["host"]:
            watched.append(guard.Progress("the link", self.link.progress, LONGEST_STEP_MS))
        return guard.Guard(self.dog, watched, scratch.went_well)

    async def _stop_with(self, stop_event):
        await stop_event.wait()
        self._stopping.set()

    # The end

    async def finish(self, interrupted=False):
        """Send what is left, wait a bounded time for the host's word, say `offline`; answers the counters.

        `interrupted` takes the old connection for broken off and makes one more."""
        self._ending = True
        scratch.went_well()
        self.builder.flush()
        if interrupted:
            self.client.start_over()
        self.client.wake()
        try:
            if self.config.broker["host"] and not self.client.connected:
                await asyncio.wait_for(self.link.connect(), GOODBYE_MS / 1000)
                self._last_task = asyncio.create_task(self._serve_quietly())
            if self.client.connected:
                await self._wait(STOP_MS, self._all_stored)
                self.client.publish("state", reports.state("offline", self.boot), True)
                await self._wait(GOODBYE_MS, self.client.idle)
        except Exception as error:
            print("stop: %s: %s" % (type(error).__name__, error))
        self.client.close()
        return self.counters()

    async def _serve_quietly(self):
        try:
            await self.client.serve()
        except Exception as error:
            print("stop: %s" % error)

    async def _wait(self, limit_ms, done):
        began = now_ms()
        while not done() and self.client.connected and since_ms(now_ms(), began) < limit_ms:
            await asyncio.sleep_ms(10)

    def _all_stored(self):
        self.backlog.sweep()
        return self.backlog.held == 0

    def counters(self):
        """What this boot came to."""
        return {
            "boot": self.boot,
            "samples": self.builder.taken(),
            "frames": self.builder.frames,
            "held": self.backlog.held,
            "dropped": self.backlog.dropped,
            "dropped_samples": self.backlog.dropped_samples,
            "resent": self.backlog.resent,
            "reconnects": self.link.reconnects(),
        }


async def run(config_dict, adc=None, stop_event=None):
    """A node of that configuration, until `stop_event`; answers its counters. SIGINT on MicroPython needs
    `main`."""
    return await Node(config_dict, adc).run(stop_event)


def main(config_dict=None, adc=None, stop_event=None):
    """Run a node to its clean stop, by SIGINT too; answers its counters. Without arguments it is the chip's
    own start: the configuration comes from its file, and a reboot command resets the chip."""
    node = Node({"config_path": CONFIG_PATH} if config_dict is None else config_dict, adc)
    try:
        counters = asyncio.run(node.run(stop_event))
    except KeyboardInterrupt:
        asyncio.new_event_loop()  # the interrupt may have torn any task: none of them goes on
        counters = asyncio.run(node.finish(interrupted=True))
    if node.reboot_wanted and config_dict is None:
        import machine

        machine.reset()
    return counters
