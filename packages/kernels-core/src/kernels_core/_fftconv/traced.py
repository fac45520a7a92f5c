"""The convolution as plain torch operations, for programs that run where this package is not installed.

Exporters and tracers record the operations they see: the operators of `operators.py` would tie an exported program to
this package, and other runtimes do not know them. Slower than those, because whole tensors are transformed at once.

Sizes may be symbols. No question may be asked about a symbol, because the answer would become a condition of the
exported program, so a symbolic axis always takes a transform of twice its length.
"""

from itertools import chain

import torch
from torch import Tensor
from torch.nn import functional

from .. import _compat
from .boundary import Axis, kernel_origin, plan_axis
from .layout import channels_first
from .long_kernels import shorten_axis
from .plan import compute_dtype


def convolve_traced(
    x: Tensor, kernel: Tensor, shortcut: Tensor | None, paddings: tuple[str, ...], channels_last: bool
) -> Tensor:
    """`fftconv_nd` for operands that have been checked, kernels of any length included."""
    dtype = compute_dtype(x.dtype, kernel.dtype)
    signal, taps = (channels_first(operand.to(dtype), channels_last) for operand in (x, kernel))
    sizes, lengths = signal.shape[2:], []
    for dim, (positions, padding) in enumerate(zip(sizes, paddings, strict=True), start=2):
        if _compat.is_known(positions) and _compat.is_known(taps.shape[dim]):
            taps = shorten_axis(taps, dim, positions, padding)
            axis = plan_axis(positions, taps.shape[dim], padding)
            taps = place(taps, dim, axis)
            lengths.append(axis.length)
        else:
            taps = _place_on_twice_the_axis(taps, dim, positions, padding)
            lengths.append(2 * positions)
    dims = tuple(range(2, x.ndim))
    widths = chain.from_iterable((0, length - size) for size, length in zip(sizes[::-1], lengths[::-1], strict=True))
    padded = functional.pad(signal, list(widths))
    if _compat.is_known(lengths[-1]):
        y = torch.fft.irfftn(torch.fft.rfftn(padded, dim=dims) * torch.fft.rfftn(taps, dim=dims), lengths, dims)
    else:  # ONNX takes the result of an inverse of half a spectrum for as short as that half
        y = torch.fft.ifftn(torch.fft.fftn(padded, dim=dims) * torch.fft.fftn(taps, dim=dims), dim=dims).real
    for dim, positions in enumerate(sizes, start=2):
        y = y.narrow(dim, 0, positions)
    if shortcut is not None:
        y = y + signal * shortcut.to(dtype).view(-1, *[1] * len(sizes))
    return (y.movedim(1, -1) if channels_last else y).to(x.dtype).contiguous()


def place(taps: Tensor, dim: int, axis: Axis) -> Tensor:
    """The taps in their places on an axis of the transform, zeros elsewhere."""
    parts, end = [], 0
    for source, target, size in sorted(axis.kernel_pieces, key=lambda piece: piece.target):
        parts += [_zeros(taps, dim, target - end), taps.narrow(dim, source, size)]
        end = target + size
    parts.append(_zeros(taps, dim, axis.length - end))
    return torch.cat([part for part in parts if part.shape[dim]], dim)


def _place_on_twice_the_axis(taps: Tensor, dim: int, positions: int, padding: str) -> Tensor:
    """`_place` for symbolic sizes on a transform of length 2N, which keeps all lags of two of N positions apart."""
    lags = torch.arange(taps.shape[dim], device=taps.device) - kernel_origin(taps.shape[dim], padding)
    circle = positions if padding == "circular" else 2 * positions
    # The circle as a tensor: ONNX has no remainder by a symbol.
    places = lags.remainder(torch.full((), circle, dtype=lags.dtype, device=lags.device))
    if padding != "circular":
        reached = lags.abs() < positions
        taps = taps * reached.to(taps.dtype).view(-1, *[1] * (taps.ndim - 1 - dim))
    placed = _zeros(taps, dim, circle).index_add(dim, places, taps)
    return torch.cat([placed, placed], dim) if padding == "circular" else placed


def _zeros(taps: Tensor, dim: int, size: int) -> Tensor:
    return taps.new_zeros(*taps.shape[:dim], size, *taps.shape[dim + 1 :])
