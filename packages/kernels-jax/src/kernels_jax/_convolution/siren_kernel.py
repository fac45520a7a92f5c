"""Convolution kernels as SIRENs of position."""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from .. import _check
from .._training import NO_WEIGHT_DECAY, Hints
from .._types import Bound, KernelLast, Modulation, Number, Operand, Points, Positions
from .embedding import SineEmbeddingND, SIRENPositionalEmbeddingND, siren_bound
from .linear import KernelLinear
from .mlp import MLPKernelND, readout_scale

FilmGenerator = Callable[..., Any]


class SIRENNetworkND(MLPKernelND):
    """Sine layers, FiLM and readout over any first layer: the base of all SIREN kernels.

    Attributes:
        positional_embedding: the first layer, which also holds the geometry.
        hidden_linears: a `KernelLinear` for each of the other `num_layers - 1` sine layers.
        out_linear: the readout.
        film_generator: maps conditioning to `(gamma, beta)` pairs, or None.
    """

    positional_embedding: SineEmbeddingND
    hidden_linears: tuple[KernelLinear, ...]
    out_linear: KernelLinear
    film_generator: FilmGenerator | None
    hidden_omega_0: float = eqx.field(static=True)
    film_after_pos_embed: bool = eqx.field(static=True)

    @classmethod
    def _new(
        cls,
        embedding: Callable[..., SineEmbeddingND],
        *,
        out_dim: int,
        mlp_hidden_dim: int,
        num_layers: int,
        hidden_omega_0: float,
        film_generator: FilmGenerator | None,
        film_after_pos_embed: bool,
        key: PRNGKeyArray,
        pyrox_name: str | None,
        **fields: Any,
    ) -> Self:
        """A new kernel on `embedding(key=...)`, its other weights drawn within its `initial_bounds`."""
        out_dim, mlp_hidden_dim = _check.integer("out_dim", out_dim), _check.integer("mlp_hidden_dim", mlp_hidden_dim)
        num_layers = _check.integer("num_layers", num_layers, 2)
        hidden_omega_0 = _check.positive("hidden_omega_0", hidden_omega_0)
        _check.flag("film_after_pos_embed", film_after_pos_embed)
        if film_generator is not None and (isinstance(film_generator, type) or not callable(film_generator)):
            raise TypeError(f"`film_generator` must be a callable module or None, got {film_generator!r}")
        first_key, *keys = jax.random.split(key, num_layers + 1)
        first = embedding(key=first_key)
        if film_after_pos_embed and first.embedding_dim != mlp_hidden_dim:
            raise ValueError(
                f"`film_after_pos_embed=True` needs `embedding_dim` (={first.embedding_dim}) equal to "
                f"`mlp_hidden_dim` (={mlp_hidden_dim})"
            )
        widths = list(itertools.pairwise([first.embedding_dim, *[mlp_hidden_dim] * (num_layers - 1), out_dim]))
        blank = [KernelLinear(jnp.zeros(pair[::-1]), None, *pair) for pair in widths]
        kernel = cls(
            positional_embedding=first,
            out_dim=out_dim,
            mlp_hidden_dim=mlp_hidden_dim,
            num_layers=num_layers,
            hidden_linears=tuple(blank[:-1]),
            out_linear=blank[-1],
            film_generator=film_generator,
            hidden_omega_0=hidden_omega_0,
            film_after_pos_embed=film_after_pos_embed,
            pyrox_name=pyrox_name,
            **fields,
        )
        kernel._check_film("num_film_layers", getattr(film_generator, "num_film_layers", kernel._modulations))
        kernel._check_film("kernel_hidden_dim", getattr(film_generator, "kernel_hidden_dim", mlp_hidden_dim))
        _, *bounds = kernel.initial_bounds().values()
        drawn = [
            KernelLinear.init(*pair, bias=first.use_bias, bound=bound, key=layer_key)
            for pair, bound, layer_key in zip(widths, bounds, keys, strict=True)
        ]
        made: Self = eqx.tree_at(lambda kernel: (*kernel.hidden_linears, kernel.out_linear), kernel, drawn)
        return made

    def initial_bounds(self) -> dict[str, Bound]:
        """Half-width `a` of the initial weight `U(-a, a)` of every linear layer, in the order of the layers.

        Returns:
            By path in the kernel: `positional_embedding.linear`, `hidden_linears.{i}`, `out_linear`. A bound is a
            number, or an array that broadcasts to the weight.
        """
        layers = [("positional_embedding.linear", self.positional_embedding.initial_bound())]
        for index, linear in enumerate(self.hidden_linears):
            layers.append((f"hidden_linears.{index}", self._coupled(linear, siren_bound(linear.in_features))))
        scale = readout_scale(self.L_cache_per_axis)
        layers.append(("out_linear", self._coupled(self.out_linear, siren_bound(self.mlp_hidden_dim) * scale)))
        return dict(layers)

    def _coupled(self, linear: KernelLinear, bound: float) -> Bound:
        """The bound of a layer after the first, from that of a plain SIREN."""
        return bound

    @property
    def num_film_layers(self) -> int:
        """Number of hidden layers, which are the layers that a generator modulates."""
        return len(self.hidden_linears)

    @property
    def _modulations(self) -> int:
        return self.num_film_layers + self.film_after_pos_embed

    @property
    def _optim_hints(self) -> Hints:
        return {"hidden_linears": NO_WEIGHT_DECAY, "out_linear.bias": NO_WEIGHT_DECAY}

    def _check_film(self, what: str, given: object) -> None:
        needed = self._modulations if what == "num_film_layers" else self.mlp_hidden_dim
        if given != needed:
            raise ValueError(
                f"the FiLM generator has {what}={given}, but this kernel needs {needed} (num_layers={self.num_layers}, "
                f"mlp_hidden_dim={self.mlp_hidden_dim}, film_after_pos_embed={self.film_after_pos_embed})"
            )

    def features(self, axes: Sequence[Positions], conditioning: Operand | None = None) -> Points:
        """Input of the readout, `([B,] mlp_hidden_dim, prod(sizes))`, on the product grid of per-axis coordinates."""
        # One matrix (width, points) until the first modulation adds a batch axis: the layers before are computed once
        # and not once per batch item.
        modulations: list[Modulation | None] = [None] * (self.num_film_layers + 1)
        if conditioning is not None and self.film_generator is not None:
            pairs = self._pairs(conditioning)
            modulations = [*pairs] if self.film_after_pos_embed else [None, *pairs]
        h = self.positional_embedding.evaluate(axes)
        h = _modulate(h.reshape(len(h), -1), modulations[0])
        for linear, modulation in zip(self.hidden_linears, modulations[1:], strict=True):
            h = _modulate(jnp.sin(linear.columns(h)), modulation)
        return h

    def _pairs(self, conditioning: Operand) -> list[Modulation]:
        assert self.film_generator is not None
        pairs = list(self.film_generator(conditioning))
        self._check_film("num_film_layers", len(pairs))
        parts = [part for pair in pairs for part in pair]
        if any(part.ndim != 2 or part.shape[1] != self.mlp_hidden_dim for part in parts):
            shapes = ", ".join(str(part.shape) for part in parts)
            raise ValueError(f"the FiLM generator must give gammas and betas (B, {self.mlp_hidden_dim}); got {shapes}")
        return pairs

    def evaluate(self, axes: Sequence[Positions], conditioning: Operand | None = None) -> KernelLast:
        """The kernel `(1|B, *sizes, out_dim)` on the product grid of float32 per-axis coordinates."""
        kernel = self.out_linear.columns(self.features(axes, conditioning))
        items = len(kernel) if kernel.ndim == 3 else 1
        return kernel.mT.reshape(items, *(len(positions) for positions in axes), self.out_dim)

    def flop_count(self, grid_lens: Sequence[int], inference: bool = False) -> int:
        """As for any kernel; with a generator plus its own `flop_count()` and `2 * points * width` per modulation.

        Raises:
            TypeError, ValueError: `grid_lens` are not D positive integers, or the generator has no `flop_count`.
        """
        flops = super().flop_count(grid_lens, inference)
        generator: Any = self.film_generator
        if generator is None:
            return flops
        if not hasattr(generator, "flop_count"):
            raise ValueError(f"the FiLM generator {type(generator).__name__} has no flop_count()")
        own: int = generator.flop_count()
        return flops + own + self._modulations * 2 * self._points(grid_lens) * self.mlp_hidden_dim


