"""The one use of a site under `jax.vmap` that would be wrong without a sound."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap


def check_noise(name: str, rng_key: Any, distribution: Any) -> None:
    """Raise if `distribution` varies over the rows of a `jax.vmap` that the key it was drawn with does not vary over.

    Each row would get the same noise, while NumPyro, outside of the vmap, counts one site. A distribution that is the
    same for all rows is fine (one shared value), and so is one key per row (a whole model under vmap).
    """
    parameters = [leaf for leaf in jax.tree.leaves(distribution) if isinstance(leaf, jax.core.Tracer)]
    if not parameters:
        return

    # The batching rule is the one public place where JAX tells what a vmap maps.
    @custom_vmap
    def probe(key: Any, parameters: list[Any]) -> Any:
        return jnp.zeros(())

    @probe.def_vmap
    def rule(axis_size: int, in_batched: Any, key: Any, parameters: list[Any]) -> Any:
        key_varies, parameters_vary = in_batched
        if any(parameters_vary) and not key_varies:
            raise ValueError(
                f"the distribution of the site {name!r} differs between the {axis_size} rows of a jax.vmap, but its "
                "random key does not: all rows would share one noise. For one value per row ask for the site in a "
                "numpyro.plate outside of the vmap; or vmap the seeded model with one key per row"
            )
        return probe(key, parameters), False

    if jnp.issubdtype(rng_key.dtype, jax.dtypes.prng_key):
        rng_key = jax.random.key_data(rng_key)
    probe(rng_key, [jax.lax.stop_gradient(leaf) for leaf in parameters])
