"""On MicroPython: the whole node with a synthetic converter, until its input ends; `run_node.py CONFIG_JSON`.

The last line is JSON. A signal would do, but MicroPython raises it anywhere, also while its heap is locked.
"""

import asyncio
import json
import select
import sys

import synthetic
from barnode import node

POLL_MS = 50


async def until_input_ends(stop):
    poller = select.poll()
    poller.register(sys.stdin, select.POLLIN)
    while not poller.poll(0):
        await asyncio.sleep_ms(POLL_MS)
    stop.set()


async def main(config):
    stop = asyncio.Event()
    watcher = asyncio.create_task(until_input_ends(stop))
    counters = await node.run(config, synthetic.SyntheticAdc(), stop)
    watcher.cancel()
    return counters


print(json.dumps(asyncio.run(main(json.loads(sys.argv[1])))))
