"""Guards for sites: those uses of one under a JAX transformation that would be silently wrong."""

import traceback
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from numpyro.handlers import seed
from numpyro.primitives import _PYRO_STACK, Messenger

# What runs a function to write down its operations, for `jax.jit`, `jax.checkpoint` and loops, by version of JAX. (Not
# `trace_to_jaxpr_nounits`: derivatives write down too, but anew at every call.)
_TRACERS = {"trace_to_jaxpr", "trace_to_jaxpr_dynamic", "trace_to_jaxpr_nocache"}


def check_handlers(name: str) -> None:
    """Raise if a `jax.jit`, `jax.checkpoint` or loop that asks for the site `name` began inside its handlers.

    JAX traces a function once and keeps what it wrote down: later calls would repeat the values of the first, and
    register nothing. NUTS would sample from no posterior at all.
    """
    traced = False
    # Neither JAX nor NumPyro tells which of the two began first; the stack of calls does.
    for frame, _ in traceback.walk_stack(None):
        code = frame.f_code
        if code is Messenger.__call__.__code__:
            outside = traced
            break
        traced = traced or (code.co_name in _TRACERS and str(frame.f_globals.get("__name__")).startswith("jax."))
    else:
        # Handlers in `with` blocks have no call; a key that is a constant of what is compiled tells the same.
        outside = traced and any(map(_has_constant_key, _PYRO_STACK))
    if outside:
        raise ValueError(
            f"the site {name!r} is asked for inside a jax.jit, jax.checkpoint or loop that began inside its handlers "
            "(numpyro.handlers.seed, substitute, ...): JAX would repeat the value of the first call in all later ones. "
            "Put the handlers inside, `jax.jit(lambda key, x: handlers.seed(model, key)(x))`; or, in a model, draw "
            "before the transformation and pass it what was drawn: `jitted(layer.draw(), x)`. Inference compiles the "
            "whole model by itself"
        )


def _has_constant_key(handler: Any) -> bool:
    key = handler.rng_key if isinstance(handler, seed) else None
    return key is not None and not isinstance(key, jax.core.Tracer)


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
