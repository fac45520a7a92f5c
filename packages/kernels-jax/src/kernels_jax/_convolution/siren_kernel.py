"""Convolution kernels as SIRENs of position."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from .. import _check, _linear
from .._pyrox.module import PyroxModule
from .._types import Grid, KernelLast, Modulation, Operand, Points, Positions
from .coordinates import coordinate_grid
from .embedding import SIRENPositionalEmbeddingND, siren_bound


class SIRENKernelND(PyroxModule):
    """A convolution kernel as a SIREN of position, with optional FiLM modulation, one kernel per batch item.

    `h_0 = sin(W_0 p + b_0)`, `h_i = sin(W_i h_{i-1} + b_i)` for `i = 1 .. num_layers - 1`, `k(p) = W_out h + b_out`.
    Weights contain the frequency (`siren_bound`); the readout is scaled by `sqrt(1 / prod(L_cache))` so that the
    initial kernel energy does not depend on resolution. With FiLM, `h_i <- gamma_i * h_i + beta_i` after each sine.
    Sitzmann et al. 2020, arXiv:2006.09661; Romero et al. 2022, arXiv:2102.02611; Perez et al. 2018, arXiv:1709.07871.

    Its weights have the names and shapes of those of `SIRENKernelND` in kernels-core: see `kernels_jax.interop`.

    Attributes:
        positional_embedding: the first layer, which also holds the geometry.
        hidden_linears: an `eqx.nn.Linear` for each of the other `num_layers - 1` sine layers.
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

    positional_embedding: SIRENPositionalEmbeddingND
    hidden_linears: tuple[eqx.nn.Linear, ...]
    out_linear: eqx.nn.Linear
    film_generator: Callable[..., Any] | None
    out_dim: int = eqx.field(static=True)
    mlp_hidden_dim: int = eqx.field(static=True)
    num_layers: int = eqx.field(static=True)
    hidden_omega_0: float = eqx.field(static=True, default=1.0)
    film_after_pos_embed: bool = eqx.field(static=True, default=False)

    @classmethod
    def init(
        cls,
        out_dim: int,
        data_dim: int,
        mlp_hidden_dim: int,
        num_layers: int,
        embedding_dim: int,
        omega_0: float,
        L_cache: int | Sequence[int],
        use_bias: bool,
        hidden_omega_0: float = 1.0,
        film_generator: Callable[..., Any] | None = None,
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
            omega_0: positive frequency scale of the first layer.
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
        out_dim, mlp_hidden_dim = _check.integer("out_dim", out_dim), _check.integer("mlp_hidden_dim", mlp_hidden_dim)
        num_layers = _check.integer("num_layers", num_layers, 2)
        hidden_omega_0 = _check.positive("hidden_omega_0", hidden_omega_0)
        _check.flag("film_after_pos_embed", film_after_pos_embed)
        if film_generator is not None and (isinstance(film_generator, type) or not callable(film_generator)):
            raise TypeError(f"`film_generator` must be a callable module or None, got {film_generator!r}")
        if film_after_pos_embed and embedding_dim != mlp_hidden_dim:
            raise ValueError(
                f"`film_after_pos_embed=True` needs `embedding_dim` (={embedding_dim}) equal to "
                f"`mlp_hidden_dim` (={mlp_hidden_dim})"
            )
        keys = jax.random.split(key, num_layers + 1)
        embedding = SIRENPositionalEmbeddingND.init(data_dim, embedding_dim, L_cache, omega_0, use_bias, key=keys[0])
        # Kernel energy independent of resolution (CKConv, arXiv:2102.02611).
        scale = math.sqrt(1 / math.prod(embedding.L_cache_per_axis))
        widths = [embedding.embedding_dim, *[mlp_hidden_dim] * (num_layers - 1)]
        kernel = cls(
            embedding,
            tuple(
                _linear.uniform(*pair, siren_bound(pair[0]), use_bias, key=layer_key)
                for pair, layer_key in zip(itertools.pairwise(widths), keys[1:-1], strict=True)
            ),
            _linear.uniform(mlp_hidden_dim, out_dim, siren_bound(mlp_hidden_dim) * scale, use_bias, key=keys[-1]),
            film_generator,
            out_dim,
            mlp_hidden_dim,
            num_layers,
            hidden_omega_0,
            film_after_pos_embed,
            pyrox_name=pyrox_name,
        )
        kernel._check_film("num_film_layers", getattr(film_generator, "num_film_layers", kernel._modulations))
        kernel._check_film("kernel_hidden_dim", getattr(film_generator, "kernel_hidden_dim", mlp_hidden_dim))
        return kernel

    @property
    def data_dim(self) -> int:
        """Number of axes D."""
        return self.positional_embedding.data_dim

    @property
    def embedding_dim(self) -> int:
        """Width of the first layer."""
        return self.positional_embedding.embedding_dim

    @property
    def omega_0(self) -> float:
        """Frequency scale of the first layer."""
        return self.positional_embedding.omega_0

    @property
    def use_bias(self) -> bool:
        """Whether the linear layers have biases."""
        return self.positional_embedding.use_bias

    @property
    def L_cache(self) -> int | tuple[int, ...]:
        """Length at which an axis runs from -1 to 1, one for all axes or one per axis."""
        return self.positional_embedding.L_cache

    @property
    def L_cache_per_axis(self) -> tuple[int, ...]:
        """`L_cache` of every axis."""
        return self.positional_embedding.L_cache_per_axis

    @property
    def num_film_layers(self) -> int:
        """Number of hidden layers, which are the layers that a generator modulates."""
        return len(self.hidden_linears)

    @property
    def _modulations(self) -> int:
        return self.num_film_layers + self.film_after_pos_embed

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
            pairs = list(self.film_generator(conditioning))
            self._check_film("num_film_layers", len(pairs))
            modulations = pairs if self.film_after_pos_embed else [None, *pairs]
        h = self.positional_embedding.evaluate(axes)
        h = _modulate(h.reshape(len(h), -1), modulations[0])
        for linear, modulation in zip(self.hidden_linears, modulations[1:], strict=True):
            h = _modulate(jnp.sin(_affine(linear, h)), modulation)
        return h

    def evaluate(self, axes: Sequence[Positions], conditioning: Operand | None = None) -> KernelLast:
        """The kernel `(1|B, *sizes, out_dim)` on the product grid of float32 per-axis coordinates."""
        kernel = _affine(self.out_linear, self.features(axes, conditioning))
        items = len(kernel) if kernel.ndim == 3 else 1
        return kernel.mT.reshape(items, *(len(positions) for positions in axes), self.out_dim)

    def __call__(self, seq_lens: Sequence[int], conditioning: Operand | None = None) -> tuple[KernelLast, Grid]:
        """`(kernel (1|B, *grid, out_dim), grid (1, *grid, D))` with `2 * L_d - 1` points on axis d.

        Args:
            seq_lens: one positive length `L_d` per axis.
            conditioning: `(B, ...)`, the input of the FiLM generator; ignored without one. Default: None, the
                unmodulated kernel with batch 1.

        Raises:
            ValueError: `seq_lens` are not D positive integers, or the number of pairs from the generator is not that of
                the modulated layers.
        """
        axes = self.positional_embedding.axes(seq_lens)
        return self.evaluate(axes, conditioning), coordinate_grid(axes)


def _affine(linear: eqx.nn.Linear, h: Points) -> Points:
    """`W h + b` over features-first matrices."""
    assert linear.weight is not None
    # By default JAX rounds the operands to TensorFloat-32 on GPUs and to bfloat16 on TPUs.
    y = jnp.matmul(linear.weight, h, precision="highest")
    return y if linear.bias is None else y + linear.bias[:, None]


def _modulate(h: Points, modulation: Modulation | None) -> Points:
    if modulation is None:
        return h
    gamma, beta = modulation
    return gamma[..., None] * h + beta[..., None]
