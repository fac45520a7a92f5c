"""Copies between tensors whose axes are in different orders in memory."""

import math

from torch import Tensor

# A copy into another order reads one side with a large stride. Addresses a multiple of `PERIOD` bytes apart compete for
# a few lines of the first-level cache, which happens to more than `SHARING` of them where `STEP` divides the stride.
# Measured: python -m timeit -s "import torch; x = torch.randn(64, 4096, 64); y = torch.empty(64, 64, 4096)"
# "y.movedim(1, -1).copy_(x)", against `strided_copy(x, y.movedim(1, -1))`.
PERIOD, STEP, SHARING, CACHE_LINE = 4096, 512, 32, 64


def strided_copy(source: Tensor, target: Tensor) -> None:
    """`target.copy_(source)`; on a CPU through a buffer without cache conflicts where the order of axes changes."""
    strides = target.stride()
    across = strides.index(1) if 1 in strides else 0
    step = source.stride(across) * source.itemsize
    collides = step > 0 and step % STEP == 0 and source.shape[across] > SHARING * PERIOD // math.gcd(step, PERIOD)
    target.copy_(_staged(source, across) if collides and source.device.type == "cpu" else source)


def _staged(tensor: Tensor, across: int) -> Tensor:
    """A copy with the same order of axes in memory whose stride along `across` is an odd number of cache lines."""
    order = sorted(range(tensor.ndim), key=tensor.stride, reverse=True)
    sizes = [tensor.shape[axis] for axis in order]
    rows = order.index(across) + 1
    length, line = math.prod(sizes[rows:]), CACHE_LINE // tensor.itemsize
    buffer = tensor.new_empty(*sizes[:rows], line * (-(-length // line) | 1))
    staged = buffer.narrow(-1, 0, length).view(sizes).permute([order.index(axis) for axis in range(tensor.ndim)])
    return staged.copy_(tensor)
