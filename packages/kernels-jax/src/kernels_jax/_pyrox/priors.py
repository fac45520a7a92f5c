"""Priors on the weights of a deterministic layer: sample sites in place of some of its leaves."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array
from numpyro import distributions as dist

from .._paths import dotted
from .._types import Bound
from .module import PyroxModule

L = TypeVar("L")


@dataclass(frozen=True)
class NormalPrior:
    """The prior `Normal(0, std)` on every element of one leaf of a layer.

    Attributes:
        leaf: the path of the leaf, as in a `state_dict`: `generator.weight`.
        std: standard deviation, one for all elements or an array that broadcasts to the leaf.
        site: the site's name within its module.
        transposed: whether the site holds the transpose of the leaf.
    """

    leaf: str
    std: Bound
    site: str
    transposed: bool = False


def linear_priors(leaf: str, std: Any, site: str) -> list[NormalPrior]:
    """Priors of a field `leaf` that is an `eqx.nn.Linear`: the sites `{site}_W` `(in, out)` and `{site}_b` `(out,)`."""
    return [
        NormalPrior(f"{leaf}.weight", std, f"{site}_W", transposed=True),
        NormalPrior(f"{leaf}.bias", std, f"{site}_b"),
    ]


def named_leaves(layer: Any) -> dict[str, Any]:
    """The leaves of `layer` by path."""
    return {dotted(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(layer)[0]}


def draw_leaves(module: PyroxModule, layer: L, priors: Sequence[NormalPrior]) -> L:
    """`layer` with the leaves that have `priors` replaced by the values of sites of `module`, in the order of `priors`.

    Args:
        module: the module whose scope the sites have.
        layer: a layer with weights, or with shapes in their place (`without_weights`).
        priors: at most one prior per leaf.
    """
    leaves = named_leaves(layer)
    for prior in priors:
        shape = leaves[prior.leaf].shape
        value = draw_normal(module, prior.site, shape[::-1] if prior.transposed else shape, prior.std)
        leaves[prior.leaf] = value.T if prior.transposed else value
    result: L = jax.tree.unflatten(jax.tree.structure(layer), leaves.values())
    return result


def draw_normal(module: PyroxModule, site: str, shape: tuple[int, ...], std: Bound) -> Array:
    """The value of the site `site` of `module`, an array with the prior `Normal(0, std)`.

    Raises:
        ValueError: a plate around the call gives the site a batch axis.
    """
    prior = dist.Normal(0.0, std).expand(shape).to_event(len(shape))
    return outside_plates(module, site, module.pyrox_sample(site, prior), shape)


def outside_plates(module: PyroxModule, site: str, value: Any, shape: tuple[int, ...]) -> Array:
    """`value` of the site `site` of `module` as an array, if it has the given shape.

    Raises:
        ValueError: a plate around the call gives the site a batch axis, or the value given for it has another shape.
    """
    value = jnp.asarray(value)
    if value.shape != shape:
        raise ValueError(
            f"the site '{module.pyrox_scope}.{site}' must have shape {shape}, got {value.shape}: inside a "
            "numpyro.plate a layer would have weights for each member; call it outside of the plate"
        )
    array: Array = value
    return array


@functools.cache
def without_weights(construct: Callable[..., L], *sizes: int, **options: Any) -> L:
    """The layer that `construct(*sizes, key=..., **options)` builds, with shapes in place of weights.

    Cached, because tracing a constructor takes longer than all else in a draw.
    """
    layer: L = eqx.filter_eval_shape(construct, *sizes, key=jax.random.PRNGKey(0), **options)
    return layer
