"""Traces of force to play on virtual boards, and the demo that plays them."""
