"""The faults of the table, each as a function that makes it on a running chain, waits until it shows and
answers what was seen. A fault is undone before its row ends, so that the next row finds a sound node."""

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ashibar.node import application, update
from ashibar.node.commander import Commander, Refused
from faults.parts import STUDIO
from firmware_paths import FIRMWARE
from servers import wait_until

CELL = 1
SPIKE_COUNT = 300_000  # a third of what the spike of 500 N is worth
WITHIN_S = 12.0


@dataclass
class Seen:
    """What one fault looked like; `words` are put in by the page's own code."""

    node: str
    wire: str
    figure: dict
    verdict: str = "live"  # of the page's watchdog: live, source (no samples), host (no answer)
    besides: str = ""  # what else the page's host says
    words: dict = field(default_factory=dict)

    def page(self):
        """In words; a number is shown only where there are no words in its place."""
        said = " ".join(filter(None, (self.words["reason"], self.words["remedy"])))
        text = f"**{self.words['headline']}** {said}" if self.words["headline"] else self._shown()
        return f"{text} ({self.besides})" if self.besides else text

    def _shown(self):
        flags = [flag for flag in self.figure["flags"] if flag != "motion"]
        return ", ".join(["the figure", *flags])


@dataclass(frozen=True)
class Row:
    fault: str
    make: Callable


def look(chain, number, *, light, validity, cells=(), saying=""):
    """Wait until light and page both say so, watch on for half a second, and return what was seen.

    `saying`: how the page's reason begins; a machine short of time may have late reads of other cells.
    """
    device = chain.nodes[number]

    def shows():
        figure = chain.figure(number)
        if device.shows()["light"] != light or not figure or figure["validity"] not in validity:
            return None
        return (
            figure if figure["reason"].startswith(saying) and "other faults" not in figure["reason"] else None
        )

    wait_until(shows, f"light {light!r} and {validity} on the page of bars-{number}", WITHIN_S, 0.05)
    steady_s = time.monotonic()
    time.sleep(0.5)
    figure = wait_until(shows, f"light {light!r} and {validity} again", WITHIN_S, 0.05)
    verdict = "live" if figure["age_s"] is not None and figure["age_s"] < 1 else "source"
    codes = sorted(chain.wire.codes(f"bars-{number}", steady_s, cells)) if cells else []
    return Seen(f"light: {light}", ", ".join(f"`{code}`" for code in codes), figure, verdict)


def well(chain, number, validity=("valid", "motion")):
    """Wait until a node is as before its fault."""
    device = chain.nodes[number]
    wait_until(
        lambda: (
            device.shows()["light"] != "fault"
            and chain.figure(number)["validity"] in validity
            and chain.figure(number)["age_s"] < 0.5
        ),
        f"bars-{number} to recover",
        20,
        0.05,
    )


def cell_fault(fault, number, for_s=2.5, cells=(CELL,), amount=None):
    """A fault that is in force for a while, of one or more cells."""

    def make(chain):
        begin_s, device = time.monotonic(), chain.nodes[number]
        before = device.shows()
        for cell in cells:
            device.tell(do="fault", fault=fault, cell=cell, for_s=for_s, amount=amount)
        saying = "left-foot " if cells == (CELL,) else "left-head and 3 more "
        seen = look(chain, number, light="fault", validity=("fault",), cells=cells, saying=saying)
        seen.node += "".join(f", `{name}` counts" for name in grown(before, device.shows(), cells))
        wait_until(lambda: time.monotonic() > begin_s + for_s, "the end of the fault", for_s + 1, 0.1)
        well(chain, number)
        return seen

    return make


def grown(before, after, cells, by=4):
    """Return the counters that grew for these cells."""
    return [
        name
        for name in ("not_ready", "desync", "saturated")
        if all(after[name][cell] - before[name][cell] >= by for cell in cells)
    ]


