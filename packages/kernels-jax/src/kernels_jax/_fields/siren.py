"""Sinusoidal representation networks (SIREN), without and with priors."""

import math
from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from .. import _check
from .._pyrox.module import PyroxModule, pyrox_method
from .._pyrox.priors import draw_normal
from .._types import Coordinates, Matrix, Output, Positive, Vector
from .siren_init import LAYER_TYPES, half_widths, layer_arguments


class SirenDense(PyroxModule):
    """A sine layer, `y = sin(omega * (x W + b))`; `layer_type="last"` omits the sine, `y = x W + b`.

    Sitzmann et al. 2020 (SIREN), arXiv:2006.09661, sections 3.1 and 3.2.

    Attributes:
        W: weight `(in, out)`, initially `U(-a, a)` with `a = 1/in` (first), `sqrt(c/in)/omega` (hidden) or
            `sqrt(c/in)` (last).
        b: bias `(out,)`, initially `U(-a, a)` with `a = 1/sqrt(in)`.

    Example:
        >>> import jax
        >>> layer = SirenDense.init(2, 16, key=jax.random.key(0), layer_type="first")
        >>> layer(jax.numpy.ones((10, 2))).shape
        (10, 16)
    """

    W: Matrix
    b: Vector
    omega: Positive = eqx.field(converter=_check.constant, default=30.0)
    layer_type: str = eqx.field(static=True, default="hidden")

    @classmethod
    def init(
        cls,
        in_features: int,
        out_features: int,
        *,
        key: PRNGKeyArray,
        omega: Positive = 30.0,
        layer_type: str = "hidden",
        c: Positive = 6.0,
        pyrox_name: str | None = None,
    ) -> Self:
        """A new layer.

        Args:
            in_features: width of the input.
            out_features: width of the output.
            key: random key for the weights.
            omega: positive frequency scale. Default: 30.
            layer_type: `"first"`, `"hidden"` (default) or `"last"`.
            c: positive constant in the half-width of the weight. Default: 6, which preserves the scale of activations
                with depth.
            pyrox_name: scope of the sites. Default: None, by place in the tree.

        Raises:
            TypeError: a size is not an integer, `omega` or `c` not a number.
            ValueError: a size, `omega` or `c` is not positive, or `layer_type` is unknown.
        """
        shape = _check.integer("in_features", in_features), _check.integer("out_features", out_features)
        omega, c = _check.positive_scalar("omega", omega), _check.positive_scalar("c", c)
        _check.choice("layer_type", layer_type, LAYER_TYPES)
        w_key, b_key = jax.random.split(key)
        w_bound, b_bound = half_widths(layer_type, shape[0], omega, c)
        weight = jax.random.uniform(w_key, shape, minval=-w_bound, maxval=w_bound)
        bias = jax.random.uniform(b_key, shape[1:], minval=-b_bound, maxval=b_bound)
        return cls(weight, bias, omega, layer_type, pyrox_name=pyrox_name)

    @property
    def in_features(self) -> int:
        """Width of the input."""
        return self.W.shape[0]

    @property
    def out_features(self) -> int:
        """Width of the output."""
        return self.W.shape[1]

    def __call__(self, x: Coordinates) -> Output:
        """`sin(omega * (x W + b))`, or `x W + b` for the layer type `"last"`.

        Args:
            x: `(in,)` or `(N, in)`.

        Returns:
            `(out,)` or `(N, out)`.

        Raises:
            ValueError: `x` has another shape.
        """
        _check.rows("x", x, self.in_features)
        y = x @ self.W + self.b
        return y if self.layer_type == "last" else jnp.sin(_check.number(self.omega) * y)


