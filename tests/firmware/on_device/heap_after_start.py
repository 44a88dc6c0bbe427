"""On MicroPython: the heap a started node takes, its backlog apart; `heap_after_start.py CONFIG`, in JSON."""

import gc
import json
import sys

import synthetic
from barnode import node, pool

gc.collect()
imported = gc.mem_alloc()
one = node.Node(json.loads(sys.argv[1]), synthetic.SyntheticAdc())
gc.collect()
slots = one.backlog.slots
pooled = len(slots) * (((len(slots[0]) + pool._BLOCK - 1) // pool._BLOCK) * pool._BLOCK + pool._PER_SLOT)
print(
    json.dumps(
        {
            "imported": imported,
            "node": gc.mem_alloc() - imported - pooled,
            "free": gc.mem_free(),
            "slots": len(slots),
            "heap": gc.mem_alloc() + gc.mem_free(),
        }
    )
)
