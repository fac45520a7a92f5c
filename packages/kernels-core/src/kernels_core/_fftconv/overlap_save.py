"""Long signals with medium filters in overlapping parts: many short transforms instead of a long one.

Part p of a signal is its samples from `p * step - before` on, `length` of them, of which `step` come out free of
wrap-around (overlap-save). The adjoint adds what overlapping parts have to say on the same sample (overlap-add).
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .plan import AxisPlan
from .strided_copy import strided_copy

# Fewest samples, and fewest per tap, with which parts measured faster than one transform on a CPU; then the samples of
# a part: so many per tap, up to what is transformed at full speed.
LEAST_SAMPLES, LEAST_SAMPLES_PER_TAP = 8192, 32
PART_PER_TAP, LONGEST_PART = 8, 16384


@dataclass(frozen=True)
class Parts:
    """How a signal is cut.

    Attributes:
        axis: the plan of one part: `signal` are the results that it gives, lag 0 of its kernel is at index 0.
        count: number of parts.
        before: samples of a part before the first that gives a result.
        signal: samples of the whole signal.
        circular: whether it starts anew at its end; else there are zeros.
    """

    axis: AxisPlan
    count: int
    before: int
    signal: int
    circular: bool


@functools.lru_cache(maxsize=1024)
def parts_of(axes: tuple[AxisPlan, ...]) -> Parts | None:
    """The parts of a sequence, or None where one transform of the whole is as good."""
    taps, signal = axes[0].taps, axes[0].signal
    if len(axes) > 1 or taps < 2 or signal < max(LEAST_SAMPLES, LEAST_SAMPLES_PER_TAP * taps):
        return None
    length = min(1 << (PART_PER_TAP * taps - 1).bit_length(), LONGEST_PART)
    step = length - taps + 1
    if step < taps:
        return None
    circular = axes[0].periodic or axes[0].length == signal
    part = AxisPlan(step, taps, axes[0].centre, length)
    return Parts(part, -(-signal // step), taps - 1 - axes[0].centre, signal, circular)


class PartsOfSignals:
    """Transforms of the convolution's argument: `[b, c, N]` to spectra `[count, b, c, F]` of its parts, and adjoint."""

    def __init__(self, parts: Parts, dtype: torch.dtype) -> None:
        self.parts = parts
        self._room = _Room(dtype)

    def forward(self, block: Tensor) -> Tensor:
        parts, step = self.parts, self.parts.axis.signal
        # A part is longer than a step, but not longer than two: room for one step more holds the last one.
        whole = self._room(block, (*block.shape[:2], (parts.count + 1) * step))
        for source, target, size in self._pieces():
            strided_copy(block.narrow(-1, source, size), whole.narrow(-1, target, size))
        return torch.fft.rfft(whole.unfold(-1, parts.axis.length, step).movedim(2, 0))

    def inverse(self, spectrum: Tensor, target: Tensor) -> None:
        parts, step = self.parts, self.parts.axis.signal
        found = torch.fft.irfft(spectrum, parts.axis.length).movedim(0, 2)
        whole = found.new_zeros(*target.shape[:2], parts.count + 1, step)
        whole[:, :, :-1].copy_(found[..., :step])
        whole[:, :, 1:, : parts.axis.length - step].add_(found[..., step:])
        flat = whole.flatten(2)
        (_, place, size), *wrapped = self._pieces()
        if wrapped:
            middle = flat.narrow(-1, place, size)
            for end, outside, count in wrapped:
                middle.narrow(-1, end, count).add_(flat.narrow(-1, outside, count))
        strided_copy(flat.narrow(-1, place, size), target)

    def _pieces(self) -> list[tuple[int, int, int]]:
        """Where samples of the signal are in the parts laid end to end: source, target, size; the whole first."""
        parts = self.parts
        before, after = parts.before, parts.axis.centre
        pieces = [(0, before, parts.signal)]
        if parts.circular:
            pieces += [(parts.signal - before, 0, before), (0, before + parts.signal, after)]
        return [piece for piece in pieces if piece[2]]


class PartsOfResults:
    """Transforms of the convolution's result: spectra `[count, b, c, F]` to `[b, c, N]`, and adjoint."""

    def __init__(self, parts: Parts, dtype: torch.dtype) -> None:
        self.parts = parts
        self._room = _Room(dtype)

    def forward(self, block: Tensor) -> Tensor:
        padded = self._room(block, (self.parts.count, *block.shape[:2], self.parts.axis.length))
        self._each(block, padded, strided_copy)
        return torch.fft.rfft(padded)

    def inverse(self, spectrum: Tensor, target: Tensor) -> None:
        found = torch.fft.irfft(spectrum, self.parts.axis.length)
        self._each(target, found, lambda signal, part: strided_copy(part, signal))

    def _each(self, signal: Tensor, padded: Tensor, copy: Callable[[Tensor, Tensor], object]) -> None:
        step, part = self.parts.axis.signal, padded.narrow(-1, self.parts.before, self.parts.axis.signal)
        full, rest = divmod(self.parts.signal, step)
        copy(signal[..., : full * step].unflatten(-1, (full, step)).movedim(2, 0), part[:full])
        if rest:
            copy(signal[..., full * step :], part[full, ..., :rest])


class _Room:
    """Zeros, the same for every block of a size: what is written is written again."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self._rooms: dict[tuple[int, ...], Tensor] = {}

    def __call__(self, block: Tensor, shape: tuple[int, ...]) -> Tensor:
        if shape not in self._rooms:
            self._rooms[shape] = block.new_zeros(shape, dtype=self.dtype)
        return self._rooms[shape]
