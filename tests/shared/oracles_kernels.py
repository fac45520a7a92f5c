"""References for kernels and convolutions in NumPy float64, written from the formulas and not from the code."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def as_float64(array: ArrayLike) -> Array:
    """An array of any library in NumPy float64."""
    return np.asarray(array, dtype=np.float64)


def axis(length: int, L_cache: int, *, resolution: float = 1.0, causal: bool = False) -> Array:
    """Centred coordinates of one axis, or their non-negative half."""
    lags = np.arange(0 if causal else 1 - length, length, dtype=np.float64)
    return lags / (L_cache - 1) / resolution


def grid(axes: Sequence[Array]) -> Array:
    """`[*sizes, D]`, the first axis slowest."""
    sizes = [len(positions) for positions in axes]
    points = list(itertools.product(*axes))
    return np.array(points, dtype=np.float64).reshape(*sizes, len(axes))


def wang_factor(L_cache: Sequence[int]) -> float:
    """The initial scale of the readout."""
    return 1 / math.sqrt(math.prod(L_cache))


def layers(weights: Mapping[str, Any], names: Sequence[str]) -> list[tuple[Array, Array]]:
    """`(W, b)` of each named linear layer of a state_dict; a missing bias is zero."""
    result = []
    for name in names:
        weight, bias = as_float64(weights[f"{name}.weight"]), weights.get(f"{name}.bias")
        result.append((weight, np.zeros(len(weight)) if bias is None else as_float64(bias)))
    return result


def siren_kernel_features(
    weights: Mapping[str, Any],
    positions: Array,
    *,
    frequency: Array | float = 1.0,
    modulations: Sequence[tuple[ArrayLike, ArrayLike] | None] | None = None,
) -> Array:
    """Input `[points, width]` of the readout of a SIREN kernel, from its state_dict, at positions `[*sizes, D]`.

    `frequency` multiplies the phases of the first sine layer. One `(gamma, beta)` or None per sine layer.
    """
    hidden = sum(name.startswith("hidden_linears") and name.endswith("weight") for name in weights)
    sines = layers(weights, ["positional_embedding.linear", *(f"hidden_linears.{i}" for i in range(hidden))])
    h = positions.reshape(-1, positions.shape[-1])
    for depth, (weight, bias) in enumerate(sines):
        h = np.sin((h @ weight.T + bias) * (frequency if depth == 0 else 1.0))
        if modulations is not None and (pair := modulations[depth]) is not None:
            gamma, beta = map(as_float64, pair)
            h = gamma * h + beta
    return h


def siren_kernel(
    weights: Mapping[str, Any],
    positions: Array,
    *,
    frequency: Array | float = 1.0,
    modulations: Sequence[tuple[ArrayLike, ArrayLike] | None] | None = None,
) -> Array:
    """A SIREN kernel `[*sizes, out]`; arguments as in `siren_kernel_features`."""
    h = siren_kernel_features(weights, positions, frequency=frequency, modulations=modulations)
    [(weight, bias)] = layers(weights, ["out_linear"])
    return (h @ weight.T + bias).reshape(*positions.shape[:-1], -1)


def exponential_mask(positions: Array, rate: ArrayLike) -> Array:
    """`[*sizes, C]` for positions `[*sizes, D]` and rates `[D, C]`."""
    return np.exp(-(np.abs(positions)[..., None] * np.abs(as_float64(rate))).sum(-2))


def gaussian_mask(positions: Array, std: ArrayLike) -> Array:
    """`[*sizes, C]` for positions `[*sizes, D]` and stds `[D, C]`."""
    return np.exp(-0.5 * ((positions[..., None] / as_float64(std)) ** 2).sum(-2))


def std_for(attenuation: float, position: float) -> float:
    """The std at which `exp(-(p / std)^2 / 2)` is `attenuation` at p."""
    return position / math.sqrt(2 * math.log(1 / attenuation))


def std_ramp(grid_size: int, channels: int, extent: float, at_step: float = 0.1, at_limit: float = 0.95) -> Array:
    """The initial stds of a Gaussian window on one axis."""
    low, high = std_for(at_step, 2 / (grid_size - 1)), std_for(at_limit, 1.0)
    first, last = (np.clip(std * extent, low, high) for std in (low, std_for(0.1, 1.0)))
    return first * (last / first) ** (np.arange(channels) / max(channels - 1, 1))


def shifted(signal: Array, dim: int, lag: int, padding: str) -> Array:
    """`signal[n - lag]` along `dim`."""
    rolled = np.roll(signal, lag, dim)
    if padding != "circular":
        n = np.arange(signal.shape[dim])
        outside = (n - lag < 0) | (n - lag >= signal.shape[dim])
        rolled = np.where(np.expand_dims(outside, [d for d in range(signal.ndim) if d != dim]), 0.0, rolled)
    return rolled


def depthwise(x: ArrayLike, kernel: ArrayLike, paddings: Sequence[str], shortcut: ArrayLike | None = None) -> Array:
    """`[B, C, *N]` with a kernel `[1|B, C, *K]`, one tap at a time; `shortcut * x` is added for a shortcut `[C]`."""
    x, kernel = as_float64(x), as_float64(kernel)
    total = np.zeros_like(x) if shortcut is None else as_float64(shortcut).reshape(-1, *[1] * len(paddings)) * x
    centres = [0 if p == "causal" else size // 2 for size, p in zip(kernel.shape[2:], paddings, strict=True)]
    for tap in itertools.product(*(range(size) for size in kernel.shape[2:])):
        term = x
        for d, padding in enumerate(paddings):
            term = shifted(term, 2 + d, tap[d] - centres[d], padding)
        total += kernel[(..., *tap)].reshape(*kernel.shape[:2], *[1] * len(paddings)) * term
    return total
