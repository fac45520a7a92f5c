"""Kernels from random Fourier features: frozen frequencies under a trained network."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from .. import _check
from .._training import FROZEN, Hints
from .._types import Embedding, KernelLast, Number, Operand, Positions, Projection
from .embedding import PositionalEmbeddingND, checked_sizes
from .linear import KernelLinear, PositionLinear
from .mlp import MLPKernelND, readout_scale
from .settings import Settings


class RandomFourierPositionalEmbeddingND(PositionalEmbeddingND):
    """Frozen features `[cos(W p + b), sin(W p + b)]`, `W ~ N(0, (2 * pi * omega_0)^2)`, `b = 0`.

    Rahimi and Recht 2007; Tancik et al. 2020, arXiv:2006.10739. The weights are leaves, saved and loaded as all others,
    and their gradient is zero, so optimisers leave them where they are; `param_groups` keeps weight decay from them,
    too. With a traced `omega_0`, the gradient reaches it through the weights instead.

    Attributes:
        linear: `PositionLinear` from D to `embedding_dim / 2`.

    Example:
        >>> import jax
        >>> layer = RandomFourierPositionalEmbeddingND.init(2, 16, L_cache=8, omega_0=1.0, key=jax.random.key(0))
        >>> layer((8, 8))[0].shape, bool(jax.grad(lambda layer: layer((8, 8))[0].sum())(layer).linear.weight.any())
        ((1, 15, 15, 16), False)
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
            embedding_dim: number of features, even.
            L_cache: length at which an axis runs from -1 to 1, at least 2; one for all axes or one per axis.
            omega_0: positive standard deviation of the frequencies, in cycles per unit of the coordinate; a number, or
                a traced array `()`.
            use_bias: whether the projection has a bias. Default: True.
            key: random key for the weights.

        Raises:
            TypeError: a size is not an integer, `omega_0` is not a number, or `use_bias` is not a bool.
            ValueError: `embedding_dim` is odd, a size or `omega_0` is not positive, or `L_cache` is below 2 or not one
                per axis.
        """
        if _check.integer("embedding_dim", embedding_dim, 2) % 2:
            raise ValueError(f"`embedding_dim` must be even (cosines and sines in pairs), got {embedding_dim}")
        sizes = checked_sizes(data_dim, embedding_dim, L_cache, use_bias)
        omega_0 = _check.number_or_tracer("omega_0", omega_0, _check.positive)

        def normal(key: PRNGKeyArray, shape: tuple[int, ...]) -> Array:
            return 2 * math.pi * omega_0 * jax.random.normal(key, shape)

        return cls._new(
            *sizes,
            L_cache,
            use_bias,
            rows=sizes[1] // 2,
            draw={"weight": normal, "bound": 0.0},
            settings=Settings(omega_0=omega_0),
            key=key,
        )

    @property
    def _optim_hints(self) -> Hints:
        return {"linear": FROZEN}

    def _projection(self) -> PositionLinear:
        return jax.lax.stop_gradient(self.linear) if isinstance(self.omega_0, float) else self.linear

    def _activate(self, projection: Projection) -> Embedding:
        return jnp.concatenate([jnp.cos(projection), jnp.sin(projection)])


class Elementwise(eqx.Module):
    """A function without weights as a layer: a network that contains it is a pytree of arrays only."""

    function: Callable[..., Any] = eqx.field(static=True)

    def __call__(self, x: Operand) -> Operand:
        y: Operand = self.function(x)
        return y


class RandomFourierKernelND(MLPKernelND):
    """A convolution kernel as a multilayer perceptron on random Fourier features of position.

    Weights and biases start as those of `torch.nn.Linear`, `U(+-1/sqrt(in))`, and the weight of the readout is scaled
    by `sqrt(1 / prod(L_cache))`, so that the initial kernel energy does not depend on resolution.

    Attributes:
        positional_embedding: the first layer, frozen, which also holds the geometry.
        kernel_network: `KernelLinear` and nonlinearity in turn, `num_layers - 1` of each.
        out_linear: the readout.

    Example:
        >>> import jax
        >>> kernel = RandomFourierKernelND.init(out_dim=4, data_dim=1, mlp_hidden_dim=8, num_layers=3,
        ...     embedding_dim=8, omega_0=1.0, L_cache=16, use_bias=True, nonlinearity=jax.nn.relu,
        ...     key=jax.random.key(0))
        >>> kernel((16,))[0].shape, len(kernel.kernel_network)
        ((1, 31, 4), 4)
    """

    kernel_network: tuple[Any, ...]
    out_linear: KernelLinear

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
        nonlinearity: Callable[..., Any],
        init_method: Callable[[int], Callable[..., Array]] | None = None,
        *,
        key: PRNGKeyArray,
        pyrox_name: str | None = None,
    ) -> Self:
        """A new kernel.

        Args:
            nonlinearity: a function or module, called with `(points, mlp_hidden_dim)` after each hidden layer. Its
                weights, if it has any, are separate in each layer. For the function of `torch.nn.GELU` define
                `jax.nn.gelu(x, approximate=False)`: JAX approximates by default.
            init_method: `init_method(width)(key, shape)` draws the weight of every linear layer of that output width,
                as the functions of `jax.nn.initializers` do. Default: None, `U(+-1/sqrt(in))`.

        The other arguments are those of `SIRENKernelND.init`, `num_layers` counting the embedding, and
        `RandomFourierPositionalEmbeddingND.init`.

        Raises:
            TypeError: a size is not an integer, `omega_0` is not a number, a flag is not a bool, or `nonlinearity` or
                `init_method` is not callable.
            ValueError: as `RandomFourierPositionalEmbeddingND.init`, or `num_layers` is below 2.
        """
        out_dim, mlp_hidden_dim = _check.integer("out_dim", out_dim), _check.integer("mlp_hidden_dim", mlp_hidden_dim)
        num_layers = _check.integer("num_layers", num_layers, 2)
        if isinstance(nonlinearity, type):
            raise TypeError(f"`nonlinearity` must be a function or a module, got the class {nonlinearity.__name__}")
        _check.function("nonlinearity", nonlinearity)
        if init_method is not None:
            _check.function("init_method", init_method)
        first_key, *keys = jax.random.split(key, num_layers + 1)
        init = RandomFourierPositionalEmbeddingND.init
        first = init(data_dim, embedding_dim, L_cache, omega_0, use_bias, key=first_key)
        layer = nonlinearity if isinstance(nonlinearity, eqx.Module) else Elementwise(nonlinearity)
        widths = itertools.pairwise([first.embedding_dim, *[mlp_hidden_dim] * (num_layers - 1), out_dim])
        *hidden, readout = (
            KernelLinear.init(*pair, bias=use_bias, weight=init_method and init_method(pair[1]), key=layer_key)
            for pair, layer_key in zip(widths, keys, strict=True)
        )
        scaled = readout.weight * readout_scale(first.L_cache_per_axis)
        return cls(
            positional_embedding=first,
            out_dim=out_dim,
            mlp_hidden_dim=mlp_hidden_dim,
            num_layers=num_layers,
            kernel_network=tuple(part for linear in hidden for part in (linear, layer)),
            out_linear=eqx.tree_at(lambda linear: linear.weight, readout, scaled),
            pyrox_name=pyrox_name,
        )

    def evaluate(self, axes: Sequence[Positions], conditioning: Operand | None = None) -> KernelLast:
        """The kernel `(1, *sizes, out_dim)` on the product grid of float32 per-axis coordinates.

        `conditioning` is ignored.
        """
        features = self.positional_embedding.evaluate(axes)
        h = features.reshape(len(features), -1).T
        for layer in self.kernel_network:
            h = layer(h)
        return self.out_linear(h).reshape(1, *(len(positions) for positions in axes), self.out_dim)
