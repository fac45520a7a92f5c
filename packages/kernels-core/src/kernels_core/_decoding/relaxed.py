"""Causal convolution of rows whose values arrive one at a time (relaxed, or online, convolution).

`y[n] = sum_{0<=j<=n} k[j] x[n-j]`, where `x[n]` becomes known only after `y[n-1]` has been used. Lags `j < base` within
a block of `base` values are summed directly. The rest is tiled by squares: when the number `i` of values so far is a
multiple of `base`, with the largest power of two `U` that divides it, the values `x[i-U:i]` are added to the outputs
`y[i:i+U]` in one transform of length `2 U`. Every pair of a value and a later output is in the block of both or in
exactly one tile, so L steps take O(L log(L)^2) operations.
Van der Hoeven 2002, Relax, but Don't be Too Lazy; Oncescu et al. 2024, arXiv:2410.12982, algorithm 2.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .._fftconv.boundary import fast_length

# Products that one step sums directly for free, in the time that its calls take anyway: a tile costs tens of calls.
DIRECT_PRODUCTS = 1 << 16
SMALLEST_BASE = 32
# Values transformed at a time, so that a transform and its product stay in the caches of a core.
BLOCK_VALUES = 1 << 18


@dataclass(frozen=True)
class RelaxedKernel:
    """Kernels of `M` taps, prepared for steps.

    Attributes:
        taps: `[1|B, R, M]`, real or complex, the tap of lag 0 first.
        nearest: `[1|B, R, base]`, the taps that are summed directly, the tap of lag 0 last.
        spectra: transforms of the first `2 U` taps for `U = base, 2 base, 4 base, ...` below `M`.
    """

    taps: Tensor
    nearest: Tensor
    spectra: tuple[Tensor, ...]

    @classmethod
    def of(cls, taps: Tensor, batch_size: int) -> "RelaxedKernel":
        """Prepare `taps [1|B, R, M]` for a batch of this size."""
        rows, length = taps.shape[1:]
        fitting = min(DIRECT_PRODUCTS // (batch_size * rows), length)
        base = max(SMALLEST_BASE, 1 << max(fitting, 1).bit_length() - 1)
        nearest = taps.new_zeros(*taps.shape[:2], base)
        nearest[..., base - min(base, length) :] = taps[..., :base].flip(-1)
        spectra, size = [], base
        while size < length:
            spectra.append(_transform(taps[..., : 2 * size], 2 * size))
            size *= 2
        return cls(taps, nearest, tuple(spectra))

    def map(self, function: Callable[[Tensor], Tensor]) -> "RelaxedKernel":
        """A copy with `function` applied to every tensor."""
        return RelaxedKernel(function(self.taps), function(self.nearest), tuple(map(function, self.spectra)))

    @property
    def base(self) -> int:
        """Number of lags that are summed directly."""
        return self.nearest.shape[-1]

    def step(self, value: Tensor, inputs: Tensor, pending: Tensor, origin: int, position: int) -> Tensor:
        """Take `value [B, R]` at `position` and return the output `[B, R]` there, updating both buffers in place.

        Args:
            value: the next value of every row.
            inputs: `[B, R, M]`, the values so far.
            pending: `[B, R, M]`, for every position what the tiles so far add to the output there.
            origin: position at which the tiles begin; all values before it are in `pending`.
            position: number of values so far.
        """
        # `select` and `narrow` instead of indices, which take a third of the time of such a step.
        inputs.select(-1, position).copy_(value)
        count, base = position - origin + 1, self.base
        direct = (count - 1) % base + 1
        recent = inputs.narrow(-1, position + 1 - direct, direct)
        output = (recent * self.nearest.narrow(-1, base - direct, direct)).sum(-1)
        if position >= base or origin:
            output += pending.select(-1, position)
        if direct == base and position + 1 < inputs.shape[-1]:
            self._add_tile(inputs, pending, count & -count, position + 1)
        return output

    def _add_tile(self, inputs: Tensor, pending: Tensor, size: int, end: int) -> None:
        """Add what the `size` values before `end` contribute to as many outputs from there on."""
        spectrum = self.spectra[(size // self.base).bit_length() - 1]
        last = min(end + size, inputs.shape[-1])
        for rows in _blocks(inputs, 2 * size):
            values = _transform(inputs[:, rows, end - size : end], 2 * size)
            tile = _inverse(values.mul_(spectrum[:, rows]), 2 * size, inputs)
            pending[:, rows, end:last] += tile[..., size : size + last - end]

    def prefill(self, inputs: Tensor, pending: Tensor, start: int, end: int) -> Tensor:
        """The outputs `[B, R, end - start]` at these positions, whose values `inputs` already holds.

        Leaves in `pending`, from `end` on, what all values before `end` contribute: tiles begin there.
        """
        length = inputs.shape[-1]
        points = fast_length(length + end - 1)
        outputs = inputs.new_empty(*inputs.shape[:2], end - start)
        for rows in _blocks(inputs, points):
            values = _transform(inputs[:, rows, :end], points)
            result = _inverse(values * _transform(self.taps[:, rows], points), points, inputs)
            outputs[:, rows] = result[..., start:end]
            pending[:, rows, end:] = result[..., end:length]
        return outputs


def _blocks(buffer: Tensor, points: int) -> Iterator[slice]:
    """Slices of the rows of `buffer [B, R, M]`, of which a block is transformed with this many points at a time."""
    size = max(1, BLOCK_VALUES // (points * buffer.shape[0]))
    for first in range(0, buffer.shape[1], size):
        yield slice(first, first + size)


def _transform(values: Tensor, points: int) -> Tensor:
    spectrum: Tensor = (torch.fft.fft if values.is_complex() else torch.fft.rfft)(values, points)
    return spectrum


def _inverse(spectrum: Tensor, points: int, like: Tensor) -> Tensor:
    values: Tensor = (torch.fft.ifft if like.is_complex() else torch.fft.irfft)(spectrum, points)
    return values
