"""Frames of a space-time signal as independent rows: the spatial axes are transformed, and each frequency is a row."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor
from torch.nn import functional

from .._fftconv.boundary import Axis, plan_axes
from .._fftconv.traced import place


@dataclass(frozen=True)
class Rows:
    """Between frames `[B, T, *space, C]` and rows `[B, R, T]`.

    Without spatial axes the rows are the channels. With them they are the frequencies of the padded frame in every
    channel, complex, and the convolution acts on each row as a convolution in time alone.

    Attributes:
        axes: geometry of the spatial axes.
    """

    axes: tuple[Axis, ...]

    @classmethod
    def of(cls, space: Sequence[int], taps: Sequence[int], paddings: Sequence[str]) -> "Rows":
        """Rows for frames of this size and kernels with so many spatial taps, at most as many as the frame has lags."""
        return cls(plan_axes(tuple(space), tuple(taps), tuple(paddings)))

    @property
    def lengths(self) -> list[int]:
        """Transform length per spatial axis."""
        return [axis.length for axis in self.axes]

    def of_frames(self, x: Tensor) -> Tensor:
        """The rows `[B, R, T]` of frames `[B, T, *space, C]`."""
        frames = x.movedim(1, -1).movedim(-2, 1)  # [B, C, *space, T]
        if self.axes:
            ends = [length - axis.signal for length, axis in zip(self.lengths, self.axes, strict=True)]
            frames = functional.pad(frames, [0, 0, *chain.from_iterable((0, end) for end in reversed(ends))])
        return self._transform(frames)

    def of_taps(self, taps: Tensor, shortcut: Tensor) -> Tensor:
        """The rows `[1|B, R, T]` of taps `[1|B, T, *K, C]`, with the shortcut `[C]` added to the tap of lag 0."""
        placed = taps.movedim(1, -1).movedim(-2, 1)
        for dim, axis in enumerate(self.axes, start=2):
            placed = place(placed, dim, axis)
        placed = placed.clone()
        placed.flatten(2)[..., 0] += shortcut
        return self._transform(placed)

    def to_frames(self, rows: Tensor, channels: int) -> Tensor:
        """The frames `[B, T, *space, C]` of rows `[B, R, T]`."""
        if not self.axes:
            return rows.transpose(1, 2)
        *others, last = self.lengths
        spectrum = rows.unflatten(1, (channels, *others, last // 2 + 1))
        frames = torch.fft.irfftn(spectrum, self.lengths, dim=self._dims)
        for dim, axis in zip(self._dims, self.axes, strict=True):
            frames = frames.narrow(dim, 0, axis.signal)
        return frames.movedim(1, -1).movedim(-2, 1)

    def _transform(self, frames: Tensor) -> Tensor:
        if not self.axes:
            return frames
        return torch.fft.rfftn(frames, dim=self._dims).flatten(1, -2)

    @property
    def _dims(self) -> tuple[int, ...]:
        return tuple(range(2, 2 + len(self.axes)))
