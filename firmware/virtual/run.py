"""Runs the node's firmware on the virtual board: `micropython run.py CONFIG.json`, or with `python` where
there is none.

Prints one JSON object a line: `boot` when the node is up, `stopped` with its counters at the end; other lines
are the firmware's own words. SIGINT and SIGTERM stop it cleanly.
"""

import sys

HERE = __file__[: __file__.rfind("/")] if "/" in __file__ else "."
ON_MICROPYTHON = sys.implementation.name == "micropython"
HARD_RESET = 2  # as machine.reset_cause() has it after machine.reset()

if not ON_MICROPYTHON:
    import cpython_shim

    cpython_shim.install()

import asyncio  # noqa: E402 - before the chip's `time` can be found, see there
import json  # noqa: E402
import time  # noqa: E402

import board  # noqa: E402
import control  # noqa: E402

sys.path.insert(0, HERE + "/..")
sys.path.insert(0, HERE + "/chip")
if not ON_MICROPYTHON:
    cpython_shim.install_time(HERE + "/chip/time.py")


def tell(event):
    """One line for whoever started us."""
    sys.stdout.write(json.dumps(event) + "\n")
    if hasattr(sys.stdout, "flush"):
        sys.stdout.flush()


def unix_us():
    return time.time_ns() // 1000


def runtime():
    """Name and version of what runs this."""
    version = ".".join(str(part) for part in sys.implementation.version[:3])
    return "%s %s (%s)" % (
        sys.implementation.name,
        version,
        "unix" if sys.platform == "linux" else sys.platform,
    )


def start_node(config):
    """The node, in full or in safe mode as barnode.start has it, and the wall clock of its device time 0."""
    from barnode import start

    if start.begin():
        from barnode.safe_mode import SafeNode

        return SafeNode(config), unix_us()
    from barnode.node import Node

    node = Node(config)
    node.clock.advance(board_ticks())
    return node, unix_us() - node.clock.us()


async def run(config):
    """One boot of the node; answers its counters."""
    stop = asyncio.Event()
    node, epoch_unix_us = start_node(config["node"])
    tell(
        {
            "event": "boot",
            "boot": node.boot,
            "epoch_unix_us": epoch_unix_us,
            "runtime": runtime(),
            "problems": node.problems,
        }
    )
    watcher = asyncio.create_task(control.watch(stop, config.get("control", False), tell))
    counters = await node.run(stop)
    watcher.cancel()
    counters["event"] = "reset" if node.reboot_wanted else "stopped"
    if node.reboot_wanted:
        board.current.rtc.reset(HARD_RESET)
    return counters


def use_device(folder):
    """Take the firmware out of `folder`, as a chip does out of its flash: by the loader in it."""
    sys.path.remove(HERE + "/..")
    sys.path.insert(0, folder)
    import loader

    loader.choose(folder)
    return loader


def note_failure(error):
    """As barnode.start does on the chip, if it is there to do it."""
    try:
        from barnode import start

        start.failed(error)
    except ImportError:
        sys.print_exception(error)
    board.current.rtc.reset(HARD_RESET)


def board_ticks():
    clock = board.current.clock
    return (clock.now() + clock.ticks_start) & 0x3FFFFFFF


def main(path):
    with open(path) as stream:
        config = json.load(stream)
    control.catch_signals()
    board.install(board.build(config["board"], unix_us()))
    loader = use_device(config["device"]) if "device" in config else None
    try:
        tell(asyncio.run(run(config)))
    except board.Reset as reset:
        board.current.rtc.reset(reset.cause)
        tell({"event": "reset", "cause": reset.cause})
        raise
    except Exception as error:
        if loader is None:
            raise
        note_failure(error)
        tell({"event": "reset", "cause": "failed"})
        sys.exit(75)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.stdout.write("expected one argument, the configuration file: run.py CONFIG.json\n")
        sys.exit(2)
    main(sys.argv[1])
