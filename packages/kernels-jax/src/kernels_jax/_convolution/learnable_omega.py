"""SIREN kernels whose first-layer frequencies are learned."""

import functools
import math
from collections.abc import Sequence
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from .. import _check
from .._training import Hints
from .._types import Bound, Embedding, Frequencies, Number, PerChannel, Projection
from .bounded import bounded
from .embedding import SineEmbeddingND, checked_sizes
from .multi_omega import BlockDiagonalSIRENNetworkND, spread
from .settings import Settings
from .siren_kernel import FilmGenerator, SIRENNetworkND


class LearnableOmegaSIRENPositionalEmbeddingND(SineEmbeddingND):
    """First layer `sin(2 * pi * omega_0 * s * (W p + b))` with a learnable scale s per row.

    `W ~ U(-1/D, 1/D)`, `b = 0`. The scale is kept in `[omega_0_scale_min, omega_0_scale_max]` and has a gradient at and
    beyond the bounds. The product runs in float32 (float64 for float64 weights).

    Attributes:
        linear: `PositionLinear` from D to `embedding_dim`.
        omega_0_scale: the scales before they are bounded, `(embedding_dim,)`.

    Example:
        >>> import jax
        >>> layer = LearnableOmegaSIRENPositionalEmbeddingND.init(1, 4, L_cache=8, omega_0=10.0,
        ...     omega_0_scale_init=0.5, key=jax.random.key(0))
        >>> layer.omega_0_scale.tolist(), layer((8,))[0].shape
        ([0.5, 0.5, 0.5, 0.5], (1, 15, 4))
    """

    omega_0_scale: PerChannel
    omega_0_scale_min: float = eqx.field(static=True)
    omega_0_scale_max: float = eqx.field(static=True)
    apply_lr_scale: bool = eqx.field(static=True)

    @classmethod
    def init(
        cls,
        data_dim: int,
        embedding_dim: int,
        L_cache: int | Sequence[int],
        omega_0: Number,
        omega_0_scale_init: Number | Frequencies = 1.0,
        omega_0_scale_min: float = 1e-2,
        omega_0_scale_max: float = 2.0,
        use_bias: bool = True,
        apply_lr_scale: bool = False,
        *,
        key: PRNGKeyArray,
    ) -> Self:
        """A new layer.

        Args:
            data_dim: number of axes D.
            embedding_dim: number of features.
            L_cache: length at which an axis runs from -1 to 1, at least 2; one for all axes or one per axis.
            omega_0: positive factor of all rows; a number, or a traced array `()`.
            omega_0_scale_init: initial scale within the bounds, one or one per row; numbers, or a traced array.
                Default: 1.
            omega_0_scale_min: lower bound of the scales, positive. Default: 0.01.
            omega_0_scale_max: upper bound of the scales. Default: 2.
            use_bias: whether the projection has a bias. Default: True.
            apply_lr_scale: whether `param_groups` divides the learning rate of the projection by `2 * pi * omega_0`,
                which must be a number then. Default: False.
            key: random key for the weights.

        Raises:
            TypeError: a scale or frequency scale is not a number, a size is not an integer, or a flag is not a bool.
            ValueError: a size or `omega_0` is not positive, `L_cache` is below 2 or not one per axis, the bounds are
                not `0 < min <= max`, or the initial scales lie outside them or are not one per row.
        """
        sizes = checked_sizes(data_dim, embedding_dim, L_cache, use_bias)
        omega_0 = _check.number_or_tracer("omega_0", omega_0, _check.positive)
        low = _check.positive("omega_0_scale_min", omega_0_scale_min)
        high = _check.positive("omega_0_scale_max", omega_0_scale_max)
        if high < low:
            raise ValueError(
                f"`omega_0_scale_max` (={omega_0_scale_max}) must be >= `omega_0_scale_min` (={omega_0_scale_min})"
            )
        one = isinstance(omega_0_scale_init, (int, float)) or getattr(omega_0_scale_init, "ndim", 1) == 0
        values: Any = [omega_0_scale_init] * sizes[1] if one else omega_0_scale_init
        scales = _check.frequencies("omega_0_scale_init", values, sizes[1])
        if isinstance(scales, tuple) and not all(low <= scale <= high for scale in scales):
            raise ValueError(
                f"`omega_0_scale_init` must lie in [{omega_0_scale_min}, {omega_0_scale_max}]; "
                f"got values from {min(scales)} to {max(scales)}"
            )
        if _check.flag("apply_lr_scale", apply_lr_scale) and not isinstance(omega_0, float):
            raise ValueError("`apply_lr_scale=True` needs an `omega_0` that is known while tracing, got a traced array")
        return cls._new(
            *sizes,
            L_cache,
            use_bias,
            draw={"bound": 1 / sizes[0]},
            key=key,
            settings=Settings(omega_0=omega_0),
            omega_0_scale=jnp.asarray(scales),
            omega_0_scale_min=low,
            omega_0_scale_max=high,
            apply_lr_scale=apply_lr_scale,
        )

    def initial_bound(self) -> Bound:
        """Half-width `a` of the initial weight `U(-a, a)`."""
        return 1 / self.data_dim

    @property
    def _optim_hints(self) -> Hints:
        hints = super()._optim_hints
        return {"linear": {"lr_scale": 1 / (2 * math.pi * self.omega_0)}, **hints} if self.apply_lr_scale else hints

    def _activate(self, projection: Projection) -> Embedding:
        scale = self.omega_0_scale.astype(jnp.promote_types(self.omega_0_scale.dtype, jnp.float32))
        scale = bounded(scale, self.omega_0_scale_min, self.omega_0_scale_max)
        phase = 2 * math.pi * self.omega_0 * scale
        return jnp.sin(phase.reshape(-1, *[1] * (projection.ndim - 1)) * projection)


