"""Coordinates at which a convolution kernel is evaluated.

Position 0 is the kernel origin, and the spacing `1 / (L_cache - 1)` is a property of the kernel: the axis of length
`L_cache` runs from -1 to 1, and any other length takes fewer or more points of the same grid.
"""

from collections.abc import Sequence

import jax.numpy as jnp

from .. import _check
from .._types import Grid, Number, Positions


def axis_coordinates(length: int, L_cache: int, *, resolution: Number = 1.0, causal: bool = False) -> Positions:
    """Positions along one axis: `p_i = i / ((L_cache - 1) * resolution)`, `i = -(length - 1) .. length - 1`.

    Args:
        length: points on either side of the origin, the origin included; the axis has `2 * length - 1` points.
        L_cache: the length at which the axis runs from -1 to 1, at least 2.
        resolution: factor by which the grid is finer than that, a number or, under a transformation, an array `()`.
            Default: 1.
        causal: whether to return only the lags `i >= 0`, `length` points. Default: False.

    Returns:
        float32 `(2 * length - 1,)`, or `(length,)` if causal. Always float32: bfloat16 merges adjacent points.

    Raises:
        TypeError: `length` or `L_cache` is not an integer, or `resolution` is not a number.
        ValueError: `length` or `resolution` is not positive, or `L_cache` is below 2, which has no spacing.

    Example:
        >>> axis_coordinates(3, 3).tolist(), axis_coordinates(2, 3, causal=True).tolist()
        ([-1.0, -0.5, 0.0, 0.5, 1.0], [0.0, 0.5])
    """
    _check.integer("length", length)
    steps = _check.integer("L_cache", L_cache, 2) - 1
    spacing = steps * _check.number_or_tracer("resolution", resolution, _check.positive)
    return (jnp.arange(0 if causal else 1 - length, length, dtype=jnp.float32) / spacing).astype(jnp.float32)


def centred_axes(seq_lens: Sequence[int], L_cache_per_axis: Sequence[int]) -> list[Positions]:
    """`axis_coordinates` for one length per axis, which are checked."""
    _check.sizes("seq_lens", seq_lens, len(L_cache_per_axis))
    return [axis_coordinates(*pair) for pair in zip(seq_lens, L_cache_per_axis, strict=True)]


def coordinate_grid(axes: Sequence[Positions]) -> Grid:
    """The product grid `(1, *sizes, D)` of D per-axis coordinates, `ij` indexing.

    Example:
        >>> coordinate_grid([axis_coordinates(2, 2), axis_coordinates(3, 3)]).shape
        (1, 3, 5, 2)
    """
    return jnp.stack(jnp.meshgrid(*axes, indexing="ij"), axis=-1)[None]
