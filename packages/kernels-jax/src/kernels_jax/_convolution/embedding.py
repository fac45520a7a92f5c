"""First layers of an implicit kernel: from coordinates to features."""

import abc
import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from .. import _check
from .._training import NO_WEIGHT_DECAY, Hints
from .._types import Bound, Embedding, Grid, KernelLast, Number, Positions, Projection
from .coordinates import centred_axes, coordinate_grid
from .linear import PositionLinear
from .settings import Settings


def siren_bound(fan_in: int, omega_0: Bound = 1.0, *, is_first: bool = False) -> Any:
    """Half-width `a` of the SIREN initialisation `W ~ U(-a, a)` for weights that contain the frequency.

    First layer: `a = 2 * pi * omega_0 / fan_in`. Every other layer: `a = sqrt(6 / fan_in)` for any frequency,
    because the factor `1 / (2 * pi * omega_0)` of the bound and the factor `2 * pi * omega_0` of the scale cancel.
    Sitzmann et al. 2020, arXiv:2006.09661, section 3.2.

    Example:
        >>> siren_bound(6), round(siren_bound(2, omega_0=1.0, is_first=True), 4)
        (1.0, 3.1416)
    """
    return 2 * math.pi * omega_0 / fan_in if is_first else math.sqrt(6 / fan_in)


class PositionalEmbeddingND(eqx.Module):
    """Base of the first layers: a projection `linear` of position, and `_activate`, a function of it."""

    linear: PositionLinear
    settings: Settings
    data_dim: int = eqx.field(static=True)
    embedding_dim: int = eqx.field(static=True)
    L_cache: int | tuple[int, ...] = eqx.field(static=True)
    use_bias: bool = eqx.field(static=True)

    @classmethod
    def _new(
        cls,
        data_dim: int,
        embedding_dim: int,
        L_cache: int | Sequence[int],
        use_bias: bool,
        *,
        rows: int | None = None,
        draw: Mapping[str, Any],
        key: PRNGKeyArray,
        settings: Settings,
        **fields: Any,
    ) -> Self:
        """With a projection to `rows` rows (default: `embedding_dim`), drawn as `draw` tells `PositionLinear.init`."""
        return cls(
            linear=PositionLinear.init(data_dim, rows or embedding_dim, bias=use_bias, **draw, key=key),
            settings=settings,
            data_dim=data_dim,
            embedding_dim=embedding_dim,
            L_cache=tuple(L_cache) if isinstance(L_cache, Sequence) else L_cache,
            use_bias=use_bias,
            **fields,
        )

    @property
    def omega_0(self) -> Number:
        """Frequency scale: a float, or an array if it was built with one."""
        value: Number = self.settings.omega_0
        return value

    @property
    def L_cache_per_axis(self) -> tuple[int, ...]:
        """`L_cache` of every axis."""
        return _check.lengths_of_grid(self.L_cache, self.data_dim)

    def axes(self, seq_lens: Sequence[int]) -> list[Positions]:
        """The per-axis coordinates of the grid for `seq_lens`."""
        return centred_axes(seq_lens, self.L_cache_per_axis)

    def evaluate(self, axes: Sequence[Positions]) -> Embedding:
        """Features `(embedding_dim, *sizes)` on the product grid of per-axis coordinates."""
        return self._activate(self._projection().on_grid(axes)).astype(self.linear.weight.dtype)

    def _projection(self) -> PositionLinear:
        return self.linear

    @abc.abstractmethod
    def _activate(self, projection: Projection) -> Embedding:
        """Features of the projection `(rows, *sizes)`, which has at least float32."""

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


def checked_sizes(data_dim: int, embedding_dim: int, L_cache: int | Sequence[int], use_bias: bool) -> tuple[int, int]:
    """The first two of these arguments of every first layer, after a check of all four."""
    data_dim, embedding_dim = _check.integer("data_dim", data_dim), _check.integer("embedding_dim", embedding_dim)
    _check.lengths_of_grid(L_cache, data_dim)
    _check.flag("use_bias", use_bias)
    return data_dim, embedding_dim


class SineEmbeddingND(PositionalEmbeddingND):
    """Base of the first layers of SIREN kernels, whose initial weights are uniform."""

    @abc.abstractmethod
    def initial_bound(self) -> Bound:
        """Half-width `a` of the initial weight `U(-a, a)`, one for all or an array that broadcasts to the weight."""

    @property
    def _optim_hints(self) -> Hints:
        return {"": NO_WEIGHT_DECAY}


class SIRENPositionalEmbeddingND(SineEmbeddingND):
    """First layer of a SIREN kernel: `sin(W p + b)`, `W ~ U(-a, a)` with `a = 2 * pi * omega_0 / data_dim`, `b = 0`.

    Projection and sine run in float32 (float64 for float64 weights) and are cast to the weight's dtype.
    Sitzmann et al. 2020, arXiv:2006.09661, section 3.2.

    Attributes:
        linear: `PositionLinear` from D to `embedding_dim`.

    Example:
        >>> import jax
        >>> layer = SIRENPositionalEmbeddingND.init(2, 16, L_cache=8, omega_0=10.0, key=jax.random.key(0))
        >>> embedding, grid = layer((8, 5))
        >>> embedding.shape, grid.shape
        ((1, 15, 9, 16), (1, 15, 9, 2))
    """

    @classmethod
    def init(
        cls,
        data_dim: int,
        embedding_dim: int,
        L_cache: int | Sequence[int],
        omega_0: Number,
        use_bias: bool = True,
        *,
        key: PRNGKeyArray,
    ) -> Self:
        """A new layer.

        Args:
            data_dim: number of axes D.
            embedding_dim: number of features.
            L_cache: length at which an axis runs from -1 to 1, at least 2; one for all axes or one per axis.
            omega_0: positive frequency scale, the highest frequency in cycles per unit of the coordinate; a number, or
                a traced array `()` that the weights then depend on.
            use_bias: whether the projection has a bias. Default: True.
            key: random key for the weights.

        Raises:
            TypeError: a size is not an integer, `omega_0` is not a number, or `use_bias` is not a bool.
            ValueError: a size or `omega_0` is not positive, or `L_cache` is below 2 or not one per axis.
        """
        sizes = checked_sizes(data_dim, embedding_dim, L_cache, use_bias)
        omega_0 = _check.number_or_tracer("omega_0", omega_0, _check.positive)
        draw = {"bound": siren_bound(sizes[0], omega_0, is_first=True)}
        return cls._new(*sizes, L_cache, use_bias, draw=draw, settings=Settings(omega_0=omega_0), key=key)

    def initial_bound(self) -> Bound:
        """Half-width `a` of the initial weight `U(-a, a)`."""
        bound: Bound = siren_bound(self.data_dim, self.omega_0, is_first=True)
        return bound

    def _activate(self, projection: Projection) -> Embedding:
        return jnp.sin(projection)
