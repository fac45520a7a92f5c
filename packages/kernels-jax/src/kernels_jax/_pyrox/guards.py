"""Guards of sites: errors for uses under JAX transformations and handlers that would otherwise be silently wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from numpyro import handlers
from numpyro.primitives import Messenger

from .. import _compat
from . import stack

DRAW = "draw before it and use the drawn layer in it, `drawn = layer.draw()`"


class _Wall(stack.Wall, Messenger):  # type: ignore[misc]
    """Raises if the message of a site passes."""

    def __init__(self, site: str, around: Any) -> None:
        super().__init__(None)
        self.site = site
        self.around = around

    def process_message(self, msg: Any) -> None:
        # A block of everything keeps what comes with a value or a key from the handlers around it.
        given = msg.get("value") is not None or msg.get("kwargs", {}).get("rng_key") is not None
        if _compat.hides_all(self.around) and given:
            return
        raise ValueError(
            f"the site {self.site!r} is requested inside a jax.jit, jax.checkpoint or loop that is inside its handlers "
            "(numpyro.handlers.seed, substitute, trace, a model under inference, ...): JAX would repeat the value of "
            f"the first call in all later ones, and hide the site from the handlers. In a model, {DRAW}: "
            "`jitted(layer.draw(), x)`. Outside of models, put all handlers inside, "
            "`jax.jit(lambda key, x: handlers.seed(model, key)(x))`, and none around. SVI, MCMC and Predictive "
            "compile the whole model themselves"
        )


@contextmanager
def within_recording(site: str) -> Iterator[None]:
    """Raise if the message of `site`, sent in this context, reaches a handler outside a `jax.jit` around the request.

    JAX calls a function once and repeats the operations that it recorded: a handler outside would see the site in the
    first call only. Messages that a handler inside stops, as `handlers.block` does, are fine.

    Raises:
        ValueError: a transformation that records operations stands between a handler and the site.
    """
    outside = stack.outside()
    if not outside:
        yield
        return
    wall = _Wall(site, stack.entries()[outside - 1].handler)
    _compat.ACTIVE.insert(outside, wall)
    try:
        yield
    finally:
        # An error may have removed it already.
        _compat.ACTIVE[:] = [handler for handler in _compat.ACTIVE if handler is not wall]


def check_drawn_once(name: str, around: list[stack.Entry]) -> None:
    """Raise if the handler that gave the site `name` its random key has done so before, in another call.

    Args:
        name: the site.
        around: the handlers around the call.

    Raises:
        ValueError: two calls in one run of the model draw the site.
    """
    for entry in reversed(around):
        if isinstance(entry.handler, handlers.trace):
            return  # A trace is a run of its own, and refuses a second site of the same name itself.
        if isinstance(entry.handler, handlers.seed) and "sample" not in entry.handler.hide_types:
            if name in entry.drawn:
                raise drawn_twice(name)
            entry.drawn.add(name)
            return


def drawn_twice(name: str) -> ValueError:
    """The error for a site that two calls in one run of a model request."""
    return ValueError(
        f"the site {name!r} is drawn twice in one run of the model: two calls would have two different values. Draw "
        "once and call the drawn layer as often as needed, `drawn = layer.draw(); drawn(x1), drawn(x2)`. For several "
        "independent samples seed each, `handlers.seed(model, key)(x)`; for two layers give each its own `pyrox_name`"
    )


def check_body(msg: Any) -> None:
    """Raise if a site is requested in the body of NumPyro's `scan` or `cond`.

    Raises:
        ValueError: it is. Each step would have a value of its own, and a branch another one than calls outside it.
    """
    function = _compat.numpyro_body(msg)
    if function is not None:
        raise ValueError(
            f"the site {msg['name']!r} is requested in the body of numpyro.contrib.control_flow.{function}, where it "
            f"would be drawn anew{' in every step' if function == 'scan' else ''}. For one value, {DRAW}; for a value "
            "of the body's own use numpyro.sample"
        )


def check_place(module: Any, site: str) -> None:
    """Raise if `module` is a part of another one that JAX took apart, so that its place in it may have been any other.

    Raises:
        ValueError: the module does not know its place.
    """
    if not (module.pyrox_name or module.pyrox_place.sure):
        raise ValueError(
            f"the site {site!r} belongs to a part of a module that went through a compiled function by itself or was "
            "taken from a module that did, so JAX may have confused it with an equal part. Call the whole module, or "
            "draw it and take the part from that, `whole.draw().part`; or give the part a `pyrox_name`"
        )


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
