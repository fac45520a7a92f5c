"""Choice of route for each product of a convolution, and every measured threshold behind it.

Routes differ in speed only. The direct route and overlap-save have been measured on CPUs; a GPU transforms whole axes.
`python tools/route_thresholds.py` prints the times on either side of each threshold of a CPU.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from .blocks import BlockSize, block_size
from .boundary import Axis

# Most taps of a kernel, per rank, for which torch's own convolution is faster than transforms, and most per axis for
# which it is faster for the gradient in the kernel, too.
DIRECT_TAPS = {1: 47, 2: 121, 3: 125}
DIRECT_GRADIENT_TAPS = {1: 3, 2: 3, 3: 2}
# Shortest signal for which the direct route pays, and fewest positions per tap in one dimension.
DIRECT_SIGNAL, DIRECT_SIGNAL_PER_TAP = 128, 16

# Shortest signal for which overlap-save pays, and fewest positions per tap; then the length of a segment: that many
# positions per tap, up to the longest length that is transformed at full speed.
OVERLAP_SAVE_SIGNAL, OVERLAP_SAVE_SIGNAL_PER_TAP = 8192, 32
SEGMENT_PER_TAP, LONGEST_SEGMENT = 8, 16384

# Bytes of one operand's padded values in a block: on a CPU what stays in its caches, more where a single row is long,
# because each call of torch.fft costs the same for few rows as for many.
CPU_BYTES, CPU_BYTES_LONG, CPU_ROWS = 2 << 20, 8 << 20, 16
# Not measured: on other devices, large enough for few launches.
DEVICE_BYTES = 256 << 20


class Problem(NamedTuple):
    """All that a plan depends on.

    Attributes:
        items: batch items.
        channels: channels.
        signal: signal length per axis.
        taps: kernel taps given per axis.
        paddings: boundary per axis.
        dtype: dtype of the arithmetic, float32 or float64.
        on_cpu: whether the operands are on a CPU.
    """

    items: int
    channels: int
    signal: tuple[int, ...]
    taps: tuple[int, ...]
    paddings: tuple[str, ...]
    dtype: torch.dtype
    on_cpu: bool


class Route(Protocol):
    """A way to compute a convolution, its adjoints and what of it depends on the kernel alone.

    Operands and targets are channels-first views; `taps [1|B, C, *K]` are the taps that count, without the shortcut
    `[C]`.
    """

    def convolve(self, x: Tensor, taps: Tensor, shortcut: Tensor | None, channels_last: bool) -> Tensor:
        """`(taps + shortcut) * x`, contiguous in the layout of the caller, in the dtype of x."""
        ...

    def prepare(self, taps: Tensor, shortcut: Tensor | None) -> Tensor:
        """All of `convolve` that depends on the kernel alone."""
        ...

    def convolve_prepared(self, x: Tensor, prepared: Tensor, channels_last: bool) -> Tensor:
        """`convolve` with the result of `prepare`, equal to the bit."""
        ...

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
        ...

    def describe(self) -> Iterator[str]:
        """The route in words, a line at a time."""
        ...


def suits_direct(axes: tuple[Axis, ...], problem: Problem) -> bool:
    """Whether the direct route is the fastest for the forward product and the gradient in x."""
    taps, positions = math.prod(axis.taps for axis in axes), math.prod(axis.signal for axis in axes)
    small = taps <= DIRECT_TAPS.get(len(axes), 0)
    large = positions >= max(DIRECT_SIGNAL, DIRECT_SIGNAL_PER_TAP * taps if len(axes) == 1 else 0)
    return small and large and problem.on_cpu and problem.dtype == torch.float32


def suits_direct_gradient(axes: tuple[Axis, ...]) -> bool:
    """Whether, given `suits_direct`, the direct route is the fastest for the gradient in the kernel as well."""
    return max(axis.taps for axis in axes) <= DIRECT_GRADIENT_TAPS[len(axes)]


def segment_length(axes: tuple[Axis, ...], problem: Problem) -> int | None:
    """FFT length of overlap-save segments, or None where one transform of the whole signal is as fast."""
    taps, signal = axes[0].taps, axes[0].signal
    long = signal >= max(OVERLAP_SAVE_SIGNAL, OVERLAP_SAVE_SIGNAL_PER_TAP * taps)
    if not problem.on_cpu or len(axes) > 1 or taps < 2 or not long:
        return None
    length = min(1 << (SEGMENT_PER_TAP * taps - 1).bit_length(), LONGEST_SEGMENT)
    return length if length - taps + 1 >= taps else None


def spectral_block(axes: tuple[Axis, ...], problem: Problem) -> BlockSize:
    """Batch items and channels to transform at a time."""
    padded = problem.dtype.itemsize * math.prod(axis.length for axis in axes)
    rows_each = math.prod(axis.signal for axis in axes[:-1])
    cpu_bytes = min(max(CPU_BYTES, CPU_ROWS * padded // rows_each), CPU_BYTES_LONG)
    most = max(1, (cpu_bytes if problem.on_cpu else DEVICE_BYTES) // padded)
    return block_size(problem.items, problem.channels, most)
