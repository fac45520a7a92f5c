"""SIRENs with generated weights."""

import math
from collections.abc import Callable
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from .. import _check
from .._conditioners.hyper_linear import HyperLinear
from .._pyrox.module import PyroxModule, pyrox_method
from .._types import Coordinates, Generator, Latent, Output, Positive
from .parameter_net import run_parameter_net
from .siren_init import half_widths, layer_arguments


class HyperSIREN(PyroxModule):
    """A SIREN of `x` whose weights are linear in a latent that a network computes from parameters mu.

    `z = parameter_net(mu)`, `h <- sin(omega * (W_i(z) h + b_i(z)))`, and a linear readout, each `(W_i, b_i)` from its
    own `HyperLinear`. At `init_scale=1` and for `z ~ N(0, I)` the generated weights of a layer have the standard
    deviation of that layer's initial weights in a `SIREN`, which preserves the scale of activations with depth. Pan,
    Brunton, Kutz 2023 (Neural Implicit Flow), JMLR 24(41), section 2.2; Sitzmann et al. 2020, arXiv:2006.09661.

    Attributes:
        parameter_net: maps one mu to `(cond_dim,)`.
        layers: one `HyperLinear` per layer, the readout last.

    Args:
        in_features: number of coordinates.
        hidden_features: width of the sine layers.
        out_features: number of values of the field.
        depth: number of layers including the readout, at least 2.
        cond_dim: size K of the latent.
        parameter_net: a function from one mu to a latent `(cond_dim,)`.
        key: random key for the generators.
        first_omega: positive frequency scale of the first layer. Default: 30.
        hidden_omega: positive frequency scale of the other layers. Default: 30.
        c: positive constant of the initial weights, see `SirenDense`. Default: 6.
        init_scale: standard deviation of the generated weights relative to a SIREN's, for latents of root mean square
            1. Default: 0.1, a smooth start, for families that depend smoothly on mu. An untrained `parameter_net`
            returns smaller latents, often of 0.2 to 0.35, and the weights shrink by this factor, too. One over it, 3 to
            5, is better for a few fields with little in common, such as images: see "Scale of generated weights" in the
            documentation.
        pyrox_name: scope of the sites. Default: None, by place in the tree.

    Raises:
        TypeError: a size is not an integer, a scale not a number, or `parameter_net` not callable.
        ValueError: a size or scale is not positive, or `depth` is below 2.

    Example:
        >>> import equinox as eqx, jax
        >>> net_key, key = jax.random.split(jax.random.key(0))
        >>> net = eqx.nn.MLP(3, 8, 32, 2, key=net_key)
        >>> flow = HyperSIREN(2, 16, 1, depth=3, cond_dim=8, parameter_net=net, key=key)
        >>> flow(jax.numpy.ones((10, 2)), jax.numpy.ones(3)).shape
        (10, 1)
    """

    parameter_net: Callable[..., Array]
    layers: tuple[HyperLinear, ...]
    omegas: tuple[Positive, ...]
    cond_dim: int = eqx.field(static=True)

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        out_features: int,
        *,
        depth: int,
        cond_dim: int,
        parameter_net: Callable[..., Array],
        key: PRNGKeyArray,
        first_omega: Positive = 30.0,
        hidden_omega: Positive = 30.0,
        c: Positive = 6.0,
        init_scale: Positive = 0.1,
        pyrox_name: str | None = None,
    ) -> None:
        cond_dim, c = _check.integer("cond_dim", cond_dim), _check.positive_scalar("c", c)
        init_scale = _check.positive_scalar("init_scale", init_scale)
        _check.function("parameter_net", parameter_net)
        layers = layer_arguments(
            in_features, hidden_features, out_features, depth=depth, first_omega=first_omega, hidden_omega=hidden_omega
        )
        self.parameter_net = parameter_net
        self.layers = tuple(
            _calibrated(fan_in, fan_out, cond_dim, half_widths(layer_type, fan_in, omega, c), init_scale, layer_key)
            for (fan_in, fan_out, omega, layer_type), layer_key in zip(
                layers, jax.random.split(key, len(layers)), strict=True
            )
        )
        self.omegas = tuple(_check.constant(omega) for _, _, omega, _ in layers[:-1])
        self.cond_dim = cond_dim
        self.pyrox_name = pyrox_name

    @classmethod
    def init(cls, *sizes: int, **options: Any) -> Self:
        """The constructor, under the name that the other classes use."""
        return cls(*sizes, **options)

    @property
    def in_features(self) -> int:
        """Number of coordinates."""
        return self.layers[0].target_in

    @property
    def out_features(self) -> int:
        """Number of values of the field."""
        return self.layers[-1].target_out

    @pyrox_method
    def __call__(self, x: Coordinates, mu: Latent) -> Output:
        """The field at coordinates `x` for the parameters `mu`.

        Args:
            x: `(in,)` or `(N, in)`.
            mu: `(P,)`, shared by all rows, or `(N, P)`.

        Returns:
            `(out,)` or `(N, out)`.

        Raises:
            ValueError: `x` or `mu` has another shape, or `parameter_net` returns another size than `cond_dim`.
        """
        _check.rows_in_context(("x", "mu"), x, mu, (self.in_features, None))
        z = run_parameter_net(self.parameter_net, mu, self.cond_dim, f"cond_dim (={self.cond_dim})")
        *hidden, readout = self.layers
        for layer, omega in zip(hidden, self.omegas, strict=True):
            x = jnp.sin(_check.number(omega) * layer(x, z))
        return readout(x, z)


def _calibrated(
    target_in: int, target_out: int, cond_dim: int, bounds: tuple[Any, Any], init_scale: Any, key: PRNGKeyArray
) -> HyperLinear:
    """A HyperLinear whose W(z) and b(z) have, for z ~ N(0, I), `init_scale` times the std of `U(-bound, bound)`."""
    layer = HyperLinear.init(target_in, target_out, cond_dim, key=key)
    size = target_out * target_in

    def spread(rows: Generator, bound: Any) -> Generator:
        # The variance over z of generated weight j is |row_j|^2: set its mean over rows exactly, not in expectation.
        return rows * (init_scale * bound / math.sqrt(3)) / jnp.sqrt((rows**2).sum(1).mean())

    def calibrate(weight: Generator) -> Generator:
        return jnp.concatenate([spread(weight[:size], bounds[0]), spread(weight[size:], bounds[1])])

    calibrated: HyperLinear = eqx.tree_at(lambda hyper: hyper.generator.weight, layer, replace_fn=calibrate)
    return calibrated
