"""Depthwise convolution with small kernels as torch's own, tap by tap: on a CPU it beats transforms."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from .._ops.precision import without_autocast
from .plan import AxisPlan, kernel_centre

# Most taps of the kernel, per rank, with which it measured faster; and most per axis for the gradient of the kernel.
MOST_TAPS = {1: 47, 2: 121, 3: 125}
MOST_TAPS_TRAINED = {1: 3, 2: 3, 3: 2}
# Fewest samples of the signal, below which starting takes longer than either, and fewest per tap in one dimension.
LEAST_SAMPLES, LEAST_SAMPLES_PER_TAP = 128, 16


def suits_direct(axes: tuple[AxisPlan, ...], dtype: torch.dtype, device: torch.device) -> bool:
    """Whether `convolve_direct` is the faster route for kernels of this size, computed in `dtype`."""
    taps, samples = math.prod(axis.taps for axis in axes), math.prod(axis.signal for axis in axes)
    small = taps <= MOST_TAPS.get(len(axes), 0)
    large = samples >= max(LEAST_SAMPLES, LEAST_SAMPLES_PER_TAP * taps if len(axes) == 1 else 0)
    return small and large and device.type == "cpu" and dtype == torch.float32


def suits_direct_gradient(axes: tuple[AxisPlan, ...]) -> bool:
    """Of the kernels that `suits_direct`, those whose own gradient is faster tap by tap, too."""
    return max(axis.taps for axis in axes) <= MOST_TAPS_TRAINED[len(axes)]


def convolve_direct(x: Tensor, kernel: Tensor, paddings: tuple[str, ...], adjoint: bool = False) -> Tensor:
    """The convolution of `x [B, C, *N]` with `kernel [1|B, C, *K]`, or its adjoint in `x`; in the kernel's dtype."""
    taps = kernel.shape[2:]
    if not adjoint:
        kernel = kernel.flip(tuple(range(2, kernel.ndim)))
    x = x.to(kernel.dtype)
    if all(size % 2 and padding == "zero" for size, padding in zip(taps, paddings, strict=True)):
        return _convolution(_folded(x, kernel), kernel, tuple(size // 2 for size in taps)).view(x.shape)
    return _convolution(_folded(_padded(x, taps, paddings, adjoint), kernel), kernel).view(x.shape)


def gradient_direct(grad: Tensor, x: Tensor, kernel: Tensor, paddings: tuple[str, ...]) -> Tensor:
    """The adjoint of `convolve_direct` in `kernel`, applied to `grad`."""
    wide = _folded(_padded(x.to(kernel.dtype), kernel.shape[2:], paddings, False), kernel)
    ones, zeros = [1] * (kernel.ndim - 2), [0] * (kernel.ndim - 2)
    narrow, weight = _folded(grad.to(kernel.dtype), kernel), kernel.flatten(0, 1).unsqueeze(1)
    geometry = (ones, zeros, ones, False, zeros, weight.shape[0])
    found: Tensor = torch.ops.aten.convolution_backward(narrow, wide, weight, None, *geometry, [False, True, False])[1]
    return found.view(kernel.shape).flip(tuple(range(2, kernel.ndim)))


def _convolution(wide: Tensor, kernel: Tensor, zeros: int | tuple[int, ...] = 0) -> Tensor:
    """With so many more zeros at both ends."""
    convolution = getattr(functional, f"conv{kernel.ndim - 2}d")
    weight = kernel.flatten(0, 1).unsqueeze(1)
    with without_autocast(wide.device.type):
        result: Tensor = convolution(wide, weight, padding=zeros, groups=weight.shape[0])
    return result


def _folded(tensor: Tensor, kernel: Tensor) -> Tensor:
    """With kernels of their own, samples are more channels."""
    return tensor if kernel.shape[0] == 1 else tensor.flatten(0, 1).unsqueeze(0)


def _padded(x: Tensor, taps: tuple[int, ...], paddings: tuple[str, ...], adjoint: bool) -> Tensor:
    """`x` with what every sample needs before and after it."""
    for axis, (size, padding) in enumerate(zip(taps, paddings, strict=True)):
        centre = kernel_centre(size, padding)
        before, after = (centre, size - 1 - centre) if adjoint else (size - 1 - centre, centre)
        length = x.shape[2 + axis]
        if padding == "circular":
            # A kernel is at most as long as the signal.
            start, end = x.narrow(2 + axis, length - before, before), x.narrow(2 + axis, 0, after)
            x = torch.cat([start, x, end], 2 + axis)
        else:
            x = functional.pad(x, [0, 0] * (len(taps) - 1 - axis) + [before, after])
    return x
