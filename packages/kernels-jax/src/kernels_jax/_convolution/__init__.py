"""Convolution kernels as functions of position, windows on them, and the FFT convolution."""
