"""The one use of a site under `jax.jit` that would be wrong without a sound."""

import traceback
from typing import Any

import jax
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
