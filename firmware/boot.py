"""What the chip runs first: which version starts, and memory for it before anything else has cut it up."""

import gc

import loader

loader.choose()
gc.collect()
