"""Conditioning by concatenation, with priors."""

from typing import Self

import equinox as eqx

from .. import _check, _linear
from .._pyrox.module import pyrox_method
from .._types import Context, Features
from .base import AbstractConditioner
from .concat import ConcatConditioner


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
    prior_std: float = eqx.field(static=True, default=1.0)

    @classmethod
    def init(cls, num_features: int, cond_dim: int, *, prior_std: float = 1.0, pyrox_name: str | None = None) -> Self:
        """A new layer.

        Args:
            num_features: width C of the features.
            cond_dim: size K of the context.
            prior_std: standard deviation of every weight and bias under the prior, > 0.
            pyrox_name: scope of its sites.

        Raises:
            TypeError, ValueError: a size that is no int >= 1; `prior_std` that is no positive number.
        """
        num_features, cond_dim = _check.integer("num_features", num_features), _check.integer("cond_dim", cond_dim)
        return cls(num_features, cond_dim, _check.positive("prior_std", prior_std), pyrox_name=pyrox_name)

    @pyrox_method
    def draw(self) -> ConcatConditioner:
        """The `ConcatConditioner` whose weights are the values of the sites."""
        sizes = self.num_features + self.cond_dim, self.num_features
        weights = _linear.draw(self, ("proj_W", "proj_b"), sizes, (self.prior_std, self.prior_std))
        proj = _linear.from_weights(*weights)
        return ConcatConditioner(proj=proj, num_features=self.num_features, cond_dim=self.cond_dim)

    @pyrox_method
    def __call__(self, h: Features, z: Context) -> Features:
        """As `ConcatConditioner`."""
        return self.draw()(h, z)
