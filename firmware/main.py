"""What the chip starts after boot.py: the node, with the configuration in /config.json."""

import loader

loader.start()
