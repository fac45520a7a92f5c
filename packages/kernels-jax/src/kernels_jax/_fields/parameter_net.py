"""User-supplied networks that map a context to parameters."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._types import Latent, Output


def run_parameter_net(net: Callable[..., Array], z: Latent, size: int, meaning: str) -> Output:
    """`net(z)` for one context `z (K,)`, or for each row of `z (N, K)`; the network is traced once.

    Raises:
        ValueError: the output for one context is not `(size,)`; `meaning` explains that size in the message.
    """
    out = jax.vmap(net)(z) if z.ndim == 2 else net(z)
    shape = jnp.shape(out)[z.ndim - 1 :]
    if shape != (size,):
        raise ValueError(
            f"`parameter_net` must return ({size},), which is {meaning}; it returns {shape} for a context "
            f"{z.shape[-1:]}"
        )
    return out
