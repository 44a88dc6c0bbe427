"""On MicroPython: the virtual node, watched: `chaos_node.py VIRTUAL CONFIG ACCOUNT`, started by chaos_stack.

After each sample it writes four u32 into the file ACCOUNT-BOOT, which outlives a SIGKILL: samples taken,
samples dropped, frames let go, frames decimated. Every 2 s it prints the heap in use
after a collection, and whether there is a connection, which takes 3 KB of it: `memory BYTES connected` or
`away`. What a person at the node would see it prints when it changes: `shows {"light": .., ..}`.
"""

# ruff: noqa: PTH123, SIM115, UP031, RUF006 - on the chip there is neither pathlib nor contextlib

import array
import asyncio
import gc
import json
import sys

sys.path.insert(0, sys.argv[1])
import board
import run as virtual

SIGNS = ("bar", "waiting", "no data", "fault", "overload", "twins", "safe mode")
nodes = []
start_node = virtual.start_node
watch = virtual.control.watch


def start_watched(config):
    node, epoch_unix_us = start_node(config)
    if hasattr(node, "builder"):  # not in safe mode
        count(node, open("%s-%d" % (sys.argv[3], node.boot), "wb"))
        nodes.append(node)
    return node, epoch_unix_us


def count(node, file):
    """Keep the account in `file`. No allocation a sample."""
    numbers = array.array("I", [0, 0, 0, 0])
    take, builder, backlog = node.take, node.builder, node.backlog

    def take_and_count(ticks, counts):
        take(ticks, counts)
        numbers[0] = builder.taken()
        numbers[1] = backlog.dropped_samples
        numbers[2] = backlog.let_go
        numbers[3] = backlog.decimated()
        file.seek(0)
        file.write(numbers)

    node.take = take_and_count


async def tell_memory():
    while True:
        await asyncio.sleep(2)
        gc.collect()
        link = "connected" if nodes and nodes[0].client.connected else "away"
        sys.stdout.write("memory %d %s\n" % (gc.mem_alloc(), link))


def look(node):
    """Light, buzzer and counters of this moment."""
    shown = node.light._shown
    lit = any(colour != (0, 0, 0) for strip in board.current.pixels.values() for colour in strip)
    return {
        "light": SIGNS[shown[0]] if shown and lit else "dark",
        "buzzer": any(board.current.sounds.values()),
        "connected": node.client.connected,
        "behind": node.backlog.held > 40,  # more than 3 s of frames are not confirmed
        "not_ready": list(node.adc.not_ready),
        "desync": list(node.adc.desync),
        "saturated": list(node.adc.saturated),
        "overloads": node.overload.count,
    }


async def tell_looks():
    before = None
    while True:
        await asyncio.sleep_ms(100)
        now = look(nodes[0]) if nodes else None
        if now != before:
            before = now
            sys.stdout.write("shows %s\n" % json.dumps(now))


async def watch_all(*arguments):
    asyncio.create_task(tell_memory())
    asyncio.create_task(tell_looks())
    await watch(*arguments)


virtual.start_node = start_watched
virtual.control.watch = watch_all
virtual.main(sys.argv[2])
