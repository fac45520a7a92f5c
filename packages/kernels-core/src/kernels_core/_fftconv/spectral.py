"""Spectral route: one transform of every whole axis."""

import math

from .axis_transforms import AxisTransforms
from .block_route import BlockRoute, Transforms
from .boundary import spectrum_shape


class Spectral(BlockRoute):
    """Convolution by whole transforms of every axis."""

    def describe_transforms(self) -> str:
        lengths = " x ".join(f"{axis.length}{' (periodic kernel)' if axis.periodic else ''}" for axis in self.axes)
        return f"FFT of length {lengths}"

    def signal_transforms(self) -> tuple[Transforms, Transforms]:
        both = AxisTransforms(self.axes, [axis.signal_pieces for axis in self.axes], self.problem.dtype)
        return both, both

    def kernel_transform(self) -> AxisTransforms:
        return AxisTransforms(self.axes, [axis.kernel_pieces for axis in self.axes], self.problem.dtype)

    def spectrum_size(self) -> int:
        return math.prod(spectrum_shape(self.axes))
