"""What the results must equal, computed another way: from the formula, and by torch's direct convolution."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Array = NDArray[np.float64]


def formula_convolution(
    x: Array, kernel: Array, shortcut: Array | None, paddings: tuple[str, ...], channels_last: bool = False
) -> Array:
    """`fftconv_nd` by its definition at any rank: every product of a tap and a sample, summed over the taps."""
    if channels_last:
        x, kernel = np.moveaxis(x, -1, 1), np.moveaxis(kernel, -1, 1)
    samples = x
    for axis, padding in enumerate(paddings):
        size, taps = x.shape[2 + axis], kernel.shape[2 + axis]
        centre = 0 if padding == "causal" else taps // 2
        source = np.arange(size) + centre - np.arange(taps)[:, None]
        place = 2 + 2 * axis  # the axes before it are pairs of tap and output by now
        samples = np.take(samples, source % size, axis=place)
        if padding != "circular":
            inside = (source >= 0) & (source < size)
            samples = np.where(inside.reshape(taps, size, *[1] * (samples.ndim - place - 2)), samples, 0)
    outputs = [2 + 2 * axis for axis in range(len(paddings))]
    lags = [output + 1 for output in outputs]
    pairs = [index for pair in zip(lags, outputs, strict=True) for index in pair]
    kernels = np.broadcast_to(kernel, (x.shape[0], *kernel.shape[1:]))
    y = np.einsum(kernels, [0, 1, *lags], samples, [0, 1, *pairs], [0, 1, *outputs])
    if shortcut is not None:
        y = y + shortcut.reshape(-1, *[1] * len(paddings)) * x
    return np.moveaxis(y, 1, -1) if channels_last else y


def direct_convolution(
    x: Tensor, kernel: Tensor, shortcut: Tensor | None, paddings: tuple[str, ...], channels_last: bool = False
) -> Tensor:
    """`fftconv_nd` by explicit padding and torch's direct convolution, for ranks 1 to 3; differentiable."""
    if channels_last:
        x, kernel = x.movedim(-1, 1), kernel.movedim(-1, 1)
    rank, (batch, channels) = len(paddings), x.shape[:2]
    padded = x
    for dim, padding in enumerate(paddings, start=2):
        taps, size = kernel.shape[dim], x.shape[dim]
        ahead = 0 if padding == "causal" else taps // 2
        if padding == "circular":
            padded = padded.index_select(dim, torch.arange(ahead - taps + 1, size + ahead) % size)
        else:
            padded = functional.pad(padded, [0, 0] * (rank + 1 - dim) + [taps - 1 - ahead, ahead])
    weight = kernel.flip(tuple(range(2, 2 + rank))).expand(batch, -1, *[-1] * rank).flatten(0, 1).unsqueeze(1)
    convolution = (functional.conv1d, functional.conv2d, functional.conv3d)[rank - 1]
    y = convolution(padded.flatten(0, 1).unsqueeze(0), weight, groups=batch * channels).reshape(x.shape)
    if shortcut is not None:
        y = y + shortcut.view(-1, *[1] * rank) * x
    return y.movedim(1, -1) if channels_last else y


def in_float64(*tensors: Tensor) -> tuple[Array, ...]:
    """The very values of tensors of any dtype."""
    return tuple(tensor.detach().double().numpy() for tensor in tensors)


def fft_rounding(x: Tensor, kernel: Tensor, shortcut: Tensor | None, channels_last: bool) -> Tensor:
    """Bound, per sample and channel, on the rounding of an FFT convolution in the dtype the operands call for.

    Transforms are orthogonal up to scale and err by at most a multiple of eps log2(F) in the 2-norm, so by
    Cauchy-Schwarz the sum errs by a multiple of eps log2(F) |x| |kernel|.
    """
    eps = torch.finfo(torch.promote_types(torch.promote_types(x.dtype, kernel.dtype), torch.float32)).eps
    dims = tuple(range(1, x.ndim - 1)) if channels_last else tuple(range(2, x.ndim))
    norms = [torch.linalg.vector_norm(t.detach().double(), dim=dims, keepdim=True) for t in (x, kernel)]
    if shortcut is not None:
        magnitude = shortcut.detach().double().abs()
        norms[1] = norms[1] + (magnitude if channels_last else magnitude.view(-1, *[1] * len(dims)))
    stages = 1 + sum(np.log2(x.shape[d] + kernel.shape[d]) for d in dims)
    return 2 * eps * stages * norms[0] * norms[1]


def assert_convolved(
    y: Tensor, x: Tensor, kernel: Tensor, shortcut: Tensor | None, paddings: tuple[str, ...], channels_last: bool
) -> None:
    """`y` is the convolution: contiguous, of `x`'s shape and dtype, as close as float arithmetic can promise."""
    assert (y.shape, y.dtype, y.is_contiguous()) == (x.shape, x.dtype, True)
    arrays = in_float64(x, kernel) + (in_float64(shortcut) if shortcut is not None else (None,))
    expected = torch.from_numpy(formula_convolution(*arrays, paddings, channels_last))
    # The result is rounded once more, to x's dtype: half a unit in the last place, or half the smallest subnormal.
    output = torch.finfo(y.dtype)
    bound = fft_rounding(x, kernel, shortcut, channels_last) + output.eps / 2 * (expected.abs() + output.tiny)
    error = (y.double() - expected).abs()
    assert (error <= bound).all(), f"error {error.max():.3g}, {(error / bound).max():.3g} times what rounding explains"
