"""Transforms of one operand along its axes, with padding, placement and cropping.

One axis is transformed after another, each as the last one in memory. The copy that moves an axis there also pads or
crops it, converts dtype and layout, and skips rows known to be zero. The axes of spectra are therefore in reverse
order: `[B, C, *reversed(F)]`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from .boundary import Axis, Piece
from .layout import at
from .strided_copy import strided_copy


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
