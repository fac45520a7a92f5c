"""Carry out a planned FFT convolution, and the two products of its backward, with `torch.fft`.

Everything here is an ordinary function of real tensors with known sizes; gradients, tracing and batching rules are
`_fftconv_operators`' business. The work goes block by block over samples and channels, so that temporaries are small
and their memory is used again. Within a block one axis is transformed after another, each as the last one in memory:
the copy that brings it there also pads or crops, converts dtype and layout, and spares transforms of rows of zeros.
So the axes of spectra are in reverse order: `[B, C, *reversed(F)]`. Small kernels (`_direct`) and medium ones on long
sequences (`_overlap_save`) take routes of their own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .._ops.allocator import keep_freed_memory
from .direct import convolve_direct, gradient_direct, suits_direct, suits_direct_gradient
from .overlap_save import PartsOfResults, PartsOfSignals, parts_of
from .plan import AxisPlan, Block, Piece, block_size, blocks, plan_axes, spectrum_shape
from .strided_copy import strided_copy


def compute_dtype(x: Tensor, kernel: Tensor) -> torch.dtype:
    """float64 if either operand has it, else float32: half precisions have no FFT of their own worth having."""
    return torch.promote_types(torch.promote_types(x.dtype, kernel.dtype), torch.float32)


def convolve(
    x: Tensor, kernel: Tensor, shortcut: Tensor | None, paddings: tuple[str, ...], channels_last: bool
) -> Tensor:
    """`y = kernel * x + shortcut x`, contiguous, in `x`'s layout and dtype."""
    axes = plan_axes(_spatial(x, channels_last), _spatial(kernel, channels_last), paddings)
    dtype = compute_dtype(x, kernel)
    taps = _taps(kernel, axes, channels_last)
    if suits_direct(axes, dtype, x.device):
        return _convolve_direct(x, _with_shortcut(taps, shortcut, axes, dtype), paddings, channels_last)
    return _convolve(x, _KernelSpectra(taps, shortcut, _kernel_axes(axes, x.device), dtype), axes, channels_last, dtype)


@dataclass(frozen=True)
class Operator:
    """What convolving with one kernel needs, for signals of one size.

    Attributes:
        values: the spectrum, or the taps of a small kernel.
        axes: the plan of the spectrum; None for taps.
    """

    values: Tensor
    axes: tuple[AxisPlan, ...] | None


def prepare(
    kernel: Tensor, shortcut: Tensor, signal: tuple[int, ...], paddings: tuple[str, ...], dtype: torch.dtype
) -> Operator:
    """All of `convolve` that depends on a channels-first kernel and its shortcut alone."""
    axes = plan_axes(signal, _spatial(kernel, False), paddings)
    taps = _taps(kernel, axes, False)
    if suits_direct(axes, dtype, kernel.device):
        return Operator(_with_shortcut(taps, shortcut, axes, dtype), None)
    transformed = _kernel_axes(axes, kernel.device)
    spectra = _KernelSpectra(taps, shortcut, transformed, dtype)
    result = taps.new_empty(*taps.shape[:2], *spectrum_shape(transformed), dtype=dtype.to_complex())
    for block in _blocks(taps, axes, dtype):  # those of `convolve`: the same calls, so the same bits
        result[block] = spectra.of(block)
    return Operator(result, axes)


def convolve_prepared(x: Tensor, operator: Operator, paddings: tuple[str, ...], channels_last: bool) -> Tensor:
    """`convolve`, the same to the bit, with what depends on the kernel at hand."""
    if operator.axes is None:
        return _convolve_direct(x, operator.values, paddings, channels_last)
    dtype = torch.float64 if operator.values.dtype == torch.complex128 else torch.float32
    return _convolve(x, _KnownSpectra(operator.values), operator.axes, channels_last, dtype)


def _convolve_direct(x: Tensor, taps: Tensor, paddings: tuple[str, ...], channels_last: bool) -> Tensor:
    if x.numel() == 0:
        return torch.empty_like(x, memory_format=torch.contiguous_format)
    result = convolve_direct(_channels_first(x, channels_last).contiguous(), taps, paddings)
    if not channels_last:
        return result.to(x.dtype).contiguous()
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    strided_copy(result, _channels_first(y, channels_last))
    return y


