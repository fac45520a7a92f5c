"""Batches of sequences of different sizes: padded to one size, or packed one after another.

The sequences are convolved in groups that share a transform, so that a mixed batch costs about as much as its sequences
do together, and nothing of one sequence reaches another.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from .. import _check
from .._fftconv.boundary import fast_length

Size = tuple[int, ...]
# The convolution `[n, *size, C]` of a group, given its batch `[n, *size, C]`.
Convolve = Callable[[Tensor, "Group"], Tensor]


@dataclass(frozen=True)
class Group:
    """Sequences that are convolved together.

    Attributes:
        items: their numbers in the batch.
        sizes: the size of each.
        size: the largest of them, per axis.
    """

    items: list[int]
    sizes: list[Size]
    size: Size

    def inside(self, device: torch.device) -> Tensor:
        """Whether a position belongs to its sequence, `[n, *size, 1]`."""
        inside = torch.ones(len(self.items), *[1] * len(self.size), dtype=torch.bool, device=device)
        for axis, length in enumerate(self.size):
            lengths = torch.tensor([size[axis] for size in self.sizes], device=device)
            shape = [1] * len(self.size)
            shape[axis] = length
            positions = torch.arange(length, device=device).view(shape)
            inside = inside & (positions < lengths.view(-1, *[1] * len(self.size)))
        return inside.unsqueeze(-1)


def group(sizes: Sequence[Size], exact: Sequence[bool]) -> list[Group]:
    """Groups of the sequences of these sizes that are not empty.

    Along an `exact` axis the kernel depends on the size, so the sequences of a group have one size there; along others
    one transform length.

    Example:
        >>> [(found.items, found.size) for found in group([(100,), (3,), (98,), (0,)], exact=[False])]
        [([0, 2], (100,)), ([1], (3,))]
    """
    found: dict[Size, list[int]] = {}
    for item, size in enumerate(sizes):
        if 0 not in size:
            key = tuple(
                length if same else fast_length(2 * length - 1) for length, same in zip(size, exact, strict=True)
            )
            found.setdefault(key, []).append(item)
    return [
        Group(
            items, [sizes[item] for item in items], tuple(map(max, zip(*(sizes[item] for item in items), strict=True)))
        )
        for items in found.values()
    ]


def convolve_padded(x: Tensor, sizes: Sequence[Size], exact: Sequence[bool], convolve: Convolve) -> Tensor:
    """The convolution of each sequence of `x [B, *N, C]` by itself; zeros beyond its size."""
    results, order = [], []
    for part in group(sizes, exact):
        inside = part.inside(x.device)
        batch = x[torch.tensor(part.items, device=x.device)]
        for axis, length in enumerate(part.size, start=1):
            batch = batch.narrow(axis, 0, length)
        # `where` and not a product: what lies beyond a sequence may be NaN.
        y = torch.where(inside, convolve(torch.where(inside, batch, 0), part), 0)
        ends = [whole - length for whole, length in zip(x.shape[1:-1], part.size, strict=True)]
        widths = [width for end in reversed(ends) for width in (0, end)]
        results.append(functional.pad(y, [0, 0, *widths]))
        order += part.items
    return _in_order(results, order, x)


def convolve_packed(x: Tensor, offsets: Sequence[int], exact: Sequence[bool], convolve: Convolve) -> Tensor:
    """The convolution of each sequence `x[offsets[i] : offsets[i + 1]]` of `x [total, C]` by itself."""
    sizes = [(end - start,) for start, end in pairwise(offsets)]
    results, order = [], []
    for part in group(sizes, exact):
        starts = torch.tensor([offsets[item] for item in part.items], device=x.device)
        inside = part.inside(x.device)
        index = starts[:, None] + torch.arange(part.size[0], device=x.device)
        batch = torch.where(inside, x[index.clamp(max=x.shape[0] - 1)], 0)
        results.append(convolve(batch, part)[inside.squeeze(-1)])
        order.append(index[inside.squeeze(-1)])
    if not results:
        return x.clone()
    places = torch.cat(order)
    return torch.cat(results)[torch.argsort(places)]


def _in_order(results: list[Tensor], order: list[int], x: Tensor) -> Tensor:
    """The `results` as items `order` of a batch like `x`, zeros elsewhere."""
    y = torch.zeros_like(x, memory_format=torch.contiguous_format)
    return y.index_copy(0, torch.tensor(order, device=x.device), torch.cat(results)) if results else y


def check_lengths(lengths: Any, batch: int, signal: Size) -> list[Size]:
    """`lengths` as one size per item of a padded batch `[batch, *signal, C]`."""
    axes = len(signal)
    expected = f"[{batch}]" if axes == 1 else f"[{batch}, {axes}]"
    given = _integers("lengths", lengths)
    if given.shape != ((batch,) if axes == 1 else (batch, axes)):
        raise ValueError(
            f"`lengths` must be {expected}, the size of every sequence{'' if axes == 1 else ' on every axis'}; got "
            f"shape {list(given.shape)}"
        )
    sizes: list[Size] = [tuple(row) for row in given.reshape(batch, axes).tolist()]
    for item, size in enumerate(sizes):
        if any(not 0 <= length <= whole for length, whole in zip(size, signal, strict=True)):
            raise ValueError(
                f"`lengths[{item}]` must be between 0 and the padded size {list(signal)}, got {list(size)}"
            )
    return sizes


def check_offsets(cu_seqlens: Any, total: int) -> list[int]:
    """`cu_seqlens` as offsets that begin with 0, do not decrease, and end with `total`."""
    given = _integers("cu_seqlens", cu_seqlens)
    offsets: list[int] = given.tolist() if given.ndim == 1 else []
    if len(offsets) < 2 or offsets[0] != 0 or offsets[-1] != total:
        raise ValueError(
            f"`cu_seqlens` must be the offsets of the sequences, from 0 to the {total} positions of `x`; got "
            f"{given.tolist()}"
        )
    for first, second in pairwise(offsets):
        if second < first:
            raise ValueError(f"`cu_seqlens` must not decrease, got {second} after {first}")
    return offsets


def _integers(name: str, values: Any) -> Tensor:
    try:
        tensor = torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"`{name}` must be a tensor or a list of integers, got {_check.shown(values)}") from None
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise TypeError(f"`{name}` must be integers, got {tensor.dtype}")
    return tensor
