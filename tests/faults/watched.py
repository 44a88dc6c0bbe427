"""Puts a watch of the heap around the virtual node: takes the command VirtualNode makes and runs
watched_node.py in the place of its script. Arguments: MICROPYTHON -X heapsize=.. SCRIPT CONFIG."""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    *command, script, config = sys.argv[1:]
    watch = str(Path(__file__).with_name("watched_node.py"))
    os.execv(command[0], [*command, watch, str(Path(script).parent), config])
