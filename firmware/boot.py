"""What the chip runs first: memory for the node before anything else has cut it up."""

import gc

gc.collect()
