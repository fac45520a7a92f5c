"""Networks that users bring to make parameters of a context."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._types import Latent, Output


def run_parameter_net(net: Callable[..., Array], z: Latent, size: int, meaning: str) -> Output:
    """`net(z)` for one context `z (K,)`, or for each of the rows of `z (N, K)`; run once.

    Raises:
        ValueError: an output that is not `(size,)`, which is what `meaning` asks.
    """
    out = jax.vmap(net)(z) if z.ndim == 2 else net(z)
    shape = jnp.shape(out)[z.ndim - 1 :]
    if shape != (size,):
        raise ValueError(
            f"`parameter_net` must give ({size},), which is {meaning}; it gives {shape} for a context {z.shape[-1:]}"
        )
    return out
