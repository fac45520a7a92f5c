"""Kernels as functions of position."""
