"""Kernels, windows and convolutions in NumPy, float64, straight from the formulas."""

import itertools
import math

import numpy as np
from oracles_jax import f64


def axis(length, L_cache, resolution=1.0, causal=False):
    lags = np.arange(0 if causal else 1 - length, length, dtype=np.float64)
    return lags / (L_cache - 1) / resolution


def grid(axes):
    """`(*sizes, D)`, the first axis slowest."""
    return np.array(list(itertools.product(*axes))).reshape(*map(len, axes), len(axes))


def sines(weights, positions, modulations=None):
    """What the readout of a SIREN's state_dict sees at positions `(*sizes, D)`: `(points, width)`."""
    hidden = sum(name.startswith("hidden_linears") and name.endswith("weight") for name in weights)
    h = positions.reshape(-1, positions.shape[-1])
    for depth, name in enumerate(["positional_embedding.linear", *(f"hidden_linears.{i}" for i in range(hidden))]):
        h = np.sin(h @ f64(weights[f"{name}.weight"]).T + f64(weights.get(f"{name}.bias", 0.0)))
        if modulations is not None and modulations[depth] is not None:
            gamma, beta = f64(*modulations[depth])
            h = gamma * h + beta
    return h


def siren(weights, positions, modulations=None):
    """`(*sizes, out)`; one `(gamma, beta)` or None per sine layer."""
    h = sines(weights, positions, modulations)
    k = h @ f64(weights["out_linear.weight"]).T + f64(weights.get("out_linear.bias", 0.0))
    return k.reshape(*positions.shape[:-1], -1)


def film(weights, conditioning, layers, width):
    """Pairs `(gamma, beta)` of one sample, from a generator's state_dict."""
    hidden = f64(weights["mlp.0.weight"]) @ f64(conditioning) + f64(weights["mlp.0.bias"])
    hidden = np.array([0.5 * h * (1 + math.erf(h / math.sqrt(2))) for h in hidden])
    output = f64(weights["mlp.2.weight"]) @ hidden + f64(weights["mlp.2.bias"])
    return [tuple(layer) for layer in output.reshape(layers, 2, width)]


def exponential_mask(positions, rate):
    """`(*sizes, C)` for positions `(*sizes, D)` and rates `(D, C)`."""
    return np.exp(-(np.abs(positions)[..., None] * np.abs(f64(rate))).sum(-2))


def gaussian_mask(positions, std):
    return np.exp(-0.5 * ((positions[..., None] / f64(std)) ** 2).sum(-2))


def std_for(attenuation, position):
    """The std at which `exp(-(p / std)^2 / 2)` is `attenuation` at p."""
    return position / math.sqrt(2 * math.log(1 / attenuation))


def depthwise(x, kernel, paddings, shortcut=None):
    """`(B, C, *N)` with a kernel `(1|B, C, *K)`, one tap at a time."""
    x, kernel = f64(x), f64(kernel)
    total = np.zeros_like(x) if shortcut is None else f64(shortcut).reshape(-1, *[1] * len(paddings)) * x
    centres = [0 if p == "causal" else size // 2 for size, p in zip(kernel.shape[2:], paddings, strict=True)]
    for tap in itertools.product(*map(range, kernel.shape[2:])):
        term = x
        for dim, padding in enumerate(paddings, start=2):
            lag, n = tap[dim - 2] - centres[dim - 2], np.arange(x.shape[dim])
            term = np.roll(term, lag, dim)
            if padding != "circular":
                outside = ((n - lag < 0) | (n - lag >= len(n))).reshape(-1, *[1] * (x.ndim - 1 - dim))
                term = np.where(outside, 0.0, term)
        total = total + kernel[(..., *tap)].reshape(*kernel.shape[:2], *[1] * len(paddings)) * term
    return total