class SIRENKernelND(SIRENNetworkND):
    """A convolution kernel as a SIREN of position, with optional FiLM modulation, one kernel per batch item.

    `h_0 = sin(W_0 p + b_0)`, `h_i = sin(W_i h_{i-1} + b_i)` for `i = 1 .. num_layers - 1`, `k(p) = W_out h + b_out`.
    Weights contain the frequency (`siren_bound`); the readout is scaled by `sqrt(1 / prod(L_cache))` so that the
    initial kernel energy does not depend on resolution. With FiLM, `h_i <- gamma_i * h_i + beta_i` after each sine.
    Sitzmann et al. 2020, arXiv:2006.09661; Romero et al. 2022, arXiv:2102.02611; Perez et al. 2018, arXiv:1709.07871.

    Its weights have the names and shapes of those of `SIRENKernelND` in kernels-core: see `kernels_jax.interop`.

    Attributes:
        positional_embedding: the first layer, which also holds the geometry.
        hidden_linears: a `KernelLinear` for each of the other `num_layers - 1` sine layers.
        out_linear: the readout.
        film_generator: maps conditioning to `(gamma, beta)` pairs, or None.

    Example:
        >>> import jax
        >>> kernel = SIRENKernelND.init(out_dim=4, data_dim=2, mlp_hidden_dim=16, num_layers=3, embedding_dim=16,
        ...     omega_0=10.0, L_cache=8, use_bias=True, key=jax.random.key(0))
        >>> values, grid = kernel((8, 8))
        >>> values.shape, grid.shape
        ((1, 15, 15, 4), (1, 15, 15, 2))
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
        hidden_omega_0: float = 1.0,
        film_generator: FilmGenerator | None = None,
        film_after_pos_embed: bool = False,
        *,
        key: PRNGKeyArray,
        pyrox_name: str | None = None,
    ) -> Self:
        """A new kernel.

        Args:
            out_dim: channels of the kernel.
            data_dim: number of axes D.
            mlp_hidden_dim: width of the hidden layers.
            num_layers: number of sine layers including the first, at least 2.
            embedding_dim: width of the first layer.
            omega_0: positive frequency scale of the first layer; a number, or a traced array `()`.
            L_cache: length at which an axis runs from -1 to 1, at least 2; one for all axes or one per axis.
            use_bias: whether the linear layers have biases, initially zero.
            hidden_omega_0: frequency scale of the hidden layers; it cancels between bound and scale. Default: 1.
            film_generator: a `KernelFiLMGenerator`, or any module from conditioning to `(gamma, beta)` pairs.
                Default: None.
            film_after_pos_embed: whether to modulate the first layer too; needs `embedding_dim == mlp_hidden_dim`.
                Default: False.
            key: random key for the weights.
            pyrox_name: scope of the sites. Default: None, by place in the tree.

        Raises:
            TypeError: a size is not an integer, a frequency scale is not a number, a flag is not a bool, or
                `film_generator` is not a module.
            ValueError: a size or frequency scale is not positive, `num_layers` or `L_cache` is below 2, or kernel
                and generator differ in width or number of layers.
        """
        init = SIRENPositionalEmbeddingND.init
        return cls._new(
            functools.partial(init, data_dim, embedding_dim, L_cache, omega_0, use_bias),
            out_dim=out_dim,
            mlp_hidden_dim=mlp_hidden_dim,
            num_layers=num_layers,
            hidden_omega_0=hidden_omega_0,
            film_generator=film_generator,
            film_after_pos_embed=film_after_pos_embed,
            key=key,
            pyrox_name=pyrox_name,
        )


def _modulate(h: Points, modulation: Modulation | None) -> Points:
    if modulation is None:
        return h
    gamma, beta = modulation
    return gamma[..., None] * h + beta[..., None]
