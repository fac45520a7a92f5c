"""SIREN kernels whose first layer holds several frequencies, fixed at construction."""

import functools
from collections.abc import Sequence
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from .. import _check
from .._types import Bound, Frequencies, Number, PerChannel
from .embedding import SIRENPositionalEmbeddingND, checked_sizes, siren_bound
from .linear import KernelLinear, block_diagonal_mask
from .settings import Settings
from .siren_kernel import FilmGenerator, SIRENNetworkND


def omega_0_schedule(num_blocks: int, omega_0_min: Number, omega_0_max: Number, schedule: str = "linear") -> list[Any]:
    """`num_blocks` frequencies from `omega_0_min` to `omega_0_max`, evenly spaced (`"linear"`) or in ratio (`"log"`).

    Raises:
        TypeError: `num_blocks` is not an integer, or an end point is not a number.
        ValueError: `num_blocks` is not positive, `schedule` is unknown, or not `0 < omega_0_min <= omega_0_max`.

    Example:
        >>> omega_0_schedule(3, 1.0, 9.0), [round(w, 6) for w in omega_0_schedule(3, 1.0, 9.0, "log")]
        ([1.0, 5.0, 9.0], [1.0, 3.0, 9.0])
    """
    num_blocks = _check.integer("num_blocks", num_blocks)
    low = _check.number_or_tracer("omega_0_min", omega_0_min, _check.positive)
    high = _check.number_or_tracer("omega_0_max", omega_0_max, _check.positive)
    _check.choice("schedule", schedule, ("linear", "log"))
    if isinstance(low, float) and isinstance(high, float) and high < low:
        raise ValueError(f"`omega_0_max` (={omega_0_max}) must be at least `omega_0_min` (={omega_0_min})")
    fractions = [block / max(num_blocks - 1, 1) for block in range(num_blocks)]
    if schedule == "linear":
        return [low + (high - low) * fraction for fraction in fractions]
    return [low * (high / low) ** fraction for fraction in fractions]


class MultiOmegaSIRENPositionalEmbeddingND(SIRENPositionalEmbeddingND):
    """First layer of a SIREN in which row k is drawn with its own frequency `omega_0_per_row[k]`.

    `W_k ~ U(-a_k, a_k)`, `a_k = 2 * pi * omega_0_per_row[k] / data_dim`; otherwise as `SIRENPositionalEmbeddingND`.
    The frequencies are no weights: they are not in a `state_dict`, and nothing trains them.

    Example:
        >>> import jax
        >>> MultiOmegaSIRENPositionalEmbeddingND.init(1, 3, L_cache=8, omega_0_per_row=[1.0, 2.0, 6.0],
        ...     key=jax.random.key(0)).omega_0
        3.0
    """

    @classmethod
    def init(  # type: ignore[override]
        cls,
        data_dim: int,
        embedding_dim: int,
        L_cache: int | Sequence[int],
        omega_0_per_row: Frequencies,
        use_bias: bool = True,
        *,
        key: PRNGKeyArray,
    ) -> Self:
        """A new layer.

        Args:
            data_dim: number of axes D.
            embedding_dim: number of features.
            L_cache: length at which an axis runs from -1 to 1, at least 2; one for all axes or one per axis.
            omega_0_per_row: `embedding_dim` positive frequency scales, numbers or a traced array.
            use_bias: whether the projection has a bias. Default: True.
            key: random key for the weights.

        Raises:
            TypeError: a size is not an integer, or `use_bias` is not a bool.
            ValueError: a size is not positive, `L_cache` is below 2 or not one per axis, or the frequencies are not
                `embedding_dim` positive numbers.
        """
        sizes = checked_sizes(data_dim, embedding_dim, L_cache, use_bias)
        values = _check.frequencies("omega_0_per_row", omega_0_per_row, sizes[1])
        settings = Settings(omega_0_per_row=values)
        draw = {"bound": _row_bound(sizes[0], values)}
        return cls._new(*sizes, L_cache, use_bias, draw=draw, settings=settings, key=key)

    @property
    def omega_0_per_row(self) -> PerChannel:
        """One frequency scale per row, float32 `(embedding_dim,)`."""
        return jnp.asarray(self.settings.omega_0_per_row, jnp.float32)

    @property
    def omega_0(self) -> Number:
        """Mean of `omega_0_per_row`: a float, or an array if it was built with one."""
        values = self.settings.omega_0_per_row
        return sum(values) / len(values) if isinstance(values, tuple) else values.mean(-1)

    def initial_bound(self) -> Bound:
        """Half-widths `a` of the rows of the initial weight `U(-a, a)`, `(embedding_dim, 1)`."""
        return _row_bound(self.data_dim, self.settings.omega_0_per_row)


