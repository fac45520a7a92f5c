"""Direct route: torch's own depthwise convolution, which beats transforms for kernels of a few taps on a CPU."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from .._ops.precision import without_autocast
from .boundary import Axis, kernel_origin
from .layout import empty_result, origin
from .route import Problem
from .strided_copy import strided_copy


class Direct:
    """Convolution tap by tap. The methods of `Route` are documented there."""

    def __init__(self, axes: tuple[Axis, ...], problem: Problem) -> None:
        self.axes, self.paddings, self.dtype = axes, problem.paddings, problem.dtype

    def convolve(self, x: Tensor, taps: Tensor, shortcut: Tensor | None, channels_last: bool) -> Tensor:
        return self.convolve_prepared(x, self.prepare(taps, shortcut), channels_last)

    def prepare(self, taps: Tensor, shortcut: Tensor | None) -> Tensor:
        """The taps in the dtype of the arithmetic, with the shortcut added at the origin."""
        if shortcut is None:
            return taps.to(self.dtype)
        taps = taps.to(self.dtype, copy=True)
        origin(taps, self.axes).add_(shortcut)
        return taps

    def convolve_prepared(self, x: Tensor, prepared: Tensor, channels_last: bool) -> Tensor:
        result = convolve_direct(x.contiguous(), prepared, self.paddings)
        if not channels_last:
            return result.to(x.dtype).contiguous()
        y, view = empty_result(x, channels_last)
        strided_copy(result, view)
        return y

    def gradients(
        self,
        grad: Tensor,
        x: Tensor,
        taps: Tensor,
        shortcut: Tensor | None,
        to_x: Tensor | None,
        to_taps: Tensor | None,
    ) -> None:
        grad = grad.contiguous()
        if to_x is not None:
            strided_copy(convolve_direct(grad, self.prepare(taps, shortcut), self.paddings, adjoint=True), to_x)
        if to_taps is not None:
            strided_copy(gradient_direct(grad, x.contiguous(), taps.to(self.dtype), self.paddings), to_taps)

    def describe(self) -> Iterator[str]:
        yield "direct, by torch.nn.functional.conv"


def convolve_direct(x: Tensor, kernel: Tensor, paddings: tuple[str, ...], adjoint: bool = False) -> Tensor:
    """The convolution of `x [B, C, *N]` with `kernel [1|B, C, *K]`, or its adjoint in `x`; in the kernel's dtype."""
    taps = kernel.shape[2:]
    if not adjoint:
        kernel = kernel.flip(tuple(range(2, kernel.ndim)))
    x = x.to(kernel.dtype)
    if all(size % 2 and padding == "zero" for size, padding in zip(taps, paddings, strict=True)):
        return _depthwise(_merge_items(x, kernel), kernel, tuple(size // 2 for size in taps)).view(x.shape)
    return _depthwise(_merge_items(_pad(x, taps, paddings, adjoint), kernel), kernel).view(x.shape)


def gradient_direct(grad: Tensor, x: Tensor, kernel: Tensor, paddings: tuple[str, ...]) -> Tensor:
    """The adjoint of `convolve_direct` in `kernel`, applied to `grad`."""
    padded = _merge_items(_pad(x.to(kernel.dtype), kernel.shape[2:], paddings, False), kernel)
    ones, zeros = [1] * (kernel.ndim - 2), [0] * (kernel.ndim - 2)
    grad, weight = _merge_items(grad.to(kernel.dtype), kernel), kernel.flatten(0, 1).unsqueeze(1)
    geometry = (ones, zeros, ones, False, zeros, weight.shape[0])
    found: Tensor = torch.ops.aten.convolution_backward(grad, padded, weight, None, *geometry, [False, True, False])[1]
    return found.view(kernel.shape).flip(tuple(range(2, kernel.ndim)))


def _depthwise(x: Tensor, kernel: Tensor, padding: int | tuple[int, ...] = 0) -> Tensor:
    convolution = getattr(functional, f"conv{kernel.ndim - 2}d")
    weight = kernel.flatten(0, 1).unsqueeze(1)
    with without_autocast(x.device.type):
        result: Tensor = convolution(x, weight, padding=padding, groups=weight.shape[0])
    return result


def _merge_items(tensor: Tensor, kernel: Tensor) -> Tensor:
    """Batch items as further channels where each has its own kernel."""
    return tensor if kernel.shape[0] == 1 else tensor.flatten(0, 1).unsqueeze(0)


def _pad(x: Tensor, taps: tuple[int, ...], paddings: tuple[str, ...], adjoint: bool) -> Tensor:
    """`x` extended by the values that its first and last positions need, by boundary."""
    for axis, (size, padding) in enumerate(zip(taps, paddings, strict=True)):
        first = kernel_origin(size, padding)
        before, after = (first, size - 1 - first) if adjoint else (size - 1 - first, first)
        length = x.shape[2 + axis]
        if padding == "circular":
            # A kernel is at most as long as the signal.
            start, end = x.narrow(2 + axis, length - before, before), x.narrow(2 + axis, 0, after)
            x = torch.cat([start, x, end], 2 + axis)
        else:
            x = functional.pad(x, [0, 0] * (len(taps) - 1 - axis) + [before, after])
    return x
