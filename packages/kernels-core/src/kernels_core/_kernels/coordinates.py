"""Coordinates on which an implicit kernel is evaluated.

A kernel is a function of position. Position 0 is the kernel's centre and the spacing `1 / (L_cache - 1)` is a property
of the kernel, so that the axis asked for with `L_cache` points on either side runs from -1 to 1 and any other length
takes fewer or more points of the same grid.
"""

from collections.abc import Sequence
from typing import TypeGuard

import torch
from torch import Tensor

from .. import _check


def normalize_L_cache(L_cache: int | Sequence[int], data_dim: int) -> tuple[int, ...]:
    """`L_cache` as one int of at least 2 per axis."""
    return _check.per_axis("L_cache", L_cache, data_dim, lambda name, value: _check.integer(name, value, 2))


def axis_coordinates(
    length: int,
    L_cache: int,
    *,
    resolution: float = 1.0,
    causal: bool = False,
    device: torch.device | str | None = None,
) -> Tensor:
    """Positions along one axis: `p_i = i / ((L_cache - 1) * resolution)`, `i = -(length - 1) .. length - 1`.

    Args:
        length: number of points on either side of the centre, itself included: `2 * length - 1` in all.
        L_cache: the length at which the axis runs from -1 to 1.
        resolution: factor by which the grid is finer than that; default 1.
        causal: only the `length` points `i >= 0`; default False.
        device: device of the result; default PyTorch's.

    Returns:
        float32 tensor `[2 * length - 1]`, or `[length]` if causal. Always float32, because bfloat16 merges neighbours.

    Raises:
        TypeError: `length` or `L_cache` is not an integer, or `resolution` is not a number.
        ValueError: `length` is below 1, `L_cache` is below 2, which leaves the spacing undefined, or `resolution` is
            not positive and finite.

    Example:
        >>> axis_coordinates(3, 3).tolist()
        [-1.0, -0.5, 0.0, 0.5, 1.0]
        >>> axis_coordinates(2, 3).tolist()
        [-0.5, 0.0, 0.5]
    """
    _check.sizes("length", (length,), 1)  # does not specialise a symbolic length
    L_cache, resolution = _check.integer("L_cache", L_cache, 2), _check.positive("resolution", resolution)
    first = 0 if causal else 1 - length
    return torch.arange(first, length, device=device, dtype=torch.float32) / ((L_cache - 1) * resolution)


class Axes(tuple[Tensor, ...]):
    """Coordinates of each axis, as the layer hands them to its kernel and window.

    What wraps a module for mixed precision casts the tensors in its arguments, in tuples too but not in this class,
    and bfloat16 would merge neighbouring positions.
    """

    __slots__ = ()


def are_coordinates(values: Sequence[object]) -> TypeGuard[Sequence[Tensor]]:
    """Whether these are coordinates of each axis, and not lengths."""
    return isinstance(values, Sequence) and len(values) > 0 and all(isinstance(item, Tensor) for item in values)


def centred_axes(seq_lens: Sequence[int], L_cache_per_axis: Sequence[int], device: torch.device | None) -> list[Tensor]:
    """`axis_coordinates` for one length per axis, which are checked."""
    _check.sizes("seq_lens", seq_lens, len(L_cache_per_axis))
    pairs = zip(seq_lens, L_cache_per_axis, strict=True)
    return [axis_coordinates(length, L_cache, device=device) for length, L_cache in pairs]


def coordinate_grid(axes: Sequence[Tensor]) -> Tensor:
    """The product grid `[1, *sizes, D]` of `D` per-axis coordinates, `ij` indexing.

    Example:
        >>> coordinate_grid([axis_coordinates(2, 2), axis_coordinates(3, 3)]).shape
        torch.Size([1, 3, 5, 2])
    """
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).unsqueeze(0)
