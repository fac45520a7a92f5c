"""Fourier features whose frequencies are generated from a context."""

from collections.abc import Callable
from typing import Self

import equinox as eqx
import jax.numpy as jnp
from einops import rearrange
from jaxtyping import Array

from .. import _check
from .._pyrox.module import PyroxModule, pyrox_method
from .._types import Context, Coordinates, Features
from .fourier_features import fourier_features
from .parameter_net import run_parameter_net


class HyperFourierFeatures(PyroxModule):
    """Fourier features whose spectrum depends on the context: `phi = sqrt(1/n) [cos(x W / l + b), sin(x W / l + b)]`.

    `parameter_net(z)`, of size `D * n + n + 1`, holds the frequencies `W (D, n)` row by row, the phases `b (n,)` and
    `log l`. `phi(x; z) . phi(x'; z)` is a stationary kernel for each context, and a nonstationary one if z varies with
    x. After Rahimi and Recht 2007 and Ha et al. 2017, arXiv:1609.09106.

    Attributes:
        parameter_net: maps one context `(K,)` to `(D * n + n + 1,)`.

    Example:
        >>> import equinox as eqx, jax
        >>> net = eqx.nn.MLP(4, 2 * 16 + 16 + 1, 32, 1, key=jax.random.key(0))
        >>> phi = HyperFourierFeatures.init(parameter_net=net, in_features=2, n_features=16, cond_dim=4)
        >>> phi(jax.numpy.ones((10, 2)), jax.numpy.ones(4)).shape
        (10, 32)
    """

    parameter_net: Callable[..., Array]
    in_features: int = eqx.field(static=True)
    n_features: int = eqx.field(static=True)
    cond_dim: int = eqx.field(static=True)

    @classmethod
    def init(
        cls,
        *,
        parameter_net: Callable[..., Array],
        in_features: int,
        n_features: int,
        cond_dim: int,
        pyrox_name: str | None = None,
    ) -> Self:
        """New features; the network is first run by the first call.

        Args:
            parameter_net: a function from one context `(cond_dim,)` to `(D * n + n + 1,)`.
            in_features: number D of coordinates.
            n_features: number n of frequencies.
            cond_dim: size K of the context.
            pyrox_name: scope of the sites. Default: None, by place in the tree.

        Raises:
            TypeError: a size is not an integer, or `parameter_net` is not callable.
            ValueError: a size is not positive.
        """
        _check.function("parameter_net", parameter_net)
        in_features, n_features = _check.integer("in_features", in_features), _check.integer("n_features", n_features)
        return cls(parameter_net, in_features, n_features, _check.integer("cond_dim", cond_dim), pyrox_name=pyrox_name)

    @property
    def out_features(self) -> int:
        """Number of features, 2n."""
        return 2 * self.n_features

    @pyrox_method
    def __call__(self, x: Coordinates, z: Context) -> Features:
        """The features at coordinates `x` for the context `z`.

        Args:
            x: `(D,)` or `(N, D)`.
            z: `(K,)`, shared by all rows, or `(N, K)`.

        Returns:
            `(2n,)` or `(N, 2n)`.

        Raises:
            ValueError: `x` or `z` has another shape, or `parameter_net` returns another size than `D * n + n + 1`.
        """
        _check.rows_in_context(("x", "z"), x, z, (self.in_features, self.cond_dim))
        size = self.in_features * self.n_features
        total = size + self.n_features + 1
        meaning = f"D * n + n + 1 with in_features D = {self.in_features}, n_features n = {self.n_features}"
        parameters = run_parameter_net(self.parameter_net, z, total, meaning)
        frequencies = rearrange(parameters[..., :size], "... (d n) -> ... d n", n=self.n_features)
        phases, lengthscale = parameters[..., size:-1], jnp.exp(parameters[..., -1:])
        return fourier_features(jnp.einsum("...d,...dn->...n", x, frequencies) / lengthscale + phases)