class LearnableOmegaSIRENKernelND(SIRENNetworkND):
    """`SIRENKernelND` whose first layer is a `LearnableOmegaSIRENPositionalEmbeddingND`.

    Example:
        >>> import jax
        >>> kernel = LearnableOmegaSIRENKernelND.init(out_dim=4, data_dim=1, mlp_hidden_dim=8, num_layers=2,
        ...     embedding_dim=8, omega_0=10.0, L_cache=16, use_bias=True, key=jax.random.key(0))
        >>> kernel((16,))[0].shape
        (1, 31, 4)
    """

    @classmethod
    def init(
        cls,
        out_dim: int,
        data_dim: int,
        mlp_hidden_dim: int,
        num_layers: int,
        embedding_dim: int,
        omega_0: Number,
        L_cache: int | Sequence[int],
        use_bias: bool,
        omega_0_scale_init: Number | Frequencies = 1.0,
        omega_0_scale_min: float = 1e-2,
        omega_0_scale_max: float = 2.0,
        hidden_omega_0: float = 1.0,
        apply_lr_scale: bool = False,
        film_generator: FilmGenerator | None = None,
        film_after_pos_embed: bool = False,
        *,
        key: PRNGKeyArray,
        pyrox_name: str | None = None,
    ) -> Self:
        """A new kernel.

        The arguments and errors are those of `SIRENKernelND.init`, and for the first layer those of
        `LearnableOmegaSIRENPositionalEmbeddingND.init`.
        """
        return cls._learnable(
            (data_dim, embedding_dim, L_cache, omega_0),
            (omega_0_scale_init, omega_0_scale_min, omega_0_scale_max, use_bias, apply_lr_scale),
            out_dim=out_dim,
            mlp_hidden_dim=mlp_hidden_dim,
            num_layers=num_layers,
            hidden_omega_0=hidden_omega_0,
            film_generator=film_generator,
            film_after_pos_embed=film_after_pos_embed,
            key=key,
            pyrox_name=pyrox_name,
        )

    @classmethod
    def _learnable(cls, geometry: tuple[Any, ...], scales: tuple[Any, ...], **options: Any) -> Self:
        """With a first layer of these arguments; `options` as for any SIREN kernel."""
        init = LearnableOmegaSIRENPositionalEmbeddingND.init
        return cls._new(functools.partial(init, *geometry, *scales), **options)

    @property
    def _first(self) -> LearnableOmegaSIRENPositionalEmbeddingND:
        assert isinstance(self.positional_embedding, LearnableOmegaSIRENPositionalEmbeddingND)
        return self.positional_embedding

    @property
    def omega_0_scale_min(self) -> float:
        """Lower bound of the scales."""
        return self._first.omega_0_scale_min

    @property
    def omega_0_scale_max(self) -> float:
        """Upper bound of the scales."""
        return self._first.omega_0_scale_max

    @property
    def apply_lr_scale(self) -> bool:
        """Whether `param_groups` divides the learning rate of the first layer's projection by `2 * pi * omega_0`."""
        return self._first.apply_lr_scale


