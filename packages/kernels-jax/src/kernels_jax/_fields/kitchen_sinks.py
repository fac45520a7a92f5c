"""Bayesian linear regression on random Fourier features."""

from typing import Self

import equinox as eqx

from .. import _check, _linear
from .._pyrox.module import PyroxModule, pyrox_method
from .._types import Coordinates, Features, Output
from .fourier_features import FourierFeatures


class RandomKitchenSinks(PyroxModule):
    """A linear head with Normal priors on random Fourier features, `y = phi(x) W + b`: an approximate Gaussian process.

    Sites: `{scope}.W` `(2n, out)`, `{scope}.b` `(out,)`, both `Normal(0, prior_std)`, and those of the features under
    `{scope}.feat`. Rahimi and Recht 2008, Weighted Sums of Random Kitchen Sinks, algorithm 1.

    Attributes:
        feat: the features.

    Example:
        >>> import jax.numpy as jnp
        >>> from numpyro import handlers
        >>> from kernels_jax import RBFFourierFeatures
        >>> field = RandomKitchenSinks.init(feat=RBFFourierFeatures.init(1, 50), out_features=1, pyrox_name="gp")
        >>> list(handlers.trace(handlers.seed(field, 0)).get_trace(jnp.ones((10, 1))))
        ['gp.W', 'gp.b', 'gp.feat.W', 'gp.feat.lengthscale']
    """

    feat: FourierFeatures
    out_features: int = eqx.field(static=True)
    prior_std: float = eqx.field(static=True, default=1.0)

    @classmethod
    def init(
        cls, feat: FourierFeatures, out_features: int = 1, *, prior_std: float = 1.0, pyrox_name: str | None = None
    ) -> Self:
        """A new field.

        Args:
            feat: the features, or anything of coordinates with their `out_features`.
            out_features: number of values of the field.
            prior_std: standard deviation of weights and bias under the prior, > 0.
            pyrox_name: scope of its sites.

        Raises:
            TypeError, ValueError: an argument of the wrong type or out of range.
        """
        _check.width("feat", feat)
        out_features, prior_std = _check.integer("out_features", out_features), _check.positive("prior_std", prior_std)
        return cls(feat, out_features, prior_std, pyrox_name=pyrox_name)

    @pyrox_method
    def __call__(self, x: Coordinates) -> Output:
        """The field at `x` `(D,)` or `(N, D)`; ValueError for any other shape."""
        sizes = self.feat.out_features, self.out_features
        weight, bias = _linear.draw(self, ("W", "b"), sizes, (self.prior_std, self.prior_std))
        features: Features = self.feat(x)
        return features @ weight + bias
