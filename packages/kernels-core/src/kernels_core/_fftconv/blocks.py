"""Blocks: the batch items and channels that are transformed together, so that temporaries stay small and are reused."""

import math
from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor


class Block(NamedTuple):
    """Ranges of batch items and channels."""

    items: slice
    channels: slice

    def of(self, kernel: Tensor) -> Tensor:
        """This block of a kernel or of its spectrum, `[1|B, C, ...]`, which all batch items may share."""
        return kernel[self] if kernel.shape[0] > 1 else kernel[:, self.channels]


class BlockSize(NamedTuple):
    """Batch items and channels in a block."""

    items: int
    channels: int


def block_size(items: int, channels: int, most: int) -> BlockSize:
    """Split into about equal blocks of at most `most` rows, channels first: their number never depends on the batch."""
    channels_at_once = _even(channels, most)
    return BlockSize(_even(items, max(1, most // channels_at_once)), channels_at_once)


def blocks(items: int, channels: int, size: BlockSize) -> Iterator[Block]:
    """Every block; those of the same channels follow each other."""
    for some_channels in _ranges(channels, size.channels):
        for some_items in _ranges(items, size.items):
            yield Block(some_items, some_channels)


def _even(total: int, most: int) -> int:
    """Size of about equal ranges of at most `most`."""
    return math.ceil(total / math.ceil(total / most)) if total else 1


def _ranges(total: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, total)) for start in range(0, total, size))
