"""Sinusoidal representation networks, with priors."""

import math
from typing import Self

import equinox as eqx

from .. import _check, _linear
from .._pyrox.module import PyroxModule, pyrox_method
from .._types import Coordinates, Output
from .siren import SIREN, SirenDense
from .siren_init import half_widths, plan


class BayesianSirenDense(PyroxModule):
    """`SirenDense` with Normal priors of the same standard deviation as its initial weights, times `prior_std`.

    Sites: `{scope}.W` `(in, out)`, `{scope}.b` `(out,)`.

    Example:
        >>> import jax.numpy as jnp
        >>> from numpyro import handlers
        >>> layer = BayesianSirenDense(2, 16, layer_type="first", pyrox_name="sine")
        >>> sorted(handlers.trace(handlers.seed(layer, 0)).get_trace(jnp.ones((10, 2))))
        ['sine.W', 'sine.b']
    """

    in_features: int = eqx.field(static=True)
    out_features: int = eqx.field(static=True)
    omega: float = eqx.field(static=True, default=30.0)
    layer_type: str = eqx.field(static=True, default="hidden")
    c: float = eqx.field(static=True, default=6.0)
    prior_std: float = eqx.field(static=True, default=1.0)

    @pyrox_method
    def draw(self) -> SirenDense:
        """The `SirenDense` whose weights are the values of the sites."""
        w_bound, b_bound = half_widths(self.layer_type, self.in_features, self.omega, self.c)
        # A uniform distribution on +-a has the standard deviation a / sqrt(3).
        prior_std = self.prior_std * w_bound / math.sqrt(3), self.prior_std * b_bound / math.sqrt(3)
        weights = _linear.draw(self, ("W", "b"), (self.in_features, self.out_features), prior_std)
        return SirenDense(*weights, self.omega, self.layer_type)

    @pyrox_method
    def __call__(self, x: Coordinates) -> Output:
        """As `SirenDense`."""
        return self.draw()(x)


class BayesianSIREN(PyroxModule):
    """`SIREN` with Normal priors of the scale of its initial weights, so that prior fields look like untrained SIRENs.

    The standard deviation is `prior_std * a / sqrt(3)` for the weights, where a is the half-width of the layer's
    initial weights, and `prior_std / sqrt(3 * in)` for the biases. Sites: `{scope}.layers.{i}.W`,
    `{scope}.layers.{i}.b`.

    Attributes:
        layers: one layer with priors for each of the `SIREN`, the readout last.

    Example:
        >>> import jax.numpy as jnp
        >>> from numpyro import handlers
        >>> field = BayesianSIREN.init(2, 16, 1, depth=2, pyrox_name="field")
        >>> list(handlers.trace(handlers.seed(field, 0)).get_trace(jnp.ones((10, 2))))
        ['field.layers.0.W', 'field.layers.0.b', 'field.layers.1.W', 'field.layers.1.b']
    """

    layers: tuple[BayesianSirenDense, ...]

    @classmethod
    def init(
        cls,
        in_features: int,
        hidden_features: int,
        out_features: int,
        *,
        depth: int,
        first_omega: float = 30.0,
        hidden_omega: float = 30.0,
        c: float = 6.0,
        prior_std: float = 1.0,
        pyrox_name: str | None = None,
    ) -> Self:
        """A new network.

        Args:
            in_features: number of coordinates.
            hidden_features: width of the sine layers.
            out_features: number of values of the field.
            depth: number of layers, the readout included, >= 2.
            first_omega: frequency scale of the first layer, > 0.
            hidden_omega: frequency scale of the others, > 0.
            c: constant of the initial weights, > 0.
            prior_std: factor on the standard deviation of the initial weights, > 0.
            pyrox_name: scope of its sites.

        Raises:
            TypeError, ValueError: an argument of the wrong type or out of range.
        """
        c, prior_std = _check.positive("c", c), _check.positive("prior_std", prior_std)
        layers = plan(
            in_features, hidden_features, out_features, depth=depth, first_omega=first_omega, hidden_omega=hidden_omega
        )
        return cls(tuple(BayesianSirenDense(*layer, c, prior_std) for layer in layers), pyrox_name=pyrox_name)

    @property
    def in_features(self) -> int:
        """Number of coordinates."""
        return self.layers[0].in_features

    @property
    def out_features(self) -> int:
        """Number of values of the field."""
        return self.layers[-1].out_features

    @pyrox_method
    def draw(self) -> SIREN:
        """The `SIREN` whose weights are the values of the sites."""
        return SIREN(tuple(layer.draw() for layer in self.layers))

    @pyrox_method
    def __call__(self, x: Coordinates) -> Output:
        """As `SIREN`."""
        return self.draw()(x)
