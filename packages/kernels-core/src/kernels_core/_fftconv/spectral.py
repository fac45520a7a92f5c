"""Spectral route: pad, transform, multiply, transform back, crop, block by block.

Within a block one axis is transformed after another, each as the last one in memory. The copy that moves an axis there
also pads or crops it, converts dtype and layout, and skips rows known to be zero. The axes of spectra are therefore in
reverse order: `[B, C, *reversed(F)]`.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from .._ops.allocator import retain_buffers
from .axis import Axis, Piece, spectrum_shape
from .blocks import Block, blocks
from .layout import at, empty_result
from .route import Problem, spectral_block
from .strided_copy import strided_copy


class Transforms(Protocol):
    """Transforms of one operand, and their adjoint up to scale."""

    def forward(self, block: Tensor) -> Tensor:
        """The spectrum of `[b, c, *sizes]`."""
        ...

    def inverse(self, spectrum: Tensor, target: Tensor) -> None:
        """Write the values whose spectrum this is to `target [b, c, *sizes]`."""
        ...


class Spectral:
    """Convolution by whole transforms of every axis.

    All routes have these methods. Operands and targets of gradients are channels-first views; `taps [1|B, C, *K]` are
    the taps that count, without the shortcut `[C]`.
    """

    def __init__(self, axes: tuple[Axis, ...], problem: Problem) -> None:
        self.axes, self.problem = axes, problem
        self.block = spectral_block(axes, problem)

    def convolve(self, x: Tensor, taps: Tensor, shortcut: Tensor | None, channels_last: bool) -> Tensor:
        """`(taps + shortcut) * x`, contiguous in the caller's layout, in the dtype of x."""
        return self._convolve(x, _KernelSpectra(self.kernel_transform(), taps, shortcut), channels_last)

    def prepare(self, taps: Tensor, shortcut: Tensor | None) -> Tensor:
        """All of `convolve` that depends on the kernel alone: its spectrum."""
        transform = self.kernel_transform()
        spectra = _KernelSpectra(transform, taps, shortcut)
        shape = (*taps.shape[:2], *spectrum_shape(transform.axes))
        result = taps.new_empty(shape, dtype=self.problem.dtype.to_complex())
        for block in self._blocks(taps):  # the blocks of `convolve`: the same calls, so the same bits
            result[block] = spectra.of(block)
        return result

    def convolve_prepared(self, x: Tensor, prepared: Tensor, channels_last: bool) -> Tensor:
        """`convolve` with the result of `prepare`, equal to the bit."""
        return self._convolve(x, _PreparedSpectra(prepared), channels_last)

    def gradients(
        self,
        grad: Tensor,
        x: Tensor,
        taps: Tensor,
        shortcut: Tensor | None,
        to_x: Tensor | None,
        to_taps: Tensor | None,
    ) -> None:
        """Write the adjoints of `convolve` applied to `grad` to the targets that are given."""
        signals, results = self.signal_transforms()
        kernels = _KernelSpectra(self.kernel_transform(), taps, shortcut, conjugate=True)
        sums: Tensor | None = None
        for block in self._blocks(grad):
            spectrum = results.forward(grad[block])
            if to_taps is not None:
                product = _conjugate(signals.forward(x[block])).mul_(spectrum)
                product = product.sum(0) if product.ndim > grad.ndim else product  # over segments
                if taps.shape[0] == 1:
                    product = product.sum(0, keepdim=True) if product.shape[0] > 1 else product
                    sums = product if block.items.start == 0 else sums.add_(product)  # type: ignore[union-attr]
                    product = sums
                if taps.shape[0] > 1 or block.items.stop == grad.shape[0]:
                    kernels.transform.inverse(product, block.of(to_taps))
            if to_x is not None:
                signals.inverse(spectrum.mul_(kernels.of(block)), to_x[block])

    def describe(self) -> Iterator[str]:
        """The route in words, a line at a time."""
        items, channels = min(self.block.items, self.problem.items), min(self.block.channels, self.problem.channels)
        yield f"{self.describe_transforms()}, {items} batch items x {channels} channels at a time"
        spectrum = self.problem.dtype.to_complex().itemsize * self.spectrum_size()
        yield (
            f"  spectra of one operand: {readable_bytes(spectrum * items * channels)} per block, "
            f"{readable_bytes(spectrum * self.problem.items * self.problem.channels)} in all"
        )

    def describe_transforms(self) -> str:
        lengths = " x ".join(f"{axis.length}{' (periodic kernel)' if axis.periodic else ''}" for axis in self.axes)
        return f"FFT of length {lengths}"

    def signal_transforms(self) -> tuple[Transforms, Transforms]:
        """The transforms of the signal and of the result of the convolution."""
        both = AxisTransforms(self.axes, [axis.signal_pieces for axis in self.axes], self.problem.dtype)
        return both, both

    def kernel_transform(self) -> "AxisTransforms":
        """The transforms of the kernel."""
        return AxisTransforms(self.axes, [axis.kernel_pieces for axis in self.axes], self.problem.dtype)

    def spectrum_size(self) -> int:
        """Complex numbers in the spectrum of one batch item and channel of the signal."""
        return math.prod(spectrum_shape(self.axes))

    def _convolve(self, x: Tensor, spectra: "_KernelSpectra | _PreparedSpectra", channels_last: bool) -> Tensor:
        y, target = empty_result(x, channels_last)
        signals, results = self.signal_transforms()
        for block in self._blocks(x):
            results.inverse(signals.forward(x[block]).mul_(spectra.of(block)), target[block])
        return y

    def _blocks(self, operand: Tensor) -> Iterator[Block]:
        if self.problem.on_cpu:
            retain_buffers()
        return blocks(operand.shape[0], operand.shape[1], self.block)


