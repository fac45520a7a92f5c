"""Linear layers: `eqx.nn.Linear` applied to rows, with weights that are given, or drawn from Normal priors."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray
from numpyro import distributions as dist

from ._pyrox.module import PyroxModule
from ._types import Coordinates, Matrix, Output, Vector


def weights(linear: eqx.nn.Linear) -> tuple[Array, Array]:
    """Weight `(out, in)` and bias `(out,)`, both of which the layers of this package have."""
    assert linear.weight is not None
    assert linear.bias is not None
    return linear.weight, linear.bias


def apply(linear: eqx.nn.Linear, x: Coordinates) -> Output:
    """`x W^T + b` for `x` of shape `(in,)` or `(N, in)`; `eqx.nn.Linear` itself takes `(in,)` only."""
    weight, bias = weights(linear)
    return x @ weight.T + bias


def zero_bias(size_in: int, size_out: int, *, key: PRNGKeyArray) -> eqx.nn.Linear:
    """A Linear layer with Equinox's initial weight, `U(+-1/sqrt(in))`, and bias zero."""
    linear = eqx.nn.Linear(size_in, size_out, key=key)
    zero: eqx.nn.Linear = eqx.tree_at(lambda layer: layer.bias, linear, replace_fn=jnp.zeros_like)
    return zero


def uniform(fan_in: int, fan_out: int, bound: float, use_bias: bool, *, key: PRNGKeyArray) -> eqx.nn.Linear:
    """A Linear layer with the weight `U(-bound, bound)` and bias zero."""
    key, weight_key = jax.random.split(key)
    linear = eqx.nn.Linear(fan_in, fan_out, use_bias=use_bias, key=key)
    weight = jax.random.uniform(weight_key, (fan_out, fan_in), minval=-bound, maxval=bound)
    bias = None if linear.bias is None else jnp.zeros_like(linear.bias)
    made: eqx.nn.Linear = eqx.tree_at(
        lambda layer: (layer.weight, layer.bias), linear, (weight, bias), is_leaf=lambda leaf: leaf is None
    )
    return made


def from_weights(weight: Matrix, bias: Vector) -> eqx.nn.Linear:
    """A Linear layer `x W + b` with `W (in, out)` and `b (out,)`."""
    fields = lambda layer: (layer.weight, layer.bias)  # noqa: E731
    linear: eqx.nn.Linear = eqx.tree_at(fields, _without_weights(*weight.shape), (weight.T, bias))
    return linear


@functools.cache
def _without_weights(size_in: int, size_out: int) -> eqx.nn.Linear:
    """A Linear layer of shapes only; tracing its constructor takes longer than all else in a draw."""
    linear: eqx.nn.Linear = eqx.filter_eval_shape(eqx.nn.Linear, size_in, size_out, key=jax.random.PRNGKey(0))
    return linear


def draw(
    module: PyroxModule, sites: tuple[str, str], sizes: tuple[int, int], prior_std: tuple[float, float]
) -> tuple[Array, Array]:
    """`W (in, out)` and `b (out,)` of `module`, each a site with the prior `Normal(0, prior_std)`."""
    weight, bias = (
        draw_array(module, site, shape, std)
        for site, shape, std in zip(sites, (sizes, sizes[1:]), prior_std, strict=True)
    )
    return weight, bias


def draw_array(module: PyroxModule, site: str, shape: tuple[int, ...], prior_std: float) -> Array:
    """An array of `module`, a site with the prior `Normal(0, prior_std)`.

    Raises:
        ValueError: a plate around the call gives the site a batch axis.
    """
    value: Array = module.pyrox_sample(site, dist.Normal(0.0, prior_std).expand(shape).to_event(len(shape)))
    if value.shape != shape:
        raise ValueError(
            f"the site '{module.pyrox_scope}.{site}' must have shape {shape}, got {value.shape}: inside a "
            "numpyro.plate a layer would have weights for each member; call it outside of the plate"
        )
    return value
