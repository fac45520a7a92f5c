"""Copies in which axes change places."""

import math

from torch import Tensor

# Where axes change places, one side is read across: value after value a row's length further on. Values a multiple of
# `PERIOD` bytes apart share a few places in the first cache; where `STEP` divides a row, too many values share too few.
PERIOD, STEP, SHARING, CACHE_LINE = 4096, 512, 32, 64


def strided_copy(source: Tensor, target: Tensor) -> None:
    """`target.copy_(source)`, on a CPU by way of rows that do not collide in caches where axes change places."""
    strides = target.stride()
    across = strides.index(1) if 1 in strides else 0
    step = source.stride(across) * source.itemsize
    collides = step > 0 and step % STEP == 0 and source.shape[across] > SHARING * PERIOD // math.gcd(step, PERIOD)
    target.copy_(_staged(source, across) if collides and source.device.type == "cpu" else source)


def _staged(tensor: Tensor, across: int) -> Tensor:
    """A copy with the axes in the same order in memory, a step along this one being an odd number of cache lines."""
    order = sorted(range(tensor.ndim), key=tensor.stride, reverse=True)
    sizes = [tensor.shape[axis] for axis in order]
    rows = order.index(across) + 1
    length, line = math.prod(sizes[rows:]), CACHE_LINE // tensor.itemsize
    room = tensor.new_empty(*sizes[:rows], line * (-(-length // line) | 1))
    staged = room.narrow(-1, 0, length).view(sizes).permute([order.index(axis) for axis in range(tensor.ndim)])
    return staged.copy_(tensor)
