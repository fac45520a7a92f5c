"""Networks that users bring to make parameters of a context."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ._types import Latent, Output


def run_parameter_net(net: Callable[..., Array], z: Latent, size: int, meaning: str) -> Output:
    """`net(z)` for one context `z`, or for each of the rows of `z (N, ...)`; run once.

    Raises:
        ValueError: `z` that is no vector or matrix, or an output that is not `(size,)`, which is what `meaning` asks.
    """
    if jnp.ndim(z) not in (1, 2):
        raise ValueError(f"the context must be (K,), shared by all rows, or (N, K), got {jnp.shape(z)}")
    out = jax.vmap(net)(z) if z.ndim == 2 else net(z)
    if out.shape[z.ndim - 1 :] != (size,):
        raise ValueError(
            f"`parameter_net` must give ({size},), which is {meaning}; it gives {out.shape[z.ndim - 1 :]} "
            f"for a context {z.shape[-1:]}"
        )
    return out