def _with_shortcut(taps: Tensor, shortcut: Tensor | None, axes: tuple[AxisPlan, ...], dtype: torch.dtype) -> Tensor:
    """A copy of a few channels-first taps in `dtype`, the shortcut added to the one of lag 0."""
    if shortcut is None:
        return taps.to(dtype)
    taps = taps.to(dtype, copy=True)
    _at(taps, [axis.centre for axis in axes]).add_(shortcut)
    return taps


def empty_gradients(
    x: Tensor, kernel: Tensor, shortcut: Tensor | None, need_x: bool, need_kernel: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Room for `gradients`; empty tensors for those which nobody needs."""
    # Like the operands in memory too, where what made them reads its gradients fastest.
    return (
        torch.empty_like(x) if need_x else x.new_empty(0),
        torch.empty_like(kernel) if need_kernel else kernel.new_empty(0),
        torch.empty_like(shortcut) if need_kernel and shortcut is not None else x.new_empty(0),
    )


def gradients(
    grad: Tensor,
    x: Tensor,
    kernel: Tensor,
    shortcut: Tensor | None,
    paddings: tuple[str, ...],
    channels_last: bool,
    need_x: bool,
    need_kernel: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The adjoints of `convolve` applied to `grad`: in `x`, in `kernel` and its shortcut."""
    axes = plan_axes(_spatial(grad, channels_last), _spatial(kernel, channels_last), paddings)
    grads = empty_gradients(x, kernel, shortcut, need_x, need_kernel)
    grad_x, grad_kernel, grad_shortcut = grads
    unused = any(plan.taps < taps for plan, taps in zip(axes, _spatial(kernel, channels_last), strict=True))
    if unused or grad.numel() == 0:
        grad_kernel.zero_()
    if grad.numel() == 0:
        grad_shortcut.zero_()
        return grads
    dtype = compute_dtype(x, kernel)
    # The shortcut is not to be rounded like a kernel of half precision.
    exact = grad_kernel.to(dtype) if grad_shortcut.numel() else grad_kernel
    taps = _taps(kernel, axes, channels_last)
    _write_gradients(
        _channels_first(grad, channels_last),
        _channels_first(x, channels_last),
        taps,
        shortcut,
        axes,
        paddings,
        dtype,
        _channels_first(grad_x, channels_last) if need_x else None,
        _taps(exact, axes, channels_last) if need_kernel else None,
    )
    if grad_shortcut.numel():
        grad_shortcut.copy_(_at(_taps(exact, axes, channels_last), [axis.centre for axis in axes]).sum(0))
        if exact is not grad_kernel:
            grad_kernel.copy_(exact)
    return grads


def _write_gradients(
    grad: Tensor,
    x: Tensor,
    taps: Tensor,
    shortcut: Tensor | None,
    axes: tuple[AxisPlan, ...],
    paddings: tuple[str, ...],
    dtype: torch.dtype,
    to_x: Tensor | None,
    to_kernel: Tensor | None,
) -> None:
    """`gradients`, of channels-first tensors, written to those that are given."""
    if suits_direct(axes, dtype, x.device):
        if to_x is not None:
            taps_here = _with_shortcut(taps, shortcut, axes, dtype)
            strided_copy(convolve_direct(grad.contiguous(), taps_here, paddings, adjoint=True), to_x)
            to_x = None
        if to_kernel is not None and suits_direct_gradient(axes):
            strided_copy(gradient_direct(grad.contiguous(), x.contiguous(), taps.to(dtype), paddings), to_kernel)
            to_kernel = None
        if to_kernel is None:
            return
    signals, results = _sides(axes, dtype, x.device)
    kernels = _KernelSpectra(taps, shortcut, _kernel_axes(axes, x.device), dtype, conjugate=True)
    sums: Tensor | None = None
    for block in _blocks(grad, axes, dtype):
        spectrum = results.forward(grad[block])
        if to_kernel is not None:
            product = _conjugate(signals.forward(x[block])).mul_(spectrum)
            product = product.sum(0) if product.ndim > grad.ndim else product  # of parts
            if taps.shape[0] == 1:
                product = product.sum(0, keepdim=True) if product.shape[0] > 1 else product
                sums = product if block.samples.start == 0 else sums.add_(product)  # type: ignore[union-attr]
                product = sums
            if taps.shape[0] > 1 or block.samples.stop == grad.shape[0]:
                kernels.transform.inverse(product, _of(to_kernel, block))
        if to_x is not None:
            signals.inverse(spectrum.mul_(kernels.of(block)), to_x[block])


def _convolve(
    x: Tensor,
    spectra: "_KernelSpectra | _KnownSpectra",
    axes: tuple[AxisPlan, ...],
    channels_last: bool,
    dtype: torch.dtype,
) -> Tensor:
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    source, target = _channels_first(x, channels_last), _channels_first(y, channels_last)
    signals, results = _sides(axes, dtype, x.device)
    for block in _blocks(source, axes, dtype):
        results.inverse(signals.forward(source[block]).mul_(spectra.of(block)), target[block])
    return y


def _kernel_axes(axes: tuple[AxisPlan, ...], device: torch.device) -> tuple[AxisPlan, ...]:
    """The axes of the kernel's transform: those of a part where the signal is cut."""
    parts = parts_of(axes) if device.type == "cpu" else None
    return axes if parts is None else (parts.axis,)


def _sides(
    axes: tuple[AxisPlan, ...], dtype: torch.dtype, device: torch.device
) -> tuple["_Transform | PartsOfSignals", "_Transform | PartsOfResults"]:
    """The transforms of the convolution's argument and of its result."""
    parts = parts_of(axes) if device.type == "cpu" else None
    if parts is not None:
        return PartsOfSignals(parts, dtype), PartsOfResults(parts, dtype)
    both = _Transform(axes, [axis.signal_pieces for axis in axes], dtype)
    return both, both


class _Transform:
    """Transforms of one operand, block after block; the zeros of the padded buffers are written once."""

    def __init__(self, axes: tuple[AxisPlan, ...], pieces: Sequence[Sequence[Piece]], dtype: torch.dtype) -> None:
        self.axes, self.pieces, self.dtype = axes, pieces, dtype
        self._padded: dict[int, Tensor] = {}

    def forward(self, block: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """The spectrum of `[b, c, *sizes]`, for a kernel with a shortcut `[c]` added to its tap of lag 0."""
        last = len(self.axes) - 1
        block = self._pad(block, last, self.dtype)
        if shortcut is not None:
            _at(block, [*(axis.centre for axis in self.axes[:-1]), 0]).add_(shortcut)
        block = torch.fft.rfft(block)
        for axis in reversed(range(last)):
            block = torch.fft.fft(self._pad(block.movedim(2 + axis, -1), axis, block.dtype))
        return block

    def inverse(self, spectrum: Tensor, target: Tensor) -> None:
        """Write what the inverse transform has at this operand's places to `target [b, c, *sizes]`."""
        for axis, plan in enumerate(self.axes):
            if axis == len(self.axes) - 1:
                self._crop(torch.fft.irfft(spectrum, plan.length), target, axis)
            else:
                spectrum = torch.fft.ifft(spectrum)
                kept = spectrum.new_empty(
                    *spectrum.shape[: 2 + axis], target.shape[2 + axis], *spectrum.shape[2 + axis : -1]
                )
                self._crop(spectrum, kept, axis)
                spectrum = kept

    def _pad(self, block: Tensor, axis: int, dtype: torch.dtype) -> Tensor:
        """`block`, whose last axis is this one, with its pieces in place; contiguous."""
        length, pieces = self.axes[axis].length, self.pieces[axis]
        # What is returned as it is must not be written to, but `forward` adds a shortcut. A kernel fills an axis with
        # lag 0 first only where that has one sample.
        whole = block.shape[-1] == length > 1 and pieces == (Piece(0, 0, length),)
        if whole and block.dtype == dtype and block.is_contiguous():
            return block
        rows = block.shape[0] * block.shape[1]
        if axis not in self._padded or self._padded[axis].shape[0] < rows:
            self._padded[axis] = block.new_zeros(rows, *block.shape[2:-1], length, dtype=dtype)
        padded = self._padded[axis][:rows].view(*block.shape[:-1], length)
        for source, to, size in pieces:
            strided_copy(_part(block, source, size), _part(padded, to, size))
        return padded

    def _crop(self, signal: Tensor, target: Tensor, axis: int) -> None:
        """Gather the pieces of `signal`'s last axis in this axis of `target`."""
        target, pieces = target.movedim(2 + axis, -1), self.pieces[axis]
        if self.axes[axis].periodic and len(pieces) > 1:
            folded = signal.new_zeros(target.shape)
            for source, to, size in pieces:
                _part(folded, source, size).add_(_part(signal, to, size))
            target.copy_(folded)
            return
        for source, to, size in pieces:
            strided_copy(_part(signal, to, size), _part(target, source, size))


def _part(tensor: Tensor, start: int, size: int) -> Tensor:
    """`size` places of the last axis; everything takes no operation of torch."""
    return tensor if tensor.shape[-1] == size else tensor.narrow(-1, start, size)


class _KernelSpectra:
    """The spectra of a kernel's blocks; a shared kernel's is computed once for all samples."""

    def __init__(
        self,
        taps: Tensor,
        shortcut: Tensor | None,
        axes: tuple[AxisPlan, ...],
        dtype: torch.dtype,
        conjugate: bool = False,
    ) -> None:
        self.taps, self.shortcut, self.conjugate = taps, shortcut, conjugate
        self.transform = _Transform(axes, [axis.kernel_pieces for axis in axes], dtype)
        self._last: tuple[slice, Tensor] | None = None

    def of(self, block: Block) -> Tensor:
        if self.taps.shape[0] > 1 or self._last is None or self._last[0] != block.channels:
            shortcut = None if self.shortcut is None else self.shortcut[block.channels]
            spectrum = self.transform.forward(_of(self.taps, block), shortcut)
            self._last = block.channels, _conjugate(spectrum) if self.conjugate else spectrum
        return self._last[1]


class _KnownSpectra:
    """The same of a spectrum at hand."""

    def __init__(self, spectrum: Tensor) -> None:
        self.spectrum = spectrum

    def of(self, block: Block) -> Tensor:
        return _of(self.spectrum, block)


def _conjugate(spectrum: Tensor) -> Tensor:
    # Not lazily: the bit for it is lost in operators called by AOTAutograd's graphs.
    return spectrum.conj_physical_()


def _blocks(tensor: Tensor, axes: tuple[AxisPlan, ...], dtype: torch.dtype) -> Iterator[Block]:
    """The blocks of a channels-first tensor."""
    total, on_cpu = (tensor.shape[0], tensor.shape[1]), tensor.device.type == "cpu"
    if on_cpu:
        keep_freed_memory()
    return blocks(total, block_size(axes, *total, dtype.itemsize, on_cpu))


def _of(kernel: Tensor, block: Block) -> Tensor:
    """A block of a kernel or its spectrum, which may be shared by all samples."""
    return kernel[block] if kernel.shape[0] > 1 else kernel[:, block.channels]


def _spatial(tensor: Tensor, channels_last: bool) -> tuple[int, ...]:
    return tuple(tensor.shape[1:-1] if channels_last else tensor.shape[2:])


def _channels_first(tensor: Tensor, channels_last: bool) -> Tensor:
    return tensor.movedim(-1, 1) if channels_last else tensor


def _at(tensor: Tensor, place: Sequence[int]) -> Tensor:
    """What `[b, c, *sizes]` has at one place, `[b, c]`."""
    for index in place:
        tensor = tensor.select(2, index)
    return tensor


def _taps(kernel: Tensor, axes: tuple[AxisPlan, ...], channels_last: bool) -> Tensor:
    """The taps that count, channels-first; causal axes leave out lags longer than the signal."""
    kernel = _channels_first(kernel, channels_last)
    for axis, plan in enumerate(axes):
        if plan.taps < kernel.shape[2 + axis]:
            kernel = kernel.narrow(2 + axis, 0, plan.taps)
    return kernel
