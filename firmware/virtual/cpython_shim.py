"""Gives CPython the few things of MicroPython that the firmware and the virtual board use; nothing of the
chip itself."""

import asyncio
import sys
import time
import traceback
import types


def _micropython():
    module = types.ModuleType("micropython")
    module.const = lambda value: value
    module.opt_level = lambda _level=None: 0
    module.mem_info = lambda _verbose=None: None
    module.schedule = lambda function, argument: function(argument)
    return module


async def _sleep_ms(ms):
    await asyncio.sleep(ms / 1000)


async def _wait_for_ms(awaitable, timeout):
    return await asyncio.wait_for(awaitable, timeout / 1000)


def _print_exception(error, file=None):
    traceback.print_exception(error, file=file or sys.stdout)


def install():
    """Before any module of the firmware is imported."""
    sys.modules["micropython"] = _micropython()
    asyncio.sleep_ms = _sleep_ms
    asyncio.wait_for_ms = _wait_for_ms
    sys.print_exception = _print_exception


def install_time(path):
    """Once the board's clock can be imported: the ticks of the module at `path` in the interpreter's own
    `time`."""
    module = types.ModuleType("chip_time")
    with open(path) as source:
        exec(compile(source.read(), path, "exec"), module.__dict__)
    for name in ("ticks_us", "ticks_ms", "ticks_add", "ticks_diff", "sleep_us", "sleep_ms"):
        setattr(time, name, getattr(module, name))
