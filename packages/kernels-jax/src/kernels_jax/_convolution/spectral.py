"""Spectral route: multiply the transforms of whole axes.

A padded axis is transformed by itself, as the last one in memory, and padded or cropped on its way there: rows that are
known to be zero are not transformed, nor are rows transformed back from which nothing is kept. The axes of such spectra
are in reverse order, `[B, C, *reversed(F)]`. Where no axis is padded there is nothing to skip, and all are transformed
together.
"""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
from jaxtyping import Array, Complex

from .._types import Kernel, Operand, Signal
from .boundary import Axis

Spectrum = Complex[Array, "..."]
Move = Callable[[Operand, Axis], Operand]


class Spectral:
    """Convolution by transforms. The methods of `Route` are documented there."""

    def __init__(self, axes: Sequence[Axis]) -> None:
        self.axes = tuple(axes)
        # XLA transforms at most three axes together.
        self.together = all(axis.wraps for axis in axes) and len(self.axes) <= 3

    def prepare(self, kernel: Kernel) -> Spectrum:
        """The spectrum of a kernel, for `result_with`."""
        return self._forward(kernel, _place)

    def result_with(self, x: Signal, spectrum: Spectrum) -> Signal:
        """The convolution with the kernel of a `spectrum`."""
        return self._inverse(self._forward(x, _pad) * spectrum, _crop)

    def result(self, x: Signal, kernel: Kernel) -> Signal:
        return self.result_with(x, self.prepare(kernel))

    def signal(self, grad: Signal, kernel: Kernel) -> Signal:
        return self._inverse(self._forward(grad, _pad) * self._forward(kernel, _place).conj(), _crop)

    def kernel(self, x: Signal, grad: Signal, shared: bool) -> Kernel:
        spectrum = self._forward(x, _pad).conj() * self._forward(grad, _pad)
        return self._inverse(spectrum.sum(0, keepdims=True) if shared else spectrum, _gather)

    def _forward(self, operand: Operand, place: Move) -> Spectrum:
        if self.together:
            return jnp.fft.rfftn(self._each_axis(operand, place), axes=range(2, operand.ndim))
        *others, last = self.axes
        spectrum = jnp.fft.rfft(place(operand, last))
        for dim in reversed(range(2, 2 + len(others))):
            spectrum = jnp.fft.fft(place(jnp.moveaxis(spectrum, dim, -1), self.axes[dim - 2]))
        return spectrum

    def _inverse(self, spectrum: Spectrum, take: Move) -> Operand:
        *others, last = self.axes
        if self.together:
            sizes = [axis.length or 0 for axis in self.axes]
            return self._each_axis(jnp.fft.irfftn(spectrum, sizes, range(2, spectrum.ndim)), take)
        for dim, axis in enumerate(others, start=2):
            spectrum = jnp.moveaxis(take(jnp.fft.ifft(spectrum), axis), -1, dim)
        return take(jnp.fft.irfft(spectrum, last.length), last)

    def _each_axis(self, operand: Operand, move: Move) -> Operand:
        for dim, axis in enumerate(self.axes, start=2):
            operand = jnp.moveaxis(move(jnp.moveaxis(operand, dim, -1), axis), -1, dim)
        return operand


def _pad(rows: Operand, axis: Axis) -> Operand:
    """A signal at the start of the transform."""
    return _widen(rows, axis)


def _crop(rows: Operand, axis: Axis) -> Operand:
    """The adjoint of `_pad`."""
    return rows[..., : axis.signal]


def _place(rows: Operand, axis: Axis) -> Operand:
    """A kernel with the tap of lag 0 at the start of the transform and negative lags at its end."""
    return jnp.roll(_widen(rows, axis), -axis.origin, -1)


def _gather(rows: Operand, axis: Axis) -> Operand:
    """The adjoint of `_place`."""
    return jnp.roll(rows, axis.origin, -1)[..., : axis.taps]


def _widen(rows: Operand, axis: Axis) -> Operand:
    assert axis.length is not None  # the route is for known lengths
    zeros = axis.length - rows.shape[-1]
    return jnp.pad(rows, [(0, 0)] * (rows.ndim - 1) + [(0, zeros)]) if zeros else rows
