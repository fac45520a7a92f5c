"""Decoding: the layer's output one position at a time."""
