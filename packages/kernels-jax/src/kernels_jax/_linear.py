"""Linear layers: construction with given initial weights, and application of `eqx.nn.Linear` to rows."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from ._types import Coordinates, Output


def weights(linear: eqx.nn.Linear) -> tuple[Array, Array]:
    """Weight `(out, in)` and bias `(out,)` of a layer that has both."""
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
