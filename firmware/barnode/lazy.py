"""Modules that are wanted at the start or on a command only: loaded when needed and let go of after, for
their code takes memory that frames need."""

import gc
import sys


def load(name):
    """The module barnode.`name`."""
    full = "barnode." + name
    if full not in sys.modules:
        gc.collect()
        __import__(full)
    return sys.modules[full]


def unload(*names):
    """Let go of modules; what somebody still holds of them stays."""
    package = sys.modules["barnode"]
    for name in names:
        sys.modules.pop("barnode." + name, None)
        if hasattr(package, name):
            delattr(package, name)
    gc.collect()