def _row_bound(data_dim: int, values: Any) -> Bound:
    rows = np.asarray(values) if isinstance(values, tuple) else values
    bound: Bound = siren_bound(data_dim, rows[:, None], is_first=True)
    return bound


class MultiOmegaSIRENKernelND(SIRENNetworkND):
    """`SIRENKernelND` whose first layer holds one frequency per row, `omega_0_per_row`.

    Example:
        >>> import jax
        >>> kernel = MultiOmegaSIRENKernelND.init(out_dim=4, data_dim=1, mlp_hidden_dim=8, num_layers=2,
        ...     embedding_dim=2, omega_0_per_row=[1.0, 8.0], L_cache=16, use_bias=True, key=jax.random.key(0))
        >>> kernel((16,))[0].shape, kernel.omega_0
        ((1, 31, 4), 4.5)
    """

    @classmethod
    def init(
        cls,
        out_dim: int,
        data_dim: int,
        mlp_hidden_dim: int,
        num_layers: int,
        embedding_dim: int,
        omega_0_per_row: Frequencies,
        L_cache: int | Sequence[int],
        use_bias: bool,
        hidden_omega_0: float = 1.0,
        film_generator: FilmGenerator | None = None,
        film_after_pos_embed: bool = False,
        *,
        key: PRNGKeyArray,
        pyrox_name: str | None = None,
    ) -> Self:
        """A new kernel.

        Args:
            omega_0_per_row: `embedding_dim` positive frequency scales, numbers or a traced array.

        The other arguments and the errors are those of `SIRENKernelND.init`.
        """
        init = MultiOmegaSIRENPositionalEmbeddingND.init
        return cls._new(
            functools.partial(init, data_dim, embedding_dim, L_cache, omega_0_per_row, use_bias),
            out_dim=out_dim,
            mlp_hidden_dim=mlp_hidden_dim,
            num_layers=num_layers,
            hidden_omega_0=hidden_omega_0,
            film_generator=film_generator,
            film_after_pos_embed=film_after_pos_embed,
            key=key,
            pyrox_name=pyrox_name,
        )

    @property
    def omega_0_per_row(self) -> PerChannel:
        """One frequency scale per row of the first layer, float32 `(embedding_dim,)`."""
        values: PerChannel = self.positional_embedding.omega_0_per_row  # type: ignore[attr-defined]
        return values


class BlockDiagonalSIRENNetworkND(SIRENNetworkND):
    """`num_blocks` SIRENs side by side, each with its own frequency, coupled weakly at first: for two kernels."""

    settings: Settings
    schedule: str = eqx.field(static=True)
    num_blocks: int = eqx.field(static=True)

    @staticmethod
    def _blocks(
        sizes: dict[str, int],
        num_blocks: int,
        omega_0_min: Number,
        omega_0_max: Number,
        schedule: str,
        off_block_scale: Number,
        omega_0_per_block: Frequencies | None,
    ) -> dict[str, Any]:
        """The fields of this class, from the checked arguments of its subclasses."""
        num_blocks = _check.integer("num_blocks", num_blocks)
        for name, size in sizes.items():
            if _check.integer(name, size) % num_blocks:
                raise ValueError(f"`{name}` (={size}) must be divisible by `num_blocks` (={num_blocks})")
        scheduled: Any = omega_0_schedule(num_blocks, omega_0_min, omega_0_max, schedule)
        given = scheduled if omega_0_per_block is None else omega_0_per_block
        settings = Settings(
            omega_0_min=_check.number_or_tracer("omega_0_min", omega_0_min, _check.positive),
            omega_0_max=_check.number_or_tracer("omega_0_max", omega_0_max, _check.positive),
            off_block_scale=_check.number_or_tracer("off_block_scale", off_block_scale, _check.not_negative),
            omega_0_per_block=_check.frequencies("omega_0_per_block", given, num_blocks),
        )
        return {"settings": settings, "schedule": schedule, "num_blocks": num_blocks}

    @property
    def omega_0_min(self) -> Number:
        """Lowest frequency scale of the schedule."""
        return self.settings.omega_0_min

    @property
    def omega_0_max(self) -> Number:
        """Highest frequency scale of the schedule."""
        return self.settings.omega_0_max

    @property
    def off_block_scale(self) -> Number:
        """Initial scale of the weights between blocks."""
        return self.settings.off_block_scale

    @property
    def omega_0_per_block(self) -> PerChannel:
        """One frequency scale per block, float32 `(num_blocks,)`."""
        return jnp.asarray(self.settings.omega_0_per_block, jnp.float32)

    def _coupled(self, linear: KernelLinear, bound: float) -> Bound:
        mask = block_diagonal_mask(linear.out_features, linear.in_features, self.num_blocks, self.off_block_scale)
        return bound * mask


