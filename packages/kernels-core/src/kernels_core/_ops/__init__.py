"""Tensor operations and guards shared by kernels, windows and convolution."""
