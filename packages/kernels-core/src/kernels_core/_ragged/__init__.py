"""Sequences of different sizes in one call: padded, packed, or in a nested tensor."""
