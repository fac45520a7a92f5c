"""Guards of sites: errors for uses under a JAX transformation that would otherwise be silently wrong."""

import traceback
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from numpyro.handlers import seed

from .. import _compat


def check_handlers(name: str) -> None:
    """Raise if the site `name` is requested inside a `jax.jit`, `jax.checkpoint` or loop that is inside its handlers.

    JAX traces a function once and repeats the recorded operations: later calls would return the values of the first and
    register no sites. NUTS would sample from a model without that site.

    Raises:
        ValueError: such a transformation stands between the handlers and the site.
    """
    recorded = False
    # Neither JAX nor NumPyro reports which of the two was entered first; the call stack does.
    for frame, _ in traceback.walk_stack(None):
        if _compat.is_handler_call(frame):
            outside = recorded
            break
        recorded = recorded or _compat.is_jax_recording(frame)
    else:
        # Handlers entered by `with` leave no frame; that their key is a constant of the trace shows the same.
        outside = recorded and any(map(_has_constant_key, _compat.active_handlers()))
    if outside:
        raise ValueError(
            f"the site {name!r} is requested inside a jax.jit, jax.checkpoint or loop that is inside its handlers "
            "(numpyro.handlers.seed, substitute, ...): JAX would repeat the value of the first call in all later ones. "
            "Put the handlers inside, `jax.jit(lambda key, x: handlers.seed(model, key)(x))`; or, in a model, draw "
            "before the transformation and pass the drawn layer to it, `jitted(layer.draw(), x)`. SVI, MCMC and "
            "Predictive compile the whole model themselves"
        )


def _has_constant_key(handler: Any) -> bool:
    key = handler.rng_key if isinstance(handler, seed) else None
    return key is not None and not isinstance(key, jax.core.Tracer)


def check_noise(name: str, rng_key: Any, distribution: Any) -> None:
    """Raise if `distribution` varies over the rows of a `jax.vmap` and the random key that it was drawn with does not.

    Every row would get the same noise, while NumPyro, outside the vmap, counts one site. A distribution that is the
    same for all rows is fine (one shared value), and so is one key per row (a whole model under vmap).

    Raises:
        ValueError: the distribution varies, the key does not.
    """
    parameters = [leaf for leaf in jax.tree.leaves(distribution) if isinstance(leaf, jax.core.Tracer)]
    if not parameters:
        return

    # A custom batching rule is the only public place where JAX shows which operands a vmap maps.
    @custom_vmap
    def probe(key: Any, parameters: list[Any]) -> Any:
        return jnp.zeros(())

    @probe.def_vmap
    def rule(axis_size: int, in_batched: Any, key: Any, parameters: list[Any]) -> Any:
        key_varies, parameters_vary = in_batched
        if any(parameters_vary) and not key_varies:
            raise ValueError(
                f"the distribution of the site {name!r} differs between the {axis_size} rows of a jax.vmap, but its "
                "random key does not: all rows would share one noise. For one value per row, request the site in a "
                "numpyro.plate outside the vmap; or vmap the seeded model with one key per row"
            )
        return probe(key, parameters), False

    if jnp.issubdtype(rng_key.dtype, jax.dtypes.prng_key):
        rng_key = jax.random.key_data(rng_key)
    probe(rng_key, [jax.lax.stop_gradient(leaf) for leaf in parameters])
