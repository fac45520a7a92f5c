"""Depthwise convolution: one function for every rank, boundary, layout and dtype."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from .. import _check
from .._types import Kernel, Operand, PerChannel
from .boundary import Axis, plan_axis
from .long_kernels import shorten
from .product import convolve
from .symbols import check_symbols, is_known

PADDINGS = ("zero", "circular", "causal")
DTYPES = ("float16", "bfloat16", "float32", "float64")


def fftconv_nd(
    x: Operand,
    kernel: Operand,
    shortcut: Operand | None = None,
    *,
    padding: str | Sequence[str] = "zero",
    channels_last: bool = False,
) -> Operand:
    """Depthwise N-d convolution of "same" size: shared or per-item kernels, mixed boundaries, a shortcut.

    `y[b,c,n] = sum_j kernel[b|0,c,j] * x[b,c,n + K//2 - j] + shortcut[c] * x[b,c,n]`, per axis: the alignment of
    `jax.lax.conv_general_dilated` with `padding="SAME"` and the kernel flipped. On a causal axis
    `y[n] = sum_{0<=j<=n} kernel[j] * x[n-j]`. `x` is 0 outside its N positions, or repeats itself on a circular axis.
    A kernel may be longer than the signal; the cost depends on K only through the padding.

    Args:
        x: `(B, C, *N)`, or `(B, *N, C)` with `channels_last`; the rank gives the number of axes.
        kernel: `(1|B, C, *K)`, or `(1|B, *K, C)` with `channels_last`. Batch 1 is shared by all batch items.
        shortcut: `(C,)`, any floating dtype. Default: None, no shortcut.
        padding: `"zero"` (default), `"circular"` or `"causal"`, one for all axes or one per axis.
        channels_last: whether channels are the last axis of `x`, `kernel` and the result. Default: False.

    Returns:
        An array of `x`'s shape and dtype. The arithmetic is float64 if `x` or `kernel` is, else float32.

    Raises:
        TypeError: an operand is not a float16, bfloat16, float32 or float64 array.
        ValueError: `kernel` differs from `x` in rank, channels or batch; a spatial axis is empty; `shortcut` is not
            `(C,)`; `padding` is unknown or not one per axis; `x` has no spatial axis; a size that must be
            known is symbolic.

    Kernels of at most 49 taps are added up tap by tap on a CPU, and a NaN or infinity reaches the outputs that the taps
    reach. Longer ones are multiplied as spectra, whose rounding spreads over the whole signal of a channel: a spike of
    size s changes every output, earlier ones on a causal axis too, by about eps * s, and a NaN or infinity reaches
    every output of its batch item and channel. For the same reason, non-negative operands can give slightly negative
    results; clamp them where that matters. Differentiable to any order in forward and reverse mode; works under `jit`,
    `vmap` and `jax.checkpoint`, which keeps the operands instead of their spectra for the gradient, and under
    `jax.export` with symbolic batch and channels and, for at most 49 taps, lengths of `x`.

    Example:
        >>> import jax.numpy as jnp
        >>> x, kernel = jnp.eye(3)[None], jnp.broadcast_to(jnp.array([1.0, 2.0, 3.0]), (1, 3, 3))
        >>> fftconv_nd(x, kernel).round(4)[0].tolist()
        [[2.0, 3.0, 0.0], [1.0, 2.0, 3.0], [0.0, 1.0, 2.0]]
        >>> x, kernel = jnp.ones((2, 8, 50, 37)), jnp.ones((1, 8, 99, 37))
        >>> fftconv_nd(x, kernel, padding=("causal", "circular")).shape
        (2, 8, 50, 37)
    """
    paddings = _check_operands(x, kernel, shortcut, padding, _check.flag("channels_last", channels_last))
    x, kernel = jnp.asarray(x), jnp.asarray(kernel)
    if channels_last:
        x, kernel = jnp.moveaxis(x, -1, 1), jnp.moveaxis(kernel, -1, 1)
    # JAX has no FFT in half precision.
    dtype = jnp.promote_types(jnp.promote_types(x.dtype, kernel.dtype), jnp.float32)
    sizes = [size if is_known(size) else None for size in x.shape[2:]]
    taps = shorten(kernel.astype(dtype), sizes, paddings)
    axes = [plan_axis(*axis) for axis in zip(sizes, taps.shape[2:], paddings, strict=True)]
    if shortcut is not None:
        taps = with_shortcut(taps, jnp.asarray(shortcut, dtype), axes)
    y = convolve(x.astype(dtype), taps, axes).astype(x.dtype)
    return jnp.moveaxis(y, 1, -1) if channels_last else y


def with_shortcut(kernel: Kernel, shortcut: PerChannel, axes: Sequence[Axis]) -> Kernel:
    """`kernel` with the shortcut added at its origin: the same operator with one pass less over the signal."""
    sizes = kernel.shape[2:]
    widths = [(axis.origin, size - 1 - axis.origin) for axis, size in zip(axes, sizes, strict=True)]
    return kernel + jnp.pad(shortcut.reshape(1, -1, *[1] * len(axes)), [(0, 0), (0, 0), *widths])


def _check_operands(
    x: Operand, kernel: Operand, shortcut: Operand | None, padding: str | Sequence[str], channels_last: bool
) -> tuple[str, ...]:
    operands = {"x": x, "kernel": kernel} | ({} if shortcut is None else {"shortcut": shortcut})
    for name, array in operands.items():
        if not isinstance(array, (jax.Array, np.ndarray)):
            raise TypeError(f"`{name}` must be an array, got {type(array).__name__}")
        if str(array.dtype) not in DTYPES:
            raise TypeError(f"`{name}` must be float16, bfloat16, float32 or float64, got {array.dtype}")
    layout = "(B, *N, C)" if channels_last else "(B, C, *N)"
    if x.ndim < 3:
        raise ValueError(f"`x` must be {layout} with at least one spatial axis; got shape {x.shape}")
    paddings = _check.per_axis("padding", padding, x.ndim - 2, lambda item, value: _check.choice(item, value, PADDINGS))
    channel = -1 if channels_last else 1
    channels = x.shape[channel]
    if kernel.ndim != x.ndim or kernel.shape[channel] != channels:
        raise ValueError(
            f"`kernel` must have the rank and the channels of `x` ({layout}, channels_last={channels_last}): "
            f"`x` has shape {x.shape}, `kernel` {kernel.shape}"
        )
    if kernel.shape[0] != 1 and kernel.shape[0] != x.shape[0]:
        raise ValueError(f"`kernel` must have batch 1 or {x.shape[0]} (the batch of `x`), got {kernel.shape[0]}")
    if shortcut is not None and shortcut.shape != (channels,):
        raise ValueError(f"`shortcut` must have shape ({channels},), one value per channel; got {shortcut.shape}")
    first = 1 if channels_last else 2
    spatial = x.shape[first : first + len(paddings)], kernel.shape[first : first + len(paddings)]
    check_symbols(*spatial, paddings)
    for axis, (signal, taps) in enumerate(zip(*spatial, strict=True)):
        if signal < 1 or taps < 1:
            raise ValueError(
                f"`x` and `kernel` must have at least 1 position and 1 tap on every spatial axis, got {signal} and "
                f"{taps} on axis {axis}"
            )
    return paddings
