"""Measures of spectra: centroid, band, coverage, overlap.

A spectrum is the share of energy in each shell of frequency, `energy [..., R]` between `edges [R + 1]`; frequencies are
fractions of the Nyquist frequency.
"""

from collections.abc import Iterable

import numpy as np

from ._power import Array

LOW, HIGH = 0.05, 0.95


def centroid(edges: Array, energy: Array) -> Array:
    """Mean frequency `sum_r f_r E_r / sum_r E_r`, with f the middle of a shell."""
    middles = (edges[1:] + edges[:-1]) / 2
    return np.asarray((energy * middles).sum(-1) / energy.sum(-1))


def band(edges: Array, energy: Array, low: float = LOW, high: float = HIGH) -> Array:
    """`[..., 2]`: the frequencies below which the shares `low` and `high` of the energy lie, even within a shell."""
    spectra = energy.reshape(-1, energy.shape[-1])
    below = np.concatenate([np.zeros((len(spectra), 1)), spectra.cumsum(-1)], axis=-1)
    below /= below[:, -1:]
    return np.stack([np.interp([low, high], row, edges) for row in below]).reshape(*energy.shape[:-1], 2)


def coverage(bands: Iterable[Iterable[float]]) -> float:
    """The fraction of [0, 1] that lies in at least one band: the length of their union there."""
    covered, reached = 0.0, 0.0
    for bounds in sorted((float(low), float(high)) for low, high in bands):
        low, high = max(bounds[0], reached), min(bounds[1], 1.0)
        if high > low:
            covered += high - low
            reached = high
    return covered


def overlap(energy: Array) -> Array:
    """`[B, B]` overlap of spectra `[B, R]`, `sum_r min(E_a(r), E_b(r))`: 0 when disjoint, 1 when equal."""
    shares = energy / energy.sum(-1, keepdims=True)
    return np.asarray(np.minimum(shares[:, None], shares[None]).sum(-1))
