"""What can go wrong with a virtual node."""

from __future__ import annotations


class NodeError(RuntimeError):
    """A virtual node cannot be started, or did not do what it should; the text says what to do."""
