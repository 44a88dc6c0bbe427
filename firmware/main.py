"""What the chip starts after boot.py: the node, with the configuration in /config.json."""

import barnode.node

barnode.node.main()
