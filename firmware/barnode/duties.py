"""What the node does on command, and what commands change in it: calibration, zero, settings. How a command
comes and is answered is commands'."""

import asyncio

from barnode import lazy, renewal, scratch
from barnode.commands import Commands
from barnode.maintenance import Maintenance
from barnode.zero_window import ZeroWindow

HELD_LIVE = 40  # frames, 3 s: the host has all but the newest


class Duties:
    """`node` is the node they belong to; `on_trial` says that its settings are."""

    def __init__(self, node, on_trial):
        self._node = node
        self.on_trial = on_trial
        self._updater = None
        self.zero = None  # the session's, as `about` tells it
        self.window = ZeroWindow(node.weight, node.channels)
        self.maintenance = Maintenance(lambda: node.weight.known_n)
        handlers = {
            "identify": (self._identify, ()),
            "zero": (self._zero, ("confirm", "unix_s")),
            "diagnose": (self._diagnose, ()),
            "set calibration": (self._set_calibration, ("calibration",)),
            "set config": (self._set_config, ("config",)),
            "maintenance": (self.maintenance.command, ("on", "minutes")),
            "reboot": (self._reboot, ()),
            "update": (self._update, ("step", "manifest", "path", "at", "data")),
        }
        self.commands = Commands(handlers, node.reply)
        self._restore_zero()

    async def try_settings(self):
        """Decide on settings that are on trial; for ever."""
        node = self._node
        trial = lazy.load("set_config").SettingsTrial(
            _records(node),
            lambda: node.client.connected,
            self.maintenance.loaded,
            node.restart,
            node.problems,
        )
        await trial.run()

    def look(self):
        """Let go of an update that was left half-way; start again before the numbers of frames run out."""
        node = self._node
        if self._updater is not None and not self.maintenance.active():
            self._release_updater()
        if renewal.due(node.builder.taken_high(), node.clock.s()) and self._may_renew():
            print("renewal: the numbers of this boot are used up in part: starting again")
            node.restart()

    def _may_renew(self):
        """Whether nobody is under the bars, and nothing is lost by it."""
        node = self._node
        return node.client.connected and node.backlog.held <= HELD_LIVE and self.maintenance.loaded() is None

    async def _identify(self, _request):
        node = self._node
        self._identifying = asyncio.create_task(node.light.identify())
        return {"node": node.config.node, "board": node.config.board["board"] if node.config.board else None}

    async def _reboot(self, _request):
        self._node.restart()

    async def _diagnose(self, _request):
        try:
            return await lazy.load("diagnose").run(self._node)
        finally:
            lazy.unload("diagnose")

    async def _update(self, request):
        if self._updater is None:
            self._updater = lazy.load("update").Updater(self._node.loader, self.maintenance.refusal)
        try:
            return await self._updater.command(request)
        finally:
            if not self._updater.begun():
                self._release_updater()

    def _release_updater(self):
        self._updater = None
        lazy.unload("update", "manifest")

    async def _set_config(self, request):
        node = self._node
        try:
            change = lazy.load("set_config").Settings(
                _records(node), node.given, self.maintenance.loaded, node.restart
            )
            return await change.command(request)
        finally:
            lazy.unload("set_config", "settings", "config", "calibration", "boards", "records")

    async def _set_calibration(self, request):
        node = self._node
        try:
            change = lazy.load("calibrate").SetCalibration(
                _records(node),
                node.channels,
                self.maintenance.loaded,
                node.weight.calibration,
                self._use_calibration,
            )
            return await change.command(request)
        finally:
            lazy.unload("calibrate", "calibration", "records")

    async def _zero(self, request):
        node = self._node
        if node.overload.active():
            raise ValueError("bars free of load expected, an overload was just measured: take everything off")
        zero = lazy.load("zero")
        try:
            confirm, unix_s = zero.check(request)
            counts, offsets = zero.Rules(self.window, node.weight, node.config.cells).judge(confirm)
        finally:
            lazy.unload("zero")
        self._use_zero({"unix_s": unix_s, "device_us": node.device_us(), "counts": counts})
        return {"zero": self.zero, "offset_n": offsets}

    # What is in force

    def _use_zero(self, zero):
        self.zero = zero
        self._node.weight.use_zero(zero["counts"])
        if zero["unix_s"] is not None:  # else it could not be dated after a reset
            kept = {
                "id": self._node.weight.calibration["id"],
                "unix_s": zero["unix_s"],
                "counts": zero["counts"],
            }
            scratch.note("zero", kept)
        self._node.tell_about()

    def _restore_zero(self):
        """A session zero outlives a reset, but neither a power cut nor a new calibration."""
        kept = scratch.load().get("zero")
        record = self._node.weight.calibration
        if not kept or record is None or kept.get("id") != record["id"]:
            return
        if len(kept["counts"]) == self._node.channels:
            self.zero = {"unix_s": kept["unix_s"], "device_us": None, "counts": kept["counts"]}
            self._node.weight.use_zero(kept["counts"])

    def _use_calibration(self, record):
        node = self._node
        node.builder.use_calibration(record["id"])
        node.weight.use_calibration(record)
        node.overload.use_calibration()
        self.zero = None
        scratch.note("zero", None)
        node.tell_about()


def _records(node):
    return lazy.load("records").Records(node.problems)
