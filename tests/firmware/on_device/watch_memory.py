"""On MicroPython: the whole node; prints the memory in use after a collection, once a second.
`watch_memory.py CONFIG N`."""

import asyncio
import gc
import json
import sys
from array import array

import synthetic
from barnode import node


async def main():
    one = node.Node(json.loads(sys.argv[1]), synthetic.SyntheticAdc())
    stop = asyncio.Event()
    running = asyncio.create_task(one.run(stop))
    used = array("i", [0] * int(sys.argv[2]))  # so that watching takes no memory itself
    for i in range(len(used)):
        await asyncio.sleep(1)
        gc.collect()
        used[i] = gc.mem_alloc()
    stop.set()
    await running
    print(json.dumps({"used": list(used), "free": gc.mem_free(), "slots": len(one.backlog.slots)}))


asyncio.run(main())
