"""First layer of a SIREN kernel: a sine layer over positions."""

import math
from collections.abc import Sequence
from typing import Self

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from .. import _check, _linear
from .._types import Embedding, Grid, KernelLast, Operand, Positions
from .coordinates import axis_coordinates, coordinate_grid


def siren_bound(fan_in: int, omega_0: float = 1.0, *, is_first: bool = False) -> float:
    """Half-width `a` of the SIREN initialisation `W ~ U(-a, a)` for weights that contain the frequency.

    First layer: `a = 2 * pi * omega_0 / fan_in`. Every other layer: `a = sqrt(6 / fan_in)` for any frequency,
    because the factor `1 / (2 * pi * omega_0)` of the bound and the factor `2 * pi * omega_0` of the scale cancel.
    Sitzmann et al. 2020, arXiv:2006.09661, section 3.2.

    Example:
        >>> siren_bound(6), round(siren_bound(2, omega_0=1.0, is_first=True), 4)
        (1.0, 3.1416)
    """
    return 2 * math.pi * omega_0 / fan_in if is_first else math.sqrt(6 / fan_in)


class SIRENPositionalEmbeddingND(eqx.Module):
    """First layer of a SIREN kernel: `sin(W p + b)`, `W ~ U(-a, a)` with `a = 2 * pi * omega_0 / data_dim`, `b = 0`.

    Projection and sine run in float32 (float64 for float64 weights) and are cast to the weight's dtype.
    Sitzmann et al. 2020, arXiv:2006.09661, section 3.2.

    Attributes:
        linear: `eqx.nn.Linear` from D to `embedding_dim`.

    Example:
        >>> import jax
        >>> layer = SIRENPositionalEmbeddingND.init(2, 16, L_cache=8, omega_0=10.0, key=jax.random.key(0))
        >>> embedding, grid = layer((8, 5))
        >>> embedding.shape, grid.shape
        ((1, 15, 9, 16), (1, 15, 9, 2))
    """

    linear: eqx.nn.Linear
    data_dim: int = eqx.field(static=True)
    embedding_dim: int = eqx.field(static=True)
    L_cache: int | tuple[int, ...] = eqx.field(static=True)
    omega_0: float = eqx.field(static=True)
    use_bias: bool = eqx.field(static=True, default=True)

    @classmethod
    def init(
        cls,
        data_dim: int,
        embedding_dim: int,
        L_cache: int | Sequence[int],
        omega_0: float,
        use_bias: bool = True,
        *,
        key: PRNGKeyArray,
    ) -> Self:
        """A new layer.

        Args:
            data_dim: number of axes D.
            embedding_dim: number of features.
            L_cache: length at which an axis runs from -1 to 1, at least 2; one for all axes or one per axis.
            omega_0: positive frequency scale, the highest frequency in cycles per unit of the coordinate.
            use_bias: whether the projection has a bias. Default: True.
            key: random key for the weights.

        Raises:
            TypeError: a size is not an integer, `omega_0` is not a number, or `use_bias` is not a bool.
            ValueError: a size or `omega_0` is not positive, or `L_cache` is below 2 or not one per axis.
        """
        data_dim, embedding_dim = _check.integer("data_dim", data_dim), _check.integer("embedding_dim", embedding_dim)
        _check.lengths_of_grid(L_cache, data_dim)
        omega_0, use_bias = _check.positive("omega_0", omega_0), _check.flag("use_bias", use_bias)
        return cls(
            _linear.uniform(data_dim, embedding_dim, siren_bound(data_dim, omega_0, is_first=True), use_bias, key=key),
            data_dim,
            embedding_dim,
            tuple(L_cache) if isinstance(L_cache, Sequence) else L_cache,
            omega_0,
            use_bias,
        )

    @property
    def L_cache_per_axis(self) -> tuple[int, ...]:
        """`L_cache` of every axis."""
        return _check.lengths_of_grid(self.L_cache, self.data_dim)

    def axes(self, seq_lens: Sequence[int]) -> list[Positions]:
        """The per-axis coordinates of the grid for `seq_lens`."""
        _check.sizes("seq_lens", seq_lens, self.data_dim)
        return [axis_coordinates(*pair) for pair in zip(seq_lens, self.L_cache_per_axis, strict=True)]

    def evaluate(self, axes: Sequence[Positions]) -> Embedding:
        """Features `(embedding_dim, *sizes)` on the product grid of per-axis coordinates."""
        weight, bias = self.linear.weight, self.linear.bias
        assert weight is not None
        dtype = jnp.promote_types(weight.dtype, jnp.float32)
        # Sums of outer products instead of a matrix product: the grid is never built, and no accelerator rounds the
        # coordinates to the precision of its matrix units.
        total = 0.0 if bias is None else _along(bias.astype(dtype), len(axes))
        for axis, positions in enumerate(axes):
            column = _along(weight[:, axis].astype(dtype), len(axes))
            total = total + column * _along(positions, len(axes) - 1 - axis)
        return jnp.sin(total).astype(weight.dtype)

    def __call__(self, seq_lens: Sequence[int]) -> tuple[KernelLast, Grid]:
        """Embedding and grid, with `2 * L_d - 1` points on axis d.

        Args:
            seq_lens: one length `L_d` per axis.

        Returns:
            `(embedding (1, *grid, embedding_dim), grid (1, *grid, D))`.

        Raises:
            ValueError: `seq_lens` are not D positive integers.
        """
        axes = self.axes(seq_lens)
        return jnp.moveaxis(self.evaluate(axes), 0, -1)[None], coordinate_grid(axes)


def _along(values: Operand, after: int) -> Operand:
    """`values` with `after` axes of size 1 appended, for broadcasting along one axis."""
    return values.reshape(-1, *[1] * after)
