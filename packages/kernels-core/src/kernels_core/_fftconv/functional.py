"""Depthwise convolution by FFT: one function for every rank, boundary, layout and dtype."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .. import _check, _compat
from .boundary import PADDINGS
from .layout import spatial_sizes
from .long_kernels import shorten
from .operators import differentiable_fftconv
from .traced import convolve_traced

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def fftconv_nd(
    x: Tensor,
    kernel: Tensor,
    shortcut: Tensor | None = None,
    *,
    padding: str | Sequence[str] = "zero",
    channels_last: bool = False,
) -> Tensor:
    """Depthwise N-d convolution of "same" size, with per-item kernels, mixed boundaries and a shortcut.

    `y[b,c,n] = sum_j kernel[b|0,c,j] * x[b,c,n + K//2 - j] + shortcut[c] * x[b,c,n]`, per axis: the alignment of
    `torch.nn.ConvNd(padding="same")` with the kernel flipped. On a causal axis
    `y[n] = sum_{0<=j<=n} kernel[j] * x[n-j]`. `x` is 0 outside its N positions, or repeats itself on a circular axis.
    A kernel may be longer than the signal; the cost hardly depends on K.

    Args:
        x: `[B, C, *N]`, or `[B, *N, C]` with `channels_last`; its rank gives the number of axes.
        kernel: `[1|B, C, *K]`, in the same layout. A kernel of batch 1 is shared by all batch items.
        shortcut: `[C]`, of any floating dtype; default None, for none.
        padding: `"zero"`, `"circular"` or `"causal"`, one for all axes or one per axis; default `"zero"`.
        channels_last: layout of `x`, `kernel` and the result; default False.

    Returns:
        A contiguous tensor of the shape and dtype of `x`, computed in float64 if `x` or `kernel` is, else in float32.

    Raises:
        TypeError: an operand is not a float16, bfloat16, float32 or float64 tensor.
        ValueError: ranks, channels, batches or devices of the operands differ, a spatial axis is empty, or a padding is
            unknown.

    FFT rounding spreads over the whole signal of a channel: a spike of size s changes every output, earlier ones on a
    causal axis too, by about eps * s, and a NaN or infinity reaches every output of its batch item and channel. On a
    CPU, kernels of a few taps are applied directly and medium kernels to segments of long signals, where the effect
    remains local; `explain` names the route.

    For the same reason, non-negative operands can give slightly negative results, down to
    `-eps * log2(2 * prod(N)) * ||x|| * ||kernel||` with the Euclidean norms over a batch item and channel (Higham 2002,
    Accuracy and Stability of Numerical Algorithms, Theorem 24.2); clamp them where that matters.

    Differentiable to any order in reverse and forward mode. Works under `torch.compile(fullgraph=True)`, autocast,
    `torch.func.vmap`, `grad` and `jacfwd`. (Compiling a `torch.func` transform of it requires torch 2.15.) Programs of
    `torch.export`, `torch.onnx.export(dynamo=True)` and `torch.jit.trace` hold torch's own operations only, so they run
    without this package; they and forward mode transform whole tensors, which is slower.

    Example:
        >>> import torch
        >>> x, kernel = torch.eye(3)[None], torch.tensor([1.0, 2.0, 3.0]).expand(1, 3, 3)
        >>> fftconv_nd(x, kernel).round(decimals=4)[0]
        tensor([[2., 3., 0.],
                [1., 2., 3.],
                [0., 1., 2.]])
        >>> fftconv_nd(torch.randn(2, 8, 50, 37), torch.randn(1, 8, 99, 37), padding=("causal", "circular")).shape
        torch.Size([2, 8, 50, 37])
    """
    paddings = check_operands(x, kernel, shortcut, padding, _check.flag("channels_last", channels_last))
    return fftconv_checked(x, kernel, shortcut, paddings, channels_last)


def fftconv_checked(
    x: Tensor, kernel: Tensor, shortcut: Tensor | None, paddings: tuple[str, ...], channels_last: bool
) -> Tensor:
    """`fftconv_nd` without checks, each of which would add a guard to an exported program."""
    if _compat.needs_plain_operations():
        return convolve_traced(x, kernel, shortcut, paddings, channels_last)
    kernel = shorten(kernel, spatial_sizes(x, channels_last), paddings, channels_last)
    return differentiable_fftconv(x, kernel, shortcut, ",".join(paddings), channels_last)


def paddings_per_axis(padding: str | Sequence[str], data_dim: int, name: str = "padding") -> tuple[str, ...]:
    """`padding` as one known padding per axis.

    Example:
        >>> paddings_per_axis("zero", 2)
        ('zero', 'zero')
    """
    if isinstance(padding, str):
        return (_check.choice(name, padding, PADDINGS),) * data_dim
    return _check.per_axis(name, padding, data_dim, lambda item, value: _check.choice(item, value, PADDINGS))


def check_operands(
    x: Tensor, kernel: Tensor, shortcut: Tensor | None, padding: str | Sequence[str], channels_last: bool
) -> tuple[str, ...]:
    operands = {"x": x, "kernel": kernel} | ({} if shortcut is None else {"shortcut": shortcut})
    for name, tensor in operands.items():
        if not isinstance(tensor, Tensor):
            raise TypeError(f"`{name}` must be a torch.Tensor, got {type(tensor).__name__}")
        if tensor.dtype not in DTYPES:
            raise TypeError(f"`{name}` must be float16, bfloat16, float32 or float64, got {tensor.dtype}")
        if tensor.device != x.device:
            raise ValueError(f"`x` is on {x.device} but `{name}` is on {tensor.device}: they must share a device")
    layout = "[B, *N, C]" if channels_last else "[B, C, *N]"
    if x.ndim < 3:
        raise ValueError(f"`x` must be {layout} with at least one spatial axis; got shape {tuple(x.shape)}")
    paddings = paddings_per_axis(padding, x.ndim - 2)
    channel = -1 if channels_last else 1
    channels = x.shape[channel]
    if kernel.ndim != x.ndim or kernel.shape[channel] != channels:
        raise ValueError(
            f"`kernel` must have the rank and the channels of `x` ({layout}, channels_last={channels_last}): "
            f"`x` has shape {tuple(x.shape)}, `kernel` {tuple(kernel.shape)}"
        )
    if kernel.shape[0] != 1 and kernel.shape[0] != x.shape[0]:
        raise ValueError(f"`kernel` must have batch 1 or {x.shape[0]} (the batch of `x`), got {kernel.shape[0]}")
    if shortcut is not None and (shortcut.ndim != 1 or shortcut.shape[0] != channels):
        raise ValueError(
            f"`shortcut` must have shape ({channels},), one value per channel; got {tuple(shortcut.shape)}"
        )
    first = 1 if channels_last else 2
    for axis in range(len(paddings)):
        signal, taps = x.shape[first + axis], kernel.shape[first + axis]
        if signal < 1 or taps < 1:
            raise ValueError(
                f"`x` and `kernel` must have at least 1 position and 1 tap on every spatial axis, got {signal} and "
                f"{taps} on axis {axis}"
            )
    return paddings
