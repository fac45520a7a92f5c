"""Channels-first views of operands in either layout, and the taps of a kernel that count."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .boundary import Axis


def spatial_sizes(tensor: Tensor, channels_last: bool) -> tuple[int, ...]:
    """The sizes `*N` of `[B, *N, C]` or `[B, C, *N]`."""
    return tuple(tensor.shape[1:-1] if channels_last else tensor.shape[2:])


def channels_first(tensor: Tensor, channels_last: bool) -> Tensor:
    """A view `[B, C, *N]`."""
    return tensor.movedim(-1, 1) if channels_last else tensor


def empty_result(x: Tensor, channels_last: bool) -> tuple[Tensor, Tensor]:
    """A contiguous tensor in the caller's layout for channels-first `x`, and its channels-first view."""
    y = torch.empty_like(x.movedim(1, -1) if channels_last else x, memory_format=torch.contiguous_format)
    return y, channels_first(y, channels_last)


def used_taps(kernel: Tensor, axes: tuple[Axis, ...]) -> Tensor:
    """A view of the taps of a channels-first kernel that count: causal axes never reach lags beyond the signal."""
    for axis, geometry in enumerate(axes):
        if geometry.taps < kernel.shape[2 + axis]:
            kernel = kernel.narrow(2 + axis, 0, geometry.taps)
    return kernel


def at(tensor: Tensor, index: Sequence[int]) -> Tensor:
    """A view of `[b, c, *sizes]` at one spatial index, `[b, c]`."""
    for position in index:
        tensor = tensor.select(2, position)
    return tensor


def origin(taps: Tensor, axes: tuple[Axis, ...]) -> Tensor:
    """A view of a kernel at lag 0, `[1|B, C]`."""
    return at(taps, [axis.origin for axis in axes])
