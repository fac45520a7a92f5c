"""Overlap-save route: a long signal in overlapping segments, many short transforms instead of a long one.

Segment s holds the positions from `s * step - before` on, `length` of them, of which `step` come out free of
wrap-around (overlap-save). The adjoint adds the contributions of overlapping segments to the same position
(overlap-add).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .axis_transforms import AxisTransforms
from .block_route import BlockRoute, Transforms
from .boundary import Axis
from .route import Problem, segment_length
from .strided_copy import strided_copy


@dataclass(frozen=True)
class Segments:
    """Division of a signal.

    Attributes:
        axis: geometry of one segment; its `signal` is the number of results that it gives (the step).
        count: number of segments.
        before: positions of a segment before the first that gives a result.
        signal: length of the whole signal.
        circular: whether the signal wraps around at its ends; otherwise zeros surround it.
    """

    axis: Axis
    count: int
    before: int
    signal: int
    circular: bool


def segments_of(axes: tuple[Axis, ...], problem: Problem) -> Segments | None:
    """The segments of a one-dimensional signal; None where one transform of the whole is as fast."""
    length = segment_length(axes, problem)
    if length is None:
        return None
    (axis,), step = axes, length - axes[0].taps + 1
    segment = Axis(step, axis.taps, axis.origin, length)
    return Segments(
        segment, -(-axis.signal // step), axis.taps - 1 - axis.origin, axis.signal, problem.paddings[0] == "circular"
    )


class OverlapSave(BlockRoute):
    """Convolution by transforms of segments."""

    def __init__(self, axes: tuple[Axis, ...], problem: Problem, segments: Segments) -> None:
        super().__init__(axes, problem)
        self.segments = segments

    def signal_transforms(self) -> tuple[Transforms, Transforms]:
        return SignalSegments(self.segments, self.problem.dtype), ResultSegments(self.segments, self.problem.dtype)

    def kernel_transform(self) -> AxisTransforms:
        return AxisTransforms((self.segments.axis,), [self.segments.axis.kernel_pieces], self.problem.dtype)

    def spectrum_size(self) -> int:
        return self.segments.count * (self.segments.axis.length // 2 + 1)

    def describe_transforms(self) -> str:
        return f"overlap-save, {self.segments.count} segments of FFT length {self.segments.axis.length}"


class SignalSegments:
    """Transforms of the signal: `[b, c, N]` to spectra `[count, b, c, F]` of its segments, and the adjoint."""

    def __init__(self, segments: Segments, dtype: torch.dtype) -> None:
        self.segments = segments
        self._zeros = _Zeros(dtype)

    def forward(self, block: Tensor) -> Tensor:
        segments, step = self.segments, self.segments.axis.signal
        # A segment is longer than a step, but at most two steps long: one more step of zeros holds the last one.
        whole = self._zeros(block, (*block.shape[:2], (segments.count + 1) * step))
        for source, target, size in self._pieces():
            strided_copy(block.narrow(-1, source, size), whole.narrow(-1, target, size))
        return torch.fft.rfft(whole.unfold(-1, segments.axis.length, step).movedim(2, 0))

    def inverse(self, spectrum: Tensor, target: Tensor) -> None:
        segments, step = self.segments, self.segments.axis.signal
        found = torch.fft.irfft(spectrum, segments.axis.length).movedim(0, 2)
        whole = found.new_zeros(*target.shape[:2], segments.count + 1, step)
        whole[:, :, :-1].copy_(found[..., :step])
        whole[:, :, 1:, : segments.axis.length - step].add_(found[..., step:])
        flat = whole.flatten(2)
        (_, place, size), *wrapped = self._pieces()
        if wrapped:
            middle = flat.narrow(-1, place, size)
            for end, outside, count in wrapped:
                middle.narrow(-1, end, count).add_(flat.narrow(-1, outside, count))
        strided_copy(flat.narrow(-1, place, size), target)

    def _pieces(self) -> list[tuple[int, int, int]]:
        """Placement of the signal in the segments laid end to end: source, target, size; the whole signal first."""
        segments = self.segments
        before, after = segments.before, segments.axis.origin
        pieces = [(0, before, segments.signal)]
        if segments.circular:
            pieces += [(segments.signal - before, 0, before), (0, before + segments.signal, after)]
        return [piece for piece in pieces if piece[2]]


class ResultSegments:
    """Transforms of the result: spectra `[count, b, c, F]` to `[b, c, N]`, and the adjoint."""

    def __init__(self, segments: Segments, dtype: torch.dtype) -> None:
        self.segments = segments
        self._zeros = _Zeros(dtype)

    def forward(self, block: Tensor) -> Tensor:
        padded = self._zeros(block, (self.segments.count, *block.shape[:2], self.segments.axis.length))
        self._each(block, padded, strided_copy)
        return torch.fft.rfft(padded)

    def inverse(self, spectrum: Tensor, target: Tensor) -> None:
        found = torch.fft.irfft(spectrum, self.segments.axis.length)
        self._each(target, found, lambda signal, segment: strided_copy(segment, signal))

    def _each(self, signal: Tensor, padded: Tensor, copy: Callable[[Tensor, Tensor], object]) -> None:
        """Apply `copy` to the positions of the signal and their places in the segments."""
        step = self.segments.axis.signal
        segment = padded.narrow(-1, self.segments.before, step)
        full, rest = divmod(self.segments.signal, step)
        copy(signal[..., : full * step].unflatten(-1, (full, step)).movedim(2, 0), segment[:full])
        if rest:
            copy(signal[..., full * step :], segment[full, ..., :rest])


class _Zeros:
    """Zeroed buffers by shape; every block of a shape writes to the same places of one buffer."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self._buffers: dict[tuple[int, ...], Tensor] = {}

    def __call__(self, block: Tensor, shape: tuple[int, ...]) -> Tensor:
        if shape not in self._buffers:
            self._buffers[shape] = block.new_zeros(shape, dtype=self.dtype)
        return self._buffers[shape]
