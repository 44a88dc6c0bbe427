"""On MicroPython: the whole node with a synthetic converter, until SIGINT; `run_node.py CONFIG_JSON`. The
last line is JSON."""

import json
import sys

import synthetic
from barnode import node

print(json.dumps(node.main(json.loads(sys.argv[1]), synthetic.SyntheticAdc())))
