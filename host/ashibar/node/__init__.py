"""Runs the real firmware on a virtual board, under MicroPython or CPython."""

from ashibar.node.errors import NodeError
from ashibar.node.runtime import Runtime, RuntimeChoice, find_firmware, find_runtime
from ashibar.node.virtual_node import BootInfo, NodeReport, VirtualNode

__all__ = [
    "BootInfo",
    "NodeError",
    "NodeReport",
    "Runtime",
    "RuntimeChoice",
    "VirtualNode",
    "find_firmware",
    "find_runtime",
]