class SIREN(PyroxModule):
    """A multilayer perceptron of coordinates with sine activations.

    `depth - 1` sine layers and a linear readout. Sitzmann et al. 2020, arXiv:2006.09661.

    Attributes:
        layers: the `SirenDense` layers, the readout last.

    Example:
        >>> import jax
        >>> field = SIREN.init(2, 16, 1, depth=3, key=jax.random.key(0))
        >>> field(jax.numpy.ones((10, 2))).shape, jax.hessian(lambda x: field(x)[0])(jax.numpy.ones(2)).shape
        ((10, 1), (2, 2))
    """

    layers: tuple[SirenDense, ...]

    @classmethod
    def init(
        cls,
        in_features: int,
        hidden_features: int,
        out_features: int,
        *,
        depth: int,
        key: PRNGKeyArray,
        first_omega: Positive = 30.0,
        hidden_omega: Positive = 30.0,
        c: Positive = 6.0,
        pyrox_name: str | None = None,
    ) -> Self:
        """A new network.

        Args:
            in_features: number of coordinates.
            hidden_features: width of the sine layers.
            out_features: number of values of the field.
            depth: number of layers including the readout, at least 2.
            key: random key for the weights.
            first_omega: positive frequency scale of the first layer. Default: 30.
            hidden_omega: positive frequency scale of the other layers. Default: 30.
            c: positive constant of the initial weights, see `SirenDense`. Default: 6.
            pyrox_name: scope of the sites. Default: None, by place in the tree.

        Raises:
            TypeError: a size is not an integer, a frequency scale or `c` not a number.
            ValueError: a size, frequency scale or `c` is not positive, or `depth` is below 2.
        """
        layers = layer_arguments(
            in_features, hidden_features, out_features, depth=depth, first_omega=first_omega, hidden_omega=hidden_omega
        )
        return cls(
            tuple(
                SirenDense.init(fan_in, fan_out, key=layer_key, omega=omega, layer_type=layer_type, c=c)
                for (fan_in, fan_out, omega, layer_type), layer_key in zip(
                    layers, jax.random.split(key, len(layers)), strict=True
                )
            ),
            pyrox_name=pyrox_name,
        )

    @property
    def in_features(self) -> int:
        """Number of coordinates."""
        return self.layers[0].in_features

    @property
    def out_features(self) -> int:
        """Number of values of the field."""
        return self.layers[-1].out_features

    def __call__(self, x: Coordinates) -> Output:
        """The field at the coordinates `x`.

        Args:
            x: `(in,)` or `(N, in)`.

        Returns:
            `(out,)` or `(N, out)`.

        Raises:
            ValueError: `x` has another shape.
        """
        for layer in self.layers:
            x = layer(x)
        return x


class BayesianSirenDense(PyroxModule):
    """`SirenDense` with Normal priors whose standard deviation is `prior_std` times that of its initial weights.

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
    omega: Positive = eqx.field(converter=_check.constant, default=30.0)
    layer_type: str = eqx.field(static=True, default="hidden")
    c: Positive = eqx.field(converter=_check.constant, default=6.0)
    prior_std: Positive = eqx.field(converter=_check.constant, default=1.0)

    @pyrox_method
    def draw(self) -> SirenDense:
        """The `SirenDense` whose weights are the values of the sites."""
        omega, c = _check.number(self.omega), _check.number(self.c)
        bounds = half_widths(self.layer_type, self.in_features, omega, c)
        # The standard deviation of U(-a, a) is a / sqrt(3).
        w_std, b_std = (_check.number(self.prior_std) * bound / math.sqrt(3) for bound in bounds)
        weight = draw_normal(self, "W", (self.in_features, self.out_features), w_std)
        bias = draw_normal(self, "b", (self.out_features,), b_std)
        return SirenDense(weight, bias, self.omega, self.layer_type)

    @pyrox_method
    def __call__(self, x: Coordinates) -> Output:
        """As `SirenDense`, with weights drawn or substituted for the call."""
        return self.draw()(x)


class BayesianSIREN(PyroxModule):
    """`SIREN` with Normal priors of the scale of its initial weights: prior samples resemble untrained SIRENs.

    The standard deviation is `prior_std * a / sqrt(3)` for the weights, where a is the half-width of the layer's
    initial weights, and `prior_std / sqrt(3 * in)` for the biases. Sites: `{scope}.layers.{i}.W`,
    `{scope}.layers.{i}.b`.

    Attributes:
        layers: one layer with priors for each layer of the `SIREN`, the readout last.

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
        first_omega: Positive = 30.0,
        hidden_omega: Positive = 30.0,
        c: Positive = 6.0,
        prior_std: Positive = 1.0,
        pyrox_name: str | None = None,
    ) -> Self:
        """A new network.

        Args:
            in_features: number of coordinates.
            hidden_features: width of the sine layers.
            out_features: number of values of the field.
            depth: number of layers including the readout, at least 2.
            first_omega: positive frequency scale of the first layer. Default: 30.
            hidden_omega: positive frequency scale of the other layers. Default: 30.
            c: positive constant of the initial weights, see `SirenDense`. Default: 6.
            prior_std: positive factor on the standard deviation of the initial weights. Default: 1.
            pyrox_name: scope of the sites. Default: None, by place in the tree.

        Raises:
            TypeError: a size is not an integer, a frequency scale, `c` or `prior_std` not a number.
            ValueError: a size, frequency scale, `c` or `prior_std` is not positive, or `depth` is below 2.
        """
        c, prior_std = _check.positive_scalar("c", c), _check.positive_scalar("prior_std", prior_std)
        layers = layer_arguments(
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
        """As `SIREN`, with weights drawn or substituted for the call."""
        return self.draw()(x)
