"""Carry out a planned FFT convolution, and the two products of its backward, with `torch.fft`.

Everything here is an ordinary function of real tensors with known sizes; gradients, tracing and batching rules are
`_fftconv_operators`' business. Spectra are channels-first.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from ._fftconv_plan import AxisPlan, plan_axes


def compute_dtype(x: Tensor, kernel: Tensor) -> torch.dtype:
    """float64 if either operand has it, else float32: half precisions have no FFT of their own worth having."""
    return torch.promote_types(torch.promote_types(x.dtype, kernel.dtype), torch.float32)


def convolve(x: Tensor, kernel: Tensor, paddings: tuple[str, ...], channels_last: bool) -> Tensor:
    """`y = kernel * x`, contiguous, in `x`'s layout and dtype."""
    sizes = _spatial(x, channels_last), _spatial(kernel, channels_last)
    if x.numel() == 0:
        return x.new_zeros(x.shape)
    spectrum = kernel_spectrum(kernel, sizes[0], paddings, channels_last, compute_dtype(x, kernel))
    return convolve_spectrum(x, spectrum, plan_axes(*sizes, paddings), channels_last)


def kernel_spectrum(
    kernel: Tensor, signal: tuple[int, ...], paddings: tuple[str, ...], channels_last: bool, dtype: torch.dtype
) -> Tensor:
    """The transform `[1|B, C, *F]` of the kernel placed with its centre at index 0."""
    plan = plan_axes(signal, _spatial(kernel, channels_last), paddings)
    dims = _dims(plan)
    kernel = _channels_first(kernel, channels_last).to(dtype)
    for dim, axis in zip(dims, plan, strict=True):
        kernel = kernel.narrow(dim, 0, axis.taps)
    padded = kernel.new_zeros(*kernel.shape[:2], *(axis.length for axis in plan))
    padded[_corner(axis.taps for axis in plan)] = kernel
    # Rolling moves whole samples, where a phase ramp on the spectrum would round every one of them.
    return torch.fft.rfftn(padded.roll([-axis.centre for axis in plan], dims), dim=dims)


def convolve_spectrum(x: Tensor, spectrum: Tensor, plan: Sequence[AxisPlan], channels_last: bool) -> Tensor:
    """`convolve` with the kernel's spectrum at hand."""
    if x.numel() == 0:
        return x.new_zeros(x.shape)
    product = _transform(x, plan, channels_last, _real_dtype(spectrum)).mul_(spectrum)
    return _restore(_inverse(product, plan, [axis.signal for axis in plan]), channels_last, x.dtype)


def gradients(
    grad: Tensor,
    x: Tensor,
    kernel: Tensor,
    paddings: tuple[str, ...],
    channels_last: bool,
    need_x: bool,
    need_kernel: bool,
) -> tuple[Tensor, Tensor]:
    """The adjoints of `convolve` applied to `grad`: in `x` and in `kernel`; an unneeded one is an empty tensor."""
    sizes = _spatial(grad, channels_last), _spatial(kernel, channels_last)
    plan = plan_axes(*sizes, paddings)
    dtype = compute_dtype(x, kernel)
    grad_x = x.new_zeros(x.shape if need_x else 0)
    grad_kernel = kernel.new_zeros(kernel.shape if need_kernel else 0)
    if grad.numel() == 0:
        return grad_x, grad_kernel
    spectrum = _transform(grad, plan, channels_last, dtype)
    if need_kernel:
        product = _correlate(_transform(x, plan, channels_last, dtype), spectrum)
        if kernel.shape[0] == 1:
            product = product.sum(0, keepdim=True)
        lags = _inverse(product, plan, [axis.length for axis in plan])
        lags = lags.roll([axis.centre for axis in plan], _dims(plan))
        taps = _corner(axis.taps for axis in plan)
        _channels_first(grad_kernel, channels_last)[taps] = lags[taps].to(grad_kernel.dtype)
    if need_x:
        product = _correlate(kernel_spectrum(kernel, sizes[0], paddings, channels_last, dtype), spectrum)
        signal = [axis.signal for axis in plan]
        grad_x = _restore(_inverse(product, plan, signal), channels_last, x.dtype)
    return grad_x, grad_kernel


def _spatial(tensor: Tensor, channels_last: bool) -> tuple[int, ...]:
    return tuple(tensor.shape[1:-1] if channels_last else tensor.shape[2:])


def _corner(sizes: Iterable[int]) -> tuple[slice, ...]:
    """The index of the first `sizes` samples of the spatial axes of a channels-first tensor."""
    return slice(None), slice(None), *(slice(size) for size in sizes)


def _dims(plan: Sequence[AxisPlan]) -> tuple[int, ...]:
    return tuple(range(2, 2 + len(plan)))


def _real_dtype(spectrum: Tensor) -> torch.dtype:
    return torch.float64 if spectrum.dtype == torch.complex128 else torch.float32


def _channels_first(tensor: Tensor, channels_last: bool) -> Tensor:
    return tensor.movedim(-1, 1) if channels_last else tensor


def _transform(signal: Tensor, plan: Sequence[AxisPlan], channels_last: bool, dtype: torch.dtype) -> Tensor:
    # Contiguous, because some builds of torch cannot transform expanded tensors.
    signal = _channels_first(signal, channels_last).to(dtype).contiguous()
    return torch.fft.rfftn(signal, s=[axis.length for axis in plan], dim=_dims(plan))


def _correlate(conjugated: Tensor, spectrum: Tensor) -> Tensor:
    """`conj(conjugated) * spectrum`; the lazy conjugate bit is lost in operators called by AOTAutograd's graphs."""
    return torch.mul(conjugated.conj_physical_(), spectrum)


def _inverse(spectrum: Tensor, plan: Sequence[AxisPlan], keep: Sequence[int]) -> Tensor:
    signal = torch.fft.irfftn(spectrum, s=[axis.length for axis in plan], dim=_dims(plan))
    return signal[_corner(keep)]


def _restore(signal: Tensor, channels_last: bool, dtype: torch.dtype) -> Tensor:
    if channels_last:
        signal = signal.movedim(1, -1)
    # Contiguous, as the fake implementation promises, and free of the padding that a view would keep alive.
    return signal.to(dtype).contiguous()
