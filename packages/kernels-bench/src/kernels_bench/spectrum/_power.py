"""Power spectrum of a sampled kernel, summed by distance from zero frequency."""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RadialEnergy:
    """Energy of kernels by radial frequency, each kernel's total being 1.

    Attributes:
        edges: `[R + 1]` bounds of the shells of radial frequency, as fractions of the grid's Nyquist frequency.
        energy: `[C, R]` share of each kernel's energy in each shell.
        aliased: `[C]` share at frequencies above Nyquist on some axis, which alias to lower ones on the grid.
    """

    edges: Array
    energy: Array
    aliased: Array


def radial_energy(kernels: NDArray[Any], oversampling: int = 1) -> RadialEnergy:
    """The radial energy of real kernels `[C, *sizes]`, all sizes equal, sampled `oversampling` times finer than a grid.

    `E(shell) = sum_{f in shell} |FFT(w k)(f)|^2 / sum_f |FFT(w k)(f)|^2`, by Parseval shares of the energy of `w k`.
    `w` is a Hann taper on every axis: the kernel is cut off at the ends of its grid, and without the taper that cut
    alone would spread a slow ramp over the whole band with a tail that falls only as 1 / f. The mean stays in, because
    the gain at zero frequency is a part of what a kernel does. Padding to twice the length samples the spectrum densely
    enough to hold all of it.

    Raises:
        ValueError: the energy of one of `kernels` is zero or not finite.
    """
    kernels = np.asarray(kernels, dtype=np.float64)
    data_dim, size = kernels.ndim - 1, kernels.shape[1]
    shell, weight, above = _shells(data_dim, size, oversampling)
    taper = np.hanning(size + 2)[1:-1]
    rings = int(shell.max()) + 1
    energy, aliased = np.empty((len(kernels), rings)), np.empty(len(kernels))
    for channel, kernel in enumerate(kernels):
        for axis in range(data_dim):
            kernel = kernel * taper.reshape(-1, *[1] * (data_dim - 1 - axis))
        power = np.abs(np.fft.rfftn(kernel, [2 * size] * data_dim, axes=range(data_dim))).ravel() ** 2 * weight
        total = power.sum()
        if not 0 < total < np.inf:
            raise ValueError(f"kernel {channel} has no finite energy above zero")
        energy[channel] = np.bincount(shell, power, minlength=rings) / total
        aliased[channel] = power[above].sum() / total
    width = oversampling / size
    edges = np.maximum(np.arange(rings + 1) - 0.5, 0) * width
    return RadialEnergy(edges, energy, aliased)


@functools.lru_cache(maxsize=8)
def _shells(data_dim: int, size: int, oversampling: int) -> tuple[NDArray[np.intp], Array, NDArray[np.bool_]]:
    """Of every frequency of the transform: its shell, how often it counts, and whether it aliases on the grid."""
    full, half = np.abs(np.fft.fftfreq(2 * size)) * 2 * size, np.arange(size + 1.0)
    axes = np.meshgrid(*[full] * (data_dim - 1), half, indexing="ij", sparse=True)
    radius = np.sqrt(sum(axis**2 for axis in axes))
    # The real transform leaves out the mirror image of all but the first and the last plane.
    weight = np.broadcast_to(np.where((half == 0) | (half == size), 1.0, 2.0), radius.shape)
    above = functools.reduce(np.maximum, axes) * oversampling > size
    return np.rint(radius).astype(np.intp).ravel(), weight.ravel(), above.ravel()
