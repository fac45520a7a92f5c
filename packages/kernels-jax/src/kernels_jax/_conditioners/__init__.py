"""Layers that let a context change features, and the same layers with priors."""