class AxisTransforms:
    """Transforms of one operand, block after block; the zeros of the padded buffers are written once."""

    def __init__(self, axes: tuple[Axis, ...], pieces: Sequence[Sequence[Piece]], dtype: torch.dtype) -> None:
        self.axes, self.pieces, self.dtype = axes, pieces, dtype
        self._padded: dict[int, Tensor] = {}

    def forward(self, block: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """The spectrum of `[b, c, *sizes]`; of a kernel with a shortcut `[c]` added at its origin, if given."""
        last = len(self.axes) - 1
        block = self._pad(block, last, self.dtype)
        if shortcut is not None:
            at(block, [*(axis.origin for axis in self.axes[:-1]), 0]).add_(shortcut)
        block = torch.fft.rfft(block)
        for axis in reversed(range(last)):
            block = torch.fft.fft(self._pad(block.movedim(2 + axis, -1), axis, block.dtype))
        return block

    def inverse(self, spectrum: Tensor, target: Tensor) -> None:
        """Write the inverse transform, at the places of this operand, to `target [b, c, *sizes]`."""
        for axis, geometry in enumerate(self.axes):
            if axis == len(self.axes) - 1:
                self._crop(torch.fft.irfft(spectrum, geometry.length), target, axis)
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
        # A block that fills its axis is returned as it is and must not be written to, but `forward` adds a shortcut: a
        # kernel with lag 0 first fills its axis only where that has one position.
        whole = block.shape[-1] == length > 1 and pieces == (Piece(0, 0, length),)
        if whole and block.dtype == dtype and block.is_contiguous():
            return block
        rows = block.shape[0] * block.shape[1]
        if axis not in self._padded or self._padded[axis].shape[0] < rows:
            self._padded[axis] = block.new_zeros(rows, *block.shape[2:-1], length, dtype=dtype)
        padded = self._padded[axis][:rows].view(*block.shape[:-1], length)
        for source, to, size in pieces:
            strided_copy(_piece(block, source, size), _piece(padded, to, size))
        return padded

    def _crop(self, signal: Tensor, target: Tensor, axis: int) -> None:
        """Gather the pieces of `signal`'s last axis in this axis of `target`."""
        target, pieces = target.movedim(2 + axis, -1), self.pieces[axis]
        if self.axes[axis].periodic and len(pieces) > 1:
            folded = signal.new_zeros(target.shape)
            for source, to, size in pieces:
                _piece(folded, source, size).add_(_piece(signal, to, size))
            target.copy_(folded)
            return
        for source, to, size in pieces:
            strided_copy(_piece(signal, to, size), _piece(target, source, size))


def _piece(tensor: Tensor, start: int, size: int) -> Tensor:
    """`size` values of the last axis; the whole axis costs no operation."""
    return tensor if tensor.shape[-1] == size else tensor.narrow(-1, start, size)


class _KernelSpectra:
    """Spectra of a kernel's blocks; a block of a shared kernel is transformed once for all batch items."""

    def __init__(
        self, transform: AxisTransforms, taps: Tensor, shortcut: Tensor | None, conjugate: bool = False
    ) -> None:
        self.transform, self.taps, self.shortcut, self.conjugate = transform, taps, shortcut, conjugate
        self._last: tuple[slice, Tensor] | None = None

    def of(self, block: Block) -> Tensor:
        if self.taps.shape[0] > 1 or self._last is None or self._last[0] != block.channels:
            shortcut = None if self.shortcut is None else self.shortcut[block.channels]
            spectrum = self.transform.forward(block.of(self.taps), shortcut)
            self._last = block.channels, _conjugate(spectrum) if self.conjugate else spectrum
        return self._last[1]


class _PreparedSpectra:
    """Same interface over a precomputed spectrum."""

    def __init__(self, spectrum: Tensor) -> None:
        self.spectrum = spectrum

    def of(self, block: Block) -> Tensor:
        return block.of(self.spectrum)


def _conjugate(spectrum: Tensor) -> Tensor:
    # Not lazily: the bit for it is lost in operators called by AOTAutograd's graphs.
    return spectrum.conj_physical_()


def readable_bytes(count: float) -> str:
    """A number of bytes in the unit that suits it.

    Example:
        >>> readable_bytes(512), readable_bytes(3 << 19)
        ('512 B', '1.5 MiB')
    """
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.1f} {unit}" if unit != "B" else f"{count} B"
        count /= 1024
    return f"{count:.1f} GiB"
