"""SIREN networks that generate convolution kernels."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from . import _check, _check_geometry
from ._coordinates import axis_coordinates, coordinate_grid
from ._kernel_types import Embedding, Grid, Kernel, KernelLast, Modulation, Operand, Points, Positions
from ._pyrox import PyroxModule


def siren_bound(fan_in: int, omega_0: float = 1.0, *, is_first: bool = False) -> float:
    """Half-width `a` of the SIREN initialisation `W ~ U(-a, a)` when the weights carry the frequency.

    First layer: `a = 2 * pi * omega_0 / fan_in`. Every other layer: `a = sqrt(6 / fan_in)`, whatever its frequency,
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
            L_cache: length at which an axis runs from -1 to 1; an int, or one per axis, each >= 2.
            omega_0: frequency scale, in cycles per unit of the coordinate at most.
            use_bias: whether the projection has a bias.
            key: random key for the weights.

        Raises:
            TypeError, ValueError: an argument of the wrong type or out of range.
        """
        data_dim, embedding_dim = _check.integer("data_dim", data_dim), _check.integer("embedding_dim", embedding_dim)
        _check_geometry.lengths_of_grid(L_cache, data_dim)
        omega_0, use_bias = _check.positive("omega_0", omega_0), _check_geometry.flag("use_bias", use_bias)
        return cls(
            _uniform_linear(data_dim, embedding_dim, siren_bound(data_dim, omega_0, is_first=True), use_bias, key=key),
            data_dim,
            embedding_dim,
            tuple(L_cache) if isinstance(L_cache, Sequence) else L_cache,
            omega_0,
            use_bias,
        )

    @property
    def L_cache_per_axis(self) -> tuple[int, ...]:
        """`L_cache`, one per axis."""
        return _check_geometry.lengths_of_grid(self.L_cache, self.data_dim)

    def axes(self, seq_lens: Sequence[int]) -> list[Positions]:
        """The per-axis coordinates of the grid for `seq_lens`."""
        _check_geometry.sizes("seq_lens", seq_lens, self.data_dim)
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
        """`(embedding (1, *grid, embedding_dim), grid (1, *grid, D))`, `2 * L_d - 1` points on axis d."""
        axes = self.axes(seq_lens)
        return jnp.moveaxis(self.evaluate(axes), 0, -1)[None], coordinate_grid(axes)


class SIRENKernelND(PyroxModule):
    """A convolution kernel as a SIREN of position, optionally modulated per sample by FiLM.

    `h_0 = sin(W_0 p + b_0)`, `h_i = sin(W_i h_{i-1} + b_i)` for `i = 1 .. num_layers - 1`, `k(p) = W_out h + b_out`.
    Weights carry the frequency (`siren_bound`); the readout is scaled by `sqrt(1 / prod(L_cache))` so that the
    initial kernel energy does not depend on resolution. With FiLM, `h_i <- gamma_i * h_i + beta_i` after each sine.
    Sitzmann et al. 2020, arXiv:2006.09661; Romero et al. 2022, arXiv:2102.02611; Perez et al. 2018, arXiv:1709.07871.

    Its weights are those of `SIRENKernelND` of kernels-core, by name and by shape: see `kernels_jax.interop`.

    Attributes:
        positional_embedding: the first layer, which also knows the geometry.
        hidden_linears: the other `num_layers - 1` sine layers, `eqx.nn.Linear` each.
        out_linear: the readout.
        film_generator: from conditioning to `(gamma, beta)` pairs, or None.

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
            num_layers: sine layers, the first included, >= 2.
            embedding_dim: width of the first layer.
            omega_0: frequency scale of the first layer.
            L_cache: length at which an axis runs from -1 to 1; an int, or one per axis, each >= 2.
            use_bias: whether the linear layers have biases (zero at init).
            hidden_omega_0: frequency of the hidden layers; it cancels between bound and scale.
            film_generator: a `KernelFiLMGenerator`, or any module from conditioning to `(gamma, beta)` pairs.
            film_after_pos_embed: modulate the first layer too; needs `embedding_dim == mlp_hidden_dim`.
            key: random key for the weights.
            pyrox_name: scope of its sites.

        Raises:
            TypeError, ValueError: an argument of the wrong type or out of range, or a generator whose number of layers
                or width does not fit (both numbers are told).
        """
        out_dim, mlp_hidden_dim = _check.integer("out_dim", out_dim), _check.integer("mlp_hidden_dim", mlp_hidden_dim)
        num_layers = _check.integer("num_layers", num_layers, 2)
        hidden_omega_0 = _check.positive("hidden_omega_0", hidden_omega_0)
        _check_geometry.flag("film_after_pos_embed", film_after_pos_embed)
        if film_generator is not None and (isinstance(film_generator, type) or not callable(film_generator)):
            raise TypeError(f"`film_generator` must be a module to call or None, got {film_generator!r}")
        if film_after_pos_embed and embedding_dim != mlp_hidden_dim:
            raise ValueError(
                f"`film_after_pos_embed=True` needs `embedding_dim` (={embedding_dim}) equal to "
                f"`mlp_hidden_dim` (={mlp_hidden_dim})"
            )
        keys = jax.random.split(key, num_layers + 1)
        embedding = SIRENPositionalEmbeddingND.init(data_dim, embedding_dim, L_cache, omega_0, use_bias, key=keys[0])
        # Wang's initialisation: kernel energy independent of resolution (CKConv, arXiv:2102.02611).
        scale = math.sqrt(1 / math.prod(embedding.L_cache_per_axis))
        widths = [embedding.embedding_dim, *[mlp_hidden_dim] * (num_layers - 1)]
        kernel = cls(
            embedding,
            tuple(
                _uniform_linear(*pair, siren_bound(pair[0]), use_bias, key=layer_key)
                for pair, layer_key in zip(itertools.pairwise(widths), keys[1:-1], strict=True)
            ),
            _uniform_linear(mlp_hidden_dim, out_dim, siren_bound(mlp_hidden_dim) * scale, use_bias, key=keys[-1]),
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
        """Length at which an axis runs from -1 to 1."""
        return self.positional_embedding.L_cache

    @property
    def L_cache_per_axis(self) -> tuple[int, ...]:
        """`L_cache`, one per axis."""
        return self.positional_embedding.L_cache_per_axis

    @property
    def num_film_layers(self) -> int:
        """Number of hidden layers, which is what a generator modulates."""
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
        """What the readout sees: `([B,] mlp_hidden_dim, prod(sizes))` on the product grid of per-axis coordinates."""
        # One matrix (width, points) until the first modulation gives it a batch axis, so the layers before that are
        # computed once and not once per sample.
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

    def evaluate(self, axes: Sequence[Positions], conditioning: Operand | None = None) -> Kernel:
        """The kernel `(1|B, out_dim, *sizes)` on the product grid of float32 per-axis coordinates."""
        kernel = _affine(self.out_linear, self.features(axes, conditioning))
        kernel = kernel.reshape(*kernel.shape[:-1], *(len(positions) for positions in axes))
        return kernel if kernel.ndim == len(axes) + 2 else kernel[None]

    def __call__(self, seq_lens: Sequence[int], conditioning: Operand | None = None) -> tuple[KernelLast, Grid]:
        """`(kernel (1|B, *grid, out_dim), grid (1, *grid, D))` with `2 * L_d - 1` points on axis d.

        Args:
            seq_lens: one length `L_d >= 1` per axis.
            conditioning: `(B, ...)` for the FiLM generator; None gives the plain kernel, batch 1. Ignored without one.
        """
        axes = self.positional_embedding.axes(seq_lens)
        return jnp.moveaxis(self.evaluate(axes, conditioning), 1, -1), coordinate_grid(axes)


def _uniform_linear(fan_in: int, fan_out: int, bound: float, use_bias: bool, *, key: PRNGKeyArray) -> eqx.nn.Linear:
    """A Linear layer with the weight `U(-bound, bound)` and bias zero."""
    key, weight_key = jax.random.split(key)
    linear = eqx.nn.Linear(fan_in, fan_out, use_bias=use_bias, key=key)
    weight = jax.random.uniform(weight_key, (fan_out, fan_in), minval=-bound, maxval=bound)
    bias = None if linear.bias is None else jnp.zeros_like(linear.bias)
    made: eqx.nn.Linear = eqx.tree_at(
        lambda layer: (layer.weight, layer.bias), linear, (weight, bias), is_leaf=lambda leaf: leaf is None
    )
    return made


def _affine(linear: eqx.nn.Linear, h: Points) -> Points:
    """`W h + b` over features-first matrices."""
    assert linear.weight is not None
    # In full: on GPUs and TPUs JAX would round the operands to TensorFloat-32 or bfloat16.
    y = jnp.matmul(linear.weight, h, precision="highest")
    return y if linear.bias is None else y + linear.bias[:, None]


def _modulate(h: Points, modulation: Modulation | None) -> Points:
    if modulation is None:
        return h
    gamma, beta = modulation
    return gamma[..., None] * h + beta[..., None]


def _along(values: Operand, after: int) -> Operand:
    """Values along one axis, to be broadcast over `after` axes behind it."""
    return values.reshape(-1, *[1] * after)
