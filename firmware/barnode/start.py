"""The chip's start: counts boots that come to nothing, and after some of them starts with network and
commands only.

What the boot before came to is kept without writing the flash; see scratch.
"""

import time

from barnode import scratch

CONFIG_PATH = "/config.json"
FAILED_BOOTS = 4  # so many in a row without a healthy minute or an orderly end, then safe mode
RESTART_AFTER_S = 3


def begin():
    """Count this boot; answers whether it is to be one in safe mode."""
    notes = scratch.load()
    failed = notes.get("boots", 0)
    failed = failed if isinstance(failed, int) else 0
    scratch.note("boots", failed + 1)
    return failed >= FAILED_BOOTS


def failed(error):
    """This boot ends with an error: keep it for the next one to tell."""
    print(scratch.note_error(error))


def main():
    """Run the node, or what is left of it; a node that ends resets the chip."""
    safe = begin()
    try:
        if safe:
            from barnode import safe_mode

            safe_mode.main({"config_path": CONFIG_PATH})
        else:
            from barnode import node

            node.main()
    except Exception as error:
        failed(error)
        _restart()


def _restart():
    """Again from the start, after a while for whoever sits at the console."""
    import machine

    time.sleep(RESTART_AFTER_S)
    machine.reset()