def spread(values: Any, rows: int) -> tuple[float, ...] | Array:
    """One value per row from one per block."""
    times = rows // len(values)
    if isinstance(values, jax.Array):
        return jnp.repeat(values, times)
    return tuple(value for value in values for _ in range(times))


class BlockDiagonalMultiOmegaSIRENKernelND(MultiOmegaSIRENKernelND, BlockDiagonalSIRENNetworkND):
    """`num_blocks` SIRENs side by side, each with its own frequency, coupled weakly at init and freely in training.

    The rows of every layer form `num_blocks` equal groups. The first layer draws group b with `omega_0_per_block[b]`;
    hidden and readout weights are multiplied at init by a mask that is 1 on the block diagonal and `off_block_scale`
    elsewhere: 0 gives exactly independent SIRENs, 1 the parent class. Scaling the grid by m calls for scaling both
    end points by m, which keeps the coverage relative to Nyquist. Pair it with `BlockAlignedGaussianModulationND`,
    which gives the block of the lowest frequency the widest window.

    Example:
        >>> import jax
        >>> kernel = BlockDiagonalMultiOmegaSIRENKernelND.init(out_dim=8, data_dim=2, mlp_hidden_dim=16, num_layers=3,
        ...     embedding_dim=16, L_cache=8, use_bias=True, num_blocks=4, omega_0_min=1.0, omega_0_max=4.0,
        ...     key=jax.random.key(0))
        >>> kernel.omega_0_per_block.tolist()
        [1.0, 2.0, 3.0, 4.0]
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
        hidden_omega_0: float = 1.0,
        film_generator: FilmGenerator | None = None,
        film_after_pos_embed: bool = False,
        *,
        key: PRNGKeyArray,
        pyrox_name: str | None = None,
    ) -> Self:
        """A new kernel.

        Args:
            num_blocks: number of groups, which divides `embedding_dim`, `mlp_hidden_dim` and `out_dim`. Default: 8.
            omega_0_min, omega_0_max: end points of the schedule, `0 < omega_0_min <= omega_0_max`; numbers, or traced
                arrays `()`. Default: 1 and 12.
            schedule: `"linear"` (default) or `"log"`.
            off_block_scale: scale of the weights between blocks at init, not negative. Default: 0.1.
            omega_0_per_block: `num_blocks` frequency scales instead of the schedule. Default: None.

        The other arguments are those of `SIRENKernelND.init`.

        Raises:
            TypeError: a size is not an integer, a number is not one, or a flag is not a bool.
            ValueError: a size that `num_blocks` does not divide, an unknown schedule, bad end points or frequencies,
                and as `SIRENKernelND.init`.
        """
        sizes = {"embedding_dim": embedding_dim, "mlp_hidden_dim": mlp_hidden_dim, "out_dim": out_dim}
        blocks = cls._blocks(sizes, num_blocks, omega_0_min, omega_0_max, schedule, off_block_scale, omega_0_per_block)
        per_row = spread(blocks["settings"].omega_0_per_block, embedding_dim)
        init = MultiOmegaSIRENPositionalEmbeddingND.init
        return cls._new(
            functools.partial(init, data_dim, embedding_dim, L_cache, per_row, use_bias),
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
