"""Kernels longer than their signals: an equivalent kernel without the lags that no two positions have."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from .._types import Operand
from .boundary import kernel_origin


def shorten(kernel: Operand, signal: Sequence[int | None], paddings: Sequence[str]) -> Operand:
    """`kernel [1|B, C, *K]` cut off on zero and causal axes, and wound around circular axes once.

    Axes whose signal length is not known yet stay as they are.
    """
    for dim, (positions, padding) in enumerate(zip(signal, paddings, strict=True), start=2):
        taps = kernel.shape[dim]
        origin = kernel_origin(taps, padding)
        if positions is None:
            continue
        if padding == "circular" and taps > positions:
            # Zeros before and after, so that taps whose lags agree modulo N come to agree in their index modulo N.
            before = (positions // 2 - origin) % positions
            widths = [(0, 0)] * kernel.ndim
            widths[dim] = (before, -(before + taps) % positions)
            shape = (*kernel.shape[:dim], -1, positions, *kernel.shape[dim + 1 :])
            kernel = jnp.pad(kernel, widths).reshape(shape).sum(dim)
        elif padding == "causal" and taps > positions:
            kernel = jax.lax.slice_in_dim(kernel, 0, positions, axis=dim)
        elif padding == "zero" and taps > 2 * positions:
            kernel = jax.lax.slice_in_dim(kernel, origin - positions + 1, origin + positions, axis=dim)
    return kernel
