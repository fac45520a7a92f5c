"""Bayesian linear regression on random Fourier features."""

from typing import Any, Self

import equinox as eqx

from .. import _check
from .._pyrox.module import PyroxModule, pyrox_method
from .._pyrox.priors import draw_normal
from .._types import Coordinates, Features, Matrix, Output, Positive, Vector
from .fourier_features import FourierFeatures


class RandomKitchenSinks(PyroxModule):
    """An approximate Gaussian process: random Fourier features with a linear readout under priors, `y = phi(x) W + b`.

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
    prior_std: Positive = eqx.field(converter=_check.constant, default=1.0)

    @classmethod
    def init(
        cls, feat: FourierFeatures, out_features: int = 1, *, prior_std: Positive = 1.0, pyrox_name: str | None = None
    ) -> Self:
        """A new field.

        Args:
            feat: the features, or any module of coordinates with an integer `out_features`.
            out_features: number of values of the field. Default: 1.
            prior_std: prior standard deviation of every weight and bias. Default: 1.
            pyrox_name: scope of the sites. Default: None, by place in the tree.

        Raises:
            TypeError: `feat` has no integer `out_features`, `out_features` is not an integer, `prior_std` not a number.
            ValueError: `out_features` or `prior_std` is not positive.
        """
        _check.width("feat", feat)
        out_features, prior_std = (
            _check.integer("out_features", out_features),
            _check.positive_scalar("prior_std", prior_std),
        )
        return cls(feat, out_features, prior_std, pyrox_name=pyrox_name)

    @pyrox_method
    def draw(self) -> "FixedKitchenSinks":
        """The field with the values of the sites for weight and bias, and features drawn likewise."""
        weight, bias = self._readout()
        return FixedKitchenSinks(self.feat.draw() if isinstance(self.feat, PyroxModule) else self.feat, weight, bias)

    @pyrox_method
    def __call__(self, x: Coordinates) -> Output:
        """The field at coordinates `x`.

        Args:
            x: `(D,)` or `(N, D)`.

        Returns:
            `(out,)` or `(N, out)`.

        Raises:
            ValueError: `x` has another shape.
        """
        weight, bias = self._readout()
        features: Features = self.feat(x)
        return features @ weight + bias

    def _readout(self) -> tuple[Matrix, Vector]:
        std = _check.number(self.prior_std)
        weight = draw_normal(self, "W", (self.feat.out_features, self.out_features), std)
        return weight, draw_normal(self, "b", (self.out_features,), std)


class FixedKitchenSinks(PyroxModule):
    """`y = phi(x) W + b` with given weight and bias: what `draw` returns.

    Attributes:
        feat: the features phi.
        W: weight `(2n, out)`.
        b: bias `(out,)`.
    """

    feat: Any
    W: Matrix
    b: Vector

    @property
    def out_features(self) -> int:
        """Number of values of the field."""
        return self.b.shape[0]

    def __call__(self, x: Coordinates) -> Output:
        """The field `(out,)` or `(N, out)` at coordinates `x`, `(D,)` or `(N, D)`."""
        y: Output = self.feat(x) @ self.W + self.b
        return y
