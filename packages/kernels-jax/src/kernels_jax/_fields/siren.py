"""Sinusoidal representation networks."""

from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from .. import _check
from .._pyrox.module import PyroxModule
from .._types import Coordinates, Matrix, Output, Vector
from .siren_init import LAYER_TYPES, half_widths, plan


class SirenDense(PyroxModule):
    """A sine layer, `y = sin(omega * (x W + b))`; of type `"last"` without the sine, `y = x W + b`.

    Sitzmann et al. 2020 (SIREN), arXiv:2006.09661, sections 3.1 and 3.2.

    Attributes:
        W: weight `(in, out)`, at first `U(+-a)` with `a = 1/in` (first), `sqrt(c/in)/omega` (hidden), `sqrt(c/in)`
            (last).
        b: bias `(out,)`, at first `U(+-1/sqrt(in))`.

    Example:
        >>> import jax
        >>> layer = SirenDense.init(2, 16, key=jax.random.key(0), layer_type="first")
        >>> layer(jax.numpy.ones((10, 2))).shape
        (10, 16)
    """

    W: Matrix
    b: Vector
    omega: float = eqx.field(static=True, default=30.0)
    layer_type: str = eqx.field(static=True, default="hidden")

    @classmethod
    def init(
        cls,
        in_features: int,
        out_features: int,
        *,
        key: PRNGKeyArray,
        omega: float = 30.0,
        layer_type: str = "hidden",
        c: float = 6.0,
        pyrox_name: str | None = None,
    ) -> Self:
        """A new layer.

        Args:
            in_features: width of the input.
            out_features: width of the output.
            key: random key for the weights.
            omega: frequency scale, > 0.
            layer_type: `"first"`, `"hidden"` or `"last"`.
            c: constant in the half-width of the weight, > 0; 6 keeps the scale of activations with depth.
            pyrox_name: scope of its sites.

        Raises:
            TypeError, ValueError: an argument of the wrong type or out of range.
        """
        shape = _check.integer("in_features", in_features), _check.integer("out_features", out_features)
        omega, c = _check.positive("omega", omega), _check.positive("c", c)
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
        """`x` `(in,)` or `(N, in)`; ValueError for any other shape."""
        _check.rows("x", x, self.in_features)
        y = x @ self.W + self.b
        return y if self.layer_type == "last" else jnp.sin(self.omega * y)


class SIREN(PyroxModule):
    """A multilayer perceptron of coordinates with sines as activations.

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
        first_omega: float = 30.0,
        hidden_omega: float = 30.0,
        c: float = 6.0,
        pyrox_name: str | None = None,
    ) -> Self:
        """A new network.

        Args:
            in_features: number of coordinates.
            hidden_features: width of the sine layers.
            out_features: number of values of the field.
            depth: number of layers, the readout included, >= 2.
            key: random key for the weights.
            first_omega: frequency scale of the first layer, > 0.
            hidden_omega: frequency scale of the others, > 0.
            c: constant of the initial weights, > 0.
            pyrox_name: scope of its sites.

        Raises:
            TypeError, ValueError: an argument of the wrong type or out of range.
        """
        layers = plan(
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
        """`x` `(in,)` or `(N, in)`; ValueError for any other shape."""
        for layer in self.layers:
            x = layer(x)
        return x
