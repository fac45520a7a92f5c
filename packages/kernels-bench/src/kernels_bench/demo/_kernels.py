"""Kernels of a trained layer as arrays: on the grid they were trained on, or as finely as a picture wants."""

import numpy as np
import torch
from kernels_core import CKConvND, ImplicitKernelND, ModulationND, axis_coordinates
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float32]


@torch.no_grad()
def sampled_kernel(layer: CKConvND, conditioning: Tensor | None = None, finer: int = 1) -> Array:
    """The windowed kernel `[1|B, C, K, K]` over [-1, 1] on a grid `finer` times finer than the trained one."""
    kernel, mask = layer.kernel, layer.mask
    assert isinstance(kernel, ImplicitKernelND)
    axes = [axis_coordinates((L - 1) * finer + 1, L, resolution=finer) for L in kernel.L_cache_per_axis]
    values = kernel.evaluate(axes, conditioning)
    windowed = mask.window(axes, values) if isinstance(mask, ModulationND) else values
    return windowed.movedim(-1, 1).numpy()


@torch.no_grad()
def sampled_windows(layer: CKConvND, points: int = 201) -> tuple[Array, Array]:
    """Positions on the first axis and the window of every channel there, `[points]` and `[points, C]`."""
    assert isinstance(layer.mask, ModulationND)
    positions = torch.linspace(-1, 1, points)
    return positions.numpy(), layer.mask.axis_window(0, positions[:, None]).numpy()


def radial_spectrum(kernels: Array, size: int = 64) -> tuple[Array, Array]:
    """Power spectra `[C, K, K]` averaged over rings: frequency as a fraction of Nyquist, and share of the peak."""
    power = np.abs(np.fft.fftshift(np.fft.fft2(kernels, (size, size)), axes=(-2, -1))) ** 2
    frequency = np.fft.fftshift(np.fft.fftfreq(size)) * 2
    ring = np.rint(np.hypot(*np.meshgrid(frequency, frequency)) * size / 2).astype(int)
    rings = size // 2 + 1
    inside = ring < rings
    counts = np.bincount(ring[inside], minlength=rings)
    means = np.stack([np.bincount(ring[inside], p[inside], minlength=rings) / counts for p in power])
    return (np.arange(rings) * 2 / size).astype(np.float32), (means / means.max(1, keepdims=True)).astype(np.float32)
