"""The FFT convolution."""
