"""Plain JAX: the function of one batch item with its generated weights, under `vmap`."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .._suites.comparison import Implementation
from .._suites.conditioners import ConditionerCase


def conditioner(case: ConditionerCase, implementation: Callable[..., Implementation]) -> Implementation:
    """The layer on rows of features `h` and contexts `z`, with the module's weights."""
    one_row = _ONE_ROW[case.layer]

    def apply(module: Any, h: Any, z: Any) -> Any:
        return jax.vmap(lambda h, z: one_row(module, h, z), in_axes=(0, None if case.shared else 0))(h, z)

    return implementation(apply)


def _affine(module: Any, h: Any, z: Any) -> Any:
    beta, raw = jnp.split(module.generator.weight @ z + module.generator.bias, 2)
    return (1 + jnp.tanh(raw)) * h + beta


def _concatenate(module: Any, h: Any, z: Any) -> Any:
    return module.proj.weight @ jnp.concatenate([h, z]) + module.proj.bias


def _hyper_linear(module: Any, h: Any, z: Any) -> Any:
    weights = module.generator.weight @ z + module.generator.bias
    matrix = weights[: module.target_in * module.target_out].reshape(module.target_out, module.target_in)
    return jnp.einsum("oi,i->o", matrix, h) + weights[matrix.size :]


def _hyper_siren(module: Any, h: Any, z: Any) -> Any:
    *hidden, readout = module.layers
    for layer, omega in zip(hidden, module.omegas, strict=True):
        h = jnp.sin(omega * _hyper_linear(layer, h, z))
    return _hyper_linear(readout, h, z)


_ONE_ROW = {
    "AffineModulation": _affine,
    "ConcatConditioner": _concatenate,
    "HyperLinear": _hyper_linear,
    "HyperSIREN": _hyper_siren,
}