def spike(chain):
    begin_s, device = time.monotonic(), chain.nodes[1]
    dropped = chain.figure(1)["spikes_dropped"]
    for _ in range(10):  # in less than a period of the converter one conversion ends, or none
        device.tell(do="fault", fault="spike", cell=CELL, for_s=0.012)
        with contextlib.suppress(AssertionError):
            wait_until(
                lambda: chain.figure(1)["spikes_dropped"] == dropped + 1, "the spike to be dropped", 1.0
            )
            break
    readings = [
        count
        for frame in chain.wire.since("bars-1", "samples", begin_s)
        for count in frame.counts[:, CELL].tolist()
    ]
    middle = sorted(readings)[len(readings) // 2]
    far = sum(abs(count - middle) > SPIKE_COUNT for count in readings if count >= -0x800000)
    seen = look(chain, 1, light="bar", validity=("valid", "motion"))
    seen.wire, seen.besides = f"a reading, {far} of them far off", "dropped and counted, 1 spike"
    return seen


def clock_stretched(chain):
    begin_s, device = time.monotonic(), chain.nodes[2]
    before = sum(device.shows()["desync"])
    device.tell(do="fault", fault="clock_stretched", cell=0, for_s=0.5)
    wait_until(lambda: chain.wire.codes("bars-2", begin_s, range(4), 1), "codes on the wire")
    time.sleep(0.5)
    codes = chain.wire.codes("bars-2", begin_s, range(4), 1) - {"not_ready"}
    counts = ", `desync` counts" if sum(device.shows()["desync"]) > before else ""
    well(chain, 2)
    seen = look(chain, 2, light="bar", validity=("valid", "motion"))
    seen.node += counts + ", well again by itself"
    seen.wire = ", ".join(f"`{code}`" for code in sorted(codes)) + ", for a few samples"
    return seen


def slow_chip(chain):
    """Its conversions come at 64 a second: no fault."""
    begin_s = time.monotonic()
    chain.nodes[2].tell(do="fault", fault="slow_chip", cell=CELL, for_s=3, amount=1.25)
    time.sleep(1.5)
    *_, first, last = chain.wire.since("bars-2", "samples", begin_s + 0.5)
    # By the node's own time: how late a busy machine delivers them says nothing about the chip.
    rate_hz = (last.sample_index - first.sample_index) / (last.device_us - first.device_us) * 1e6
    seen = look(chain, 2, light="bar", validity=("valid", "motion"))
    slower = "fewer samples a second" if rate_hz < 72 else "80 samples a second"
    seen.wire = f"readings, {slower}"
    well(chain, 2)
    return seen


# Outages


def states(chain, number, begin_s):
    said = [each["state"] for each in chain.wire.since(f"bars-{number}", "state", begin_s)]
    return f"state `{said[-1]}`" if said else "silence, then state `lost` by the broker"


def network_gone(chain):
    device, begin_s = chain.nodes[3], time.monotonic()
    device.wire.refuse = True
    device.tell(do="network", up=False)
    device.wire.cut()
    seen = look(chain, 3, light="no data", validity=("stale",), saying="No data")
    wait_until(lambda: chain.wire.since("bars-3", "state", begin_s), "the will")
    seen.node += ", samples are held"
    seen.wire = states(chain, 3, begin_s)
    back_s = time.monotonic()
    device.wire.refuse = False
    device.tell(do="network", up=True)
    well(chain, 3)
    wait_until(lambda: "backlog" in chain.wire.flags("bars-3", back_s), "what was held")
    seen.wire += "; on return what was held, flag backlog"
    return seen


def half_open(chain):
    device, begin_s = chain.nodes[3], time.monotonic()
    device.wire.stalled = True
    seen = look(chain, 3, light="no data", validity=("stale",), saying="No data")
    wait_until(
        lambda: not device.shows()["connected"], "the node to notice", 10.5 - time.monotonic() + begin_s
    )
    seen.node += ", gives the connection up within 10 s"
    seen.wire = "silence"
    device.wire.cut()
    device.wire.stalled = False
    well(chain, 3)
    return seen


def node_lost(chain):
    device, begin_s = chain.nodes[3], time.monotonic()
    device._ended = True
    device.cut_power()
    figure = wait_until(lambda: _stale(chain.figure(3)), "no figure")
    wait_until(lambda: chain.wire.since("bars-3", "state", begin_s), "the will")
    return Seen("dark", states(chain, 3, begin_s), figure, "source")


def broker_gone(chain):
    chain.broker.kill()
    seen = look(chain, 1, light="no data", validity=("stale",), saying="No data")
    seen.node += ", samples are held"
    seen.wire = "nothing"
    _, reasons = chain.daemon.ready()
    seen.besides = "/readyz: " + next(each for each in reasons if "broker" in each).partition(" at ")[0]
    chain.broker.start()
    well(chain, 1)
    return seen


def host_gone(chain):
    device, begin_s = chain.nodes[1], time.monotonic()
    chain.daemon.stop()
    chain.host_gone = True
    wait_until(lambda: device.shows()["light"] == "no data", "the mark for no data")
    assert chain.figure(1) is None
    wait_until(lambda: chain.wire.since("bars-1", "samples", begin_s + 1), "samples all the same")
    return Seen(
        "light: no data, samples are held until a host says `committed`",
        "samples, no `display`, no `committed`",
        None,
        "host",
    )


# Of the node itself


def uncalibrated(chain):
    saying = "left-head and 3 more are not calibrated"
    seen = look(chain, 4, light="fault", validity=("fault",), saying=saying)
    weight = wait_until(lambda: _uncalibrated(chain.wire.since("bars-4", "weight", 0)), "its weight")
    assert (weight["sum_n"], set(weight["cells_n"])) == (None, {None})
    seen.wire = f"counts, calibration 0; `weight`: {weight['validity']}, no newtons"
    return seen


def _uncalibrated(weights):
    return next((each for each in weights if each["validity"] == "uncalibrated"), None)


def not_zeroed(chain):
    seen = look(chain, 5, light="waiting", validity=("not zeroed",))
    seen.wire = "counts; `about`: no session zero, an old calibration"
    assert chain.wire.since("bars-5", "about", 0)[-1]["zeros"]["session"] is None
    return seen


def overload(chain):
    device, begin_s = chain.nodes[6], time.monotonic()
    before = device.shows()["overloads"]
    device.tell(do="force", mn=[2_500_000, 0, 0, 0])
    seen = look(chain, 6, light="overload", validity=("valid", "motion"))
    assert device.shows()["overloads"] == before + 1
    flags = chain.wire.flags("bars-6", begin_s) - {"backlog"}
    seen.node += ", `overloads` counts"
    seen.wire = "readings, flag " + ", ".join(sorted(flags))
    device.tell(do="force", mn=[0, 0, 0, 0])
    wait_until(lambda: device.shows()["light"] == "bar", "the sign to go", 8)
    return seen


def twins(chain):
    """A second board with the same configuration and another chip."""
    begin_s, first = time.monotonic(), chain.nodes[6]
    second = chain.node(6, folder=chain.folder / "twin", unique_id="v99999")
    try:
        for device in (first, second):
            wait_until(lambda device=device: (device.shows() or {}).get("light") == "twins", "both signs", 30)
        wait_until(lambda: _problem(chain, "bars-6"), "the host's words", 30)
        both = {first.boot, second.boot}
        wait_until(lambda: _complaining(chain, begin_s) == both, "both boards to say so", 30)
        assert any("bars-6" in reason for reason in chain.daemon.ready()[1])
        figure = wait_until(lambda: _stale(chain.figure(6)), "the page without a figure", 30, 0.02)
        assert {frame.boot for frame in chain.wire.since("bars-6", "samples", begin_s)} == both
    finally:
        second.close()
    return Seen(
        "light: twins on both boards",
        "both boards say so in `about.problems`; frames of two boots, each stored as its own",
        figure,
        "source",
        "in turns with the figure; /readyz names the two boards",
    )


def _stale(figure):
    """Return a figure that says in the host's words that there are no data."""
    return figure if figure["validity"] == "stale" and figure["reason"].startswith("No data") else None


def _complaining(chain, begin_s):
    """Return the boots that said that there are two."""
    abouts = chain.wire.since("bars-6", "about", begin_s)
    return {said["boot"] for said in abouts if "two are connected" in " ".join(said.get("problems", []))}


def _problem(chain, name):
    found = [node["problems"] for node in chain.daemon.nodes() if node["name"] == name]
    return " ".join(found[0]) if found else ""


# Commands


def refused(command, **fields):
    """A command that is refused with a reason, and changes nothing."""

    def make(chain):
        with Commander("127.0.0.1", chain.broker.port, STUDIO, "bars-6") as commander:
            boot = chain.nodes[6].boot
            try:
                commander.ask(command, 20, **fields)
            except Refused as error:
                reason = str(error).partition(": ")[2]
            else:
                raise AssertionError(f"{command} expected to be refused, it was done")
        seen = look(chain, 6, light="bar", validity=("valid", "motion"))
        assert chain.nodes[6].boot == boot
        seen.node, seen.wire = "nothing changes", f"`reply`: {reason}"
        return seen

    return make


def update_interrupted(chain):
    device = chain.nodes[7] = chain.node(7, studio="closed-room")
    wait_until(lambda: (chain.figure(7) or {}).get("validity") == "not in session", "the other studio", 30)
    look(chain, 7, light="waiting", validity=("not in session",))  # the node knows it too
    old = chain.wire.since("bars-7", "about", 0)[-1]
    begin_s = time.monotonic()

    class CutError(Exception):
        pass

    def cut(done, total):
        if done > total // 4:
            raise CutError

    new = application.read(FIRMWARE)
    files = new.files | {"barnode/__init__.py": b'"""The node."""\n\nVERSION = "9.9.9"\n'}
    with Commander("127.0.0.1", chain.broker.port, "closed-room", "bars-7") as commander:
        for _ in range(10):  # refused while the host says `stale`, as it may on a machine short of time
            try:
                update.update(commander, application.Application("9.9.9", files), progress=cut)
            except Refused:
                time.sleep(1.0)
            except CutError:
                break
        device.cut_power()
    device.wait_boots(2, 30)
    wait_until(lambda: len(chain.wire.since("bars-7", "about", begin_s)) > 0, "the node to be back", 20)
    about = chain.wire.since("bars-7", "about", begin_s)[-1]
    assert about["boot"] != old["boot"]
    assert about["firmware"] == old["firmware"]
    seen = look(chain, 7, light="waiting", validity=("not in session",))
    seen.node += ", boots the old version"
    seen.wire = "`about`: the old version, no update on trial"
    assert about["update"] == {"slot": "", "on_trial": False, "failed": None}, json.dumps(about["update"])
    return seen


# The rows of a lane come one after the other, lanes beside each other; the last ones when all are through.
LANES = (
    (
        Row("wire off", cell_fault("wire_off", 1)),
        Row("data line stuck low", cell_fault("stuck_low", 1)),
        Row("data line stuck high", cell_fault("stuck_high", 1)),
        Row("saturated", cell_fault("saturated", 1)),
        Row("spike of the electronics", spike),
        Row("all converters gone", cell_fault("wire_off", 1, cells=(0, 1, 2, 3))),
    ),
    (
        Row("frozen converter", cell_fault("frozen", 2, for_s=8)),
        Row("slow chip", slow_chip),
        Row("clock stretched", clock_stretched),
    ),
    (
        Row("network gone", network_gone),
        Row("half-open connection", half_open),
        Row("node lost", node_lost),
    ),
    (
        Row("uncalibrated node", uncalibrated),
        Row("not zeroed", not_zeroed),
        Row("update interrupted", update_interrupted),
    ),
    (
        Row("bad command", refused("explode")),
        Row("bad configuration", refused("set config", config={"cells": "four"})),
        Row("overload", overload),
        Row("two boards with one name", twins),
    ),
)
LAST = (Row("broker gone", broker_gone), Row("host gone", host_gone))
ALL = tuple(row for lane in (*LANES, LAST) for row in lane)
