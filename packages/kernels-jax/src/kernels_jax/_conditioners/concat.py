"""Conditioning by concatenation, without and with priors."""

from typing import Self

import equinox as eqx
from jaxtyping import PRNGKeyArray

from .. import _check, _linear
from .._pyrox.module import pyrox_method
from .._pyrox.priors import draw_leaves, linear_priors, without_weights
from .._types import Context, Features, Positive
from .base import AbstractConditioner, check_rows


class ConcatConditioner(AbstractConditioner):
    """Conditioning by concatenation: one linear layer over features and context, `y = Linear([h, z])`.

    The context shifts the features linearly: the cheapest conditioner, and the least expressive.
    Park et al. 2019 (DeepSDF), arXiv:1901.05103, section 4.1.

    Attributes:
        proj: `eqx.nn.Linear` from C + K to C.

    Example:
        >>> import jax
        >>> layer = ConcatConditioner.init(16, 4, key=jax.random.key(0))
        >>> layer(jax.numpy.ones((10, 16)), jax.numpy.ones(4)).shape
        (10, 16)
    """

    proj: eqx.nn.Linear
    num_features: int = eqx.field(static=True)
    cond_dim: int = eqx.field(static=True)

    @classmethod
    def init(cls, num_features: int, cond_dim: int, *, key: PRNGKeyArray, pyrox_name: str | None = None) -> Self:
        """A new layer with Equinox's initial weights.

        Args:
            num_features: width C of the features.
            cond_dim: size K of the context.
            key: random key for the weights.
            pyrox_name: scope of the sites. Default: None, by place in the tree.

        Returns:
            The layer.

        Raises:
            TypeError: a size is not an integer.
            ValueError: a size is not positive.
        """
        num_features, cond_dim = _check.integer("num_features", num_features), _check.integer("cond_dim", cond_dim)
        proj = eqx.nn.Linear(num_features + cond_dim, num_features, key=key)
        return cls(proj=proj, num_features=num_features, cond_dim=cond_dim, pyrox_name=pyrox_name)

    def __call__(self, h: Features, z: Context) -> Features:
        """The conditioned features.

        Args:
            h: features `(C,)` or `(N, C)`.
            z: context `(K,)`, shared by all rows, or `(N, K)`.

        Returns:
            An array of the shape of `h`.

        Raises:
            ValueError: `h` or `z` has another shape.
        """
        check_rows(h, z, self.num_features, self.cond_dim)
        # Two products instead of a concatenation: a shared context is projected once, and nothing is copied.
        weight, bias = _linear.weights(self.proj)
        return h @ weight[:, : self.num_features].T + z @ weight[:, self.num_features :].T + bias


class BayesianConcatConditioner(AbstractConditioner):
    """`ConcatConditioner` with the prior `Normal(0, prior_std)` on the weights of its layer.

    Sites: `{scope}.proj_W` `(C + K, C)`, `{scope}.proj_b` `(C,)`.

    Example:
        >>> import jax.numpy as jnp
        >>> from numpyro import handlers
        >>> layer = BayesianConcatConditioner.init(16, 4, pyrox_name="mix")
        >>> trace = handlers.trace(handlers.seed(layer, 0)).get_trace(jnp.ones((10, 16)), jnp.ones(4))
        >>> {name: site["value"].shape for name, site in trace.items()}
        {'mix.proj_W': (20, 16), 'mix.proj_b': (16,)}
    """

    num_features: int = eqx.field(static=True)
    cond_dim: int = eqx.field(static=True)
    prior_std: Positive = eqx.field(converter=_check.constant, default=1.0)

    @classmethod
    def init(
        cls, num_features: int, cond_dim: int, *, prior_std: Positive = 1.0, pyrox_name: str | None = None
    ) -> Self:
        """A new layer.

        Args:
            num_features: width C of the features.
            cond_dim: size K of the context.
            prior_std: prior standard deviation of every weight and bias. Default: 1.
            pyrox_name: scope of the sites. Default: None, by place in the tree.

        Returns:
            The layer.

        Raises:
            TypeError: a size is not an integer, or `prior_std` is not a number.
            ValueError: a size or `prior_std` is not positive.
        """
        num_features, cond_dim = _check.integer("num_features", num_features), _check.integer("cond_dim", cond_dim)
        return cls(num_features, cond_dim, _check.positive_scalar("prior_std", prior_std), pyrox_name=pyrox_name)

    @pyrox_method
    def draw(self) -> ConcatConditioner:
        """The `ConcatConditioner` whose weights are the values of the sites."""
        layer = without_weights(ConcatConditioner.init, self.num_features, self.cond_dim)
        return draw_leaves(self, layer, linear_priors("proj", _check.number(self.prior_std), "proj"))

    @pyrox_method
    def __call__(self, h: Features, z: Context) -> Features:
        """As `ConcatConditioner`, with weights drawn or substituted for the call."""
        return self.draw()(h, z)