class BlockDiagonalLearnableOmegaSIRENKernelND(LearnableOmegaSIRENKernelND, BlockDiagonalSIRENNetworkND):
    """`BlockDiagonalMultiOmegaSIRENKernelND` with learnable frequencies.

    The constant factor `omega_0` is the largest block's frequency scale, and the scales start at
    `omega_0_per_block / max(omega_0_per_block)`, none of which may be below `omega_0_scale_min`.

    Example:
        >>> import jax
        >>> kernel = BlockDiagonalLearnableOmegaSIRENKernelND.init(out_dim=4, data_dim=1, mlp_hidden_dim=8,
        ...     num_layers=2, embedding_dim=4, L_cache=16, use_bias=True, num_blocks=2, omega_0_min=2.0,
        ...     omega_0_max=8.0, key=jax.random.key(0))
        >>> kernel.omega_0, kernel.positional_embedding.omega_0_scale.tolist()
        (8.0, [0.25, 0.25, 1.0, 1.0])
    """

    @classmethod
    def init(  # type: ignore[override]
        cls,
        out_dim: int,
        data_dim: int,
        mlp_hidden_dim: int,
        num_layers: int,
        embedding_dim: int,
        L_cache: int | Sequence[int],
        use_bias: bool,
        num_blocks: int = 8,
        omega_0_min: Number = 1.0,
        omega_0_max: Number = 12.0,
        schedule: str = "linear",
        off_block_scale: Number = 0.1,
        omega_0_per_block: Frequencies | None = None,
        omega_0_scale_min: float = 1e-2,
        omega_0_scale_max: float = 2.0,
        hidden_omega_0: float = 1.0,
        apply_lr_scale: bool = False,
        film_generator: FilmGenerator | None = None,
        film_after_pos_embed: bool = False,
        *,
        key: PRNGKeyArray,
        pyrox_name: str | None = None,
    ) -> Self:
        """A new kernel.

        The arguments and errors are those of `BlockDiagonalMultiOmegaSIRENKernelND.init` and, for the scales, those of
        `LearnableOmegaSIRENPositionalEmbeddingND.init`.
        """
        sizes = {"embedding_dim": embedding_dim, "mlp_hidden_dim": mlp_hidden_dim, "out_dim": out_dim}
        blocks = cls._blocks(sizes, num_blocks, omega_0_min, omega_0_max, schedule, off_block_scale, omega_0_per_block)
        per_block = blocks["settings"].omega_0_per_block
        if isinstance(per_block, jax.Array):
            largest: Any = per_block.max()
            initial: Any = per_block / largest
        else:
            largest = max(per_block)
            initial = [value / largest for value in per_block]
        return cls._learnable(
            (data_dim, embedding_dim, L_cache, largest),
            (spread(initial, embedding_dim), omega_0_scale_min, omega_0_scale_max, use_bias, apply_lr_scale),
            out_dim=out_dim,
            mlp_hidden_dim=mlp_hidden_dim,
            num_layers=num_layers,
            hidden_omega_0=hidden_omega_0,
            film_generator=film_generator,
            film_after_pos_embed=film_after_pos_embed,
            key=key,
            pyrox_name=pyrox_name,
            **blocks,
        )
