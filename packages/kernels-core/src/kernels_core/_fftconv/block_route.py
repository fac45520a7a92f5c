"""Routes by transforms: transform, multiply and transform back, block by block."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Protocol

from torch import Tensor

from .._ops.allocator import retain_buffers
from .axis_transforms import AxisTransforms
from .blocks import Block, blocks
from .boundary import Axis, spectrum_shape
from .layout import empty_result
from .route import Problem, spectral_block


class Transforms(Protocol):
    """Transforms of one operand, and their adjoint up to scale."""

    def forward(self, block: Tensor) -> Tensor:
        """The spectrum of `[b, c, *sizes]`."""
        ...

    def inverse(self, spectrum: Tensor, target: Tensor) -> None:
        """Write the values whose spectrum this is to `target [b, c, *sizes]`."""
        ...


class BlockRoute(ABC):
    """A route by transforms, of which subclasses supply the transforms. The methods of `Route` are documented there."""

    def __init__(self, axes: tuple[Axis, ...], problem: Problem) -> None:
        self.axes, self.problem = axes, problem
        self.block = spectral_block(axes, problem)

    def convolve(self, x: Tensor, taps: Tensor, shortcut: Tensor | None, channels_last: bool) -> Tensor:
        return self._convolve(x, _KernelSpectra(self.kernel_transform(), taps, shortcut), channels_last)

    def prepare(self, taps: Tensor, shortcut: Tensor | None) -> Tensor:
        transform = self.kernel_transform()
        spectra = _KernelSpectra(transform, taps, shortcut)
        shape = (*taps.shape[:2], *spectrum_shape(transform.axes))
        result = taps.new_empty(shape, dtype=self.problem.dtype.to_complex())
        for block in self._blocks(taps):  # the blocks of `convolve`: the same calls, so the same bits
            result[block] = spectra.of(block)
        return result

    def convolve_prepared(self, x: Tensor, prepared: Tensor, channels_last: bool) -> Tensor:
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
        items, channels = min(self.block.items, self.problem.items), min(self.block.channels, self.problem.channels)
        yield f"{self.describe_transforms()}, {items} batch items x {channels} channels at a time"
        spectrum = self.problem.dtype.to_complex().itemsize * self.spectrum_size()
        yield (
            f"  spectra of one operand: {readable_bytes(spectrum * items * channels)} per block, "
            f"{readable_bytes(spectrum * self.problem.items * self.problem.channels)} in all"
        )

    @abstractmethod
    def describe_transforms(self) -> str:
        """The transforms in words."""

    @abstractmethod
    def signal_transforms(self) -> tuple[Transforms, Transforms]:
        """The transforms of the signal and of the result of the convolution."""

    @abstractmethod
    def kernel_transform(self) -> AxisTransforms:
        """The transforms of the kernel."""

    @abstractmethod
    def spectrum_size(self) -> int:
        """Complex numbers in the spectrum of one batch item and channel of the signal."""

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
