"""Coordinate networks: SIRENs, networks that depend on a context, random Fourier features."""
