"""On MicroPython: the virtual node, and every 5 s the heap in use after a collection: `memory BYTES`."""

import asyncio
import gc
import sys

sys.path.insert(0, sys.argv[1])
import run as virtual

watch = virtual.control.watch


async def tell_memory():
    while True:
        await asyncio.sleep(5)
        gc.collect()
        sys.stdout.write(f"memory {gc.mem_alloc()}\n")


async def watch_all(*arguments):
    telling = asyncio.create_task(tell_memory())
    await watch(*arguments)
    telling.cancel()


virtual.control.watch = watch_all
virtual.main(sys.argv[2])
