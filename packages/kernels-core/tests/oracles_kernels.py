"""References in NumPy float64, written from the formulas and not from the code under test."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


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
    """What the readout is multiplied by at init."""
    return 1 / math.sqrt(math.prod(L_cache))


def film(features: Array, gamma: Array, beta: Array) -> Array:
    """`gamma * h + beta` for features `[points, width]`."""
    return features * gamma[None, :] + beta[None, :]


def layers(weights: Mapping[str, Any], names: Sequence[str]) -> list[tuple[Array, Array]]:
    """`(W, b)` of each named linear layer of a state_dict; a missing bias is zero."""
    result = []
    for name in names:
        weight = np.asarray(weights[f"{name}.weight"], dtype=np.float64)
        bias = weights.get(f"{name}.bias")
        result.append((weight, np.zeros(len(weight)) if bias is None else np.asarray(bias, dtype=np.float64)))
    return result


def siren(
    weights: Mapping[str, Any],
    positions: Array,
    *,
    frequency: Array | float = 1.0,
    modulations: Sequence[tuple[Array, Array] | None] | None = None,
) -> Array:
    """A SIREN's state_dict at positions `[*sizes, D]`: `[*sizes, out]`. One (gamma, beta) or None per sine layer."""
    count = sum(name.startswith("hidden_linears") and name.endswith("weight") for name in weights)
    names = ["positional_embedding.linear", *(f"hidden_linears.{i}" for i in range(count)), "out_linear"]
    *sines, readout = layers(weights, names)
    h = positions.reshape(-1, positions.shape[-1])
    for depth, (weight, bias) in enumerate(sines):
        h = np.sin((h @ weight.T + bias) * (frequency if depth == 0 else 1.0))
        if modulations is not None and (pair := modulations[depth]) is not None:
            h = film(h, *pair)
    return (h @ readout[0].T + readout[1]).reshape(*positions.shape[:-1], -1)


def exponential_mask(positions: Array, rate: Array) -> Array:
    """`[*sizes, C]` for positions `[*sizes, D]` and rates `[D, C]`."""
    return np.exp(-(np.abs(positions)[..., None] * np.abs(rate)).sum(-2))


def gaussian_mask(positions: Array, std: Array) -> Array:
    """`[*sizes, C]` for positions `[*sizes, D]` and stds `[D, C]`."""
    return np.exp(-0.5 * ((positions[..., None] / std) ** 2).sum(-2))


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


def depthwise(x: Array, kernel: Array, paddings: Sequence[str]) -> Array:
    """`[B, C, *N]` with a kernel `[1|B, C, *K]`, one tap at a time."""
    total = np.zeros_like(x)
    centres = [0 if p == "causal" else size // 2 for size, p in zip(kernel.shape[2:], paddings, strict=True)]
    for tap in itertools.product(*(range(size) for size in kernel.shape[2:])):
        term = x
        for d, padding in enumerate(paddings):
            term = shifted(term, 2 + d, tap[d] - centres[d], padding)
        total += kernel[(..., *tap)].reshape(*kernel.shape[:2], *[1] * len(paddings)) * term
    return total
