"""Kernels longer than their signal can use: lags that no two positions have, and circles that a kernel winds around."""

from torch import Tensor
from torch.nn import functional

from .._ops.precision import at_least_float32
from .boundary import kernel_origin, most_taps


def shorten(kernel: Tensor, signal: tuple[int, ...], paddings: tuple[str, ...], channels_last: bool) -> Tensor:
    """An equivalent kernel of at most `most_taps` taps per axis; the same tensor if it has no more already.

    Example:
        >>> import torch
        >>> shorten(torch.tensor([[[1.0, 2.0, 3.0, 4.0, 5.0]]]), (2,), ("circular",), channels_last=False)
        tensor([[[6., 9.]]])
    """
    for dim, (positions, padding) in enumerate(zip(signal, paddings, strict=True), start=1 if channels_last else 2):
        kernel = shorten_axis(kernel, dim, positions, padding)
    return kernel


def shorten_axis(kernel: Tensor, dim: int, positions: int, padding: str) -> Tensor:
    """`shorten` on one axis."""
    taps = kernel.shape[dim]
    if taps <= most_taps(positions, padding):
        return kernel
    if padding == "causal":
        return kernel.narrow(dim, 0, positions)
    origin = kernel_origin(taps, padding)
    if padding == "zero":  # the lags from 1 - N to N - 1
        return kernel.narrow(dim, origin - positions + 1, 2 * positions - 1)
    # Zeros before and after, so that taps whose lags agree modulo N come to agree in their index modulo N.
    before = (positions // 2 - origin) % positions
    widths = [0, 0] * (kernel.ndim - 1 - dim) + [before, -(before + taps) % positions]
    # In float32, because rounding each tap of a long sum to half precision would lose digits.
    return functional.pad(at_least_float32(kernel), widths).unflatten(dim, (-1, positions)).sum(dim)
