"""Every order of JAX's transformations and NumPyro's handlers gives the right value, or an error that names `draw`."""

import itertools
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernels_jax import BayesianAffineModulation
from numpyro import handlers

FILM = BayesianAffineModulation.init(2, 1, gamma_activation="identity", pyrox_name="film")
H, Z = jnp.arange(1.0, 7.0).reshape(3, 2), jnp.ones(1)
KEY = jax.random.key(3)


def weights(value):
    return {"film.gen_W": jnp.zeros((1, 4)), "film.gen_b": jnp.full(4, value)}


def substituted(value):
    # beta = raw gamma = value
    return value * np.asarray(H) + value


SEEDED = np.asarray(handlers.seed(FILM, KEY)(H, Z))

RECORDING = {
    "jit": jax.jit,
    "filter_jit": eqx.filter_jit,
    "checkpoint": jax.checkpoint,
    "map": lambda f: lambda h: jax.lax.map(f, h),
    "scan": lambda f: lambda h: jax.lax.scan(lambda carry, row: (carry, f(row)), 0.0, h)[1],
    "fori": lambda f: lambda h: jax.lax.fori_loop(0, 2, lambda _, carry: f(h), h),
    "cond": lambda f: lambda h: jax.lax.cond(h[0, 0] > 0, f, lambda h: h, h),
    "vmap of jit of jit": lambda f: jax.vmap(jax.jit(lambda h: jax.jit(f)(h))),
    "jit of vmap": lambda f: jax.jit(jax.vmap(f)),
    "jvp of jit": lambda f: lambda h: jax.jvp(jax.jit(f), (h,), (h,))[0],
    "jit of checkpointed vjp": lambda f: jax.jit(lambda h: jax.vjp(jax.checkpoint(f), h)[0]),
}
IMMEDIATE = {
    "nothing": lambda f: f,
    "vmap": jax.vmap,
    "linearize": lambda f: lambda h: jax.linearize(f, h)[0],
    "vjp": lambda f: lambda h: jax.vjp(f, h)[0],
    "vmap of jvp": lambda f: jax.vmap(lambda row: jax.jvp(f, (row,), (row,))[0]),
}
# Handlers, and what the field is under them (None: it has no value).
HANDLERS = {
    "seed": (lambda f: handlers.seed(f, KEY), SEEDED),
    "substitute": (lambda f: handlers.substitute(f, data=weights(0.5)), substituted(0.5)),
    "condition": (lambda f: handlers.condition(handlers.seed(f, KEY), data=weights(0.25)), substituted(0.25)),
    "trace": (lambda f: lambda *args: trace_result(handlers.seed(f, KEY), *args), SEEDED),
}


def trace_result(f, *args):
    with handlers.trace():
        return f(*args)


def outcome(f):
    """The value, or None if it is refused with an error that names `draw`."""
    try:
        return np.asarray(f(H))
    except ValueError as error:
        if "layer.draw()" not in str(error):
            raise
        return None


def field(h):
    return FILM(h, Z)


@pytest.mark.parametrize("how", [*RECORDING, *IMMEDIATE])
def test_handlers_outside(how):
    transformed = {**RECORDING, **IMMEDIATE}[how](field)
    for (handle, expected), _ in itertools.product(HANDLERS.values(), range(2)):
        value = outcome(handle(transformed))
        assert (value is None) == (how in RECORDING)
        if value is not None:
            np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize("how", [*RECORDING, *IMMEDIATE])
@pytest.mark.parametrize("inner", ["seed", "substitute"])
def test_handlers_inside_and_perhaps_outside(how, inner):
    handle, expected = HANDLERS[inner]
    transformed = {**RECORDING, **IMMEDIATE}[how](handle(field))
    for first in range(2):  # before and after calls without outer handlers
        if first:
            np.testing.assert_allclose(transformed(H), expected, rtol=1e-5)
        for outer, _ in HANDLERS.values():
            value = outcome(outer(transformed))
            assert value is None or how in IMMEDIATE
        for value in (0.125, 0.75):
            result = outcome(handlers.substitute(transformed, data=weights(value)))
            if inner == "seed" and result is not None:
                np.testing.assert_allclose(result, substituted(value), rtol=1e-5)
        np.testing.assert_allclose(transformed(H), expected, rtol=1e-5)


@pytest.mark.parametrize("how", [*RECORDING, *IMMEDIATE])
def test_a_drawn_field_works_in_every_order(how):
    def model(h):
        drawn = FILM.draw()
        return {**RECORDING, **IMMEDIATE}[how](lambda h: drawn(h, Z))(h)

    for handle, expected in (HANDLERS["seed"], HANDLERS["substitute"]):
        np.testing.assert_allclose(handle(model)(H), expected, rtol=1e-5)
    np.testing.assert_allclose(jax.jit(lambda h: handlers.seed(model, KEY)(h))(H), SEEDED, rtol=1e-5)


def test_a_drawn_field_as_argument_of_one_compiled_function():
    apply = jax.jit(lambda drawn, h: drawn(h, Z))
    model = lambda h: apply(FILM.draw(), h)  # noqa: E731
    for _, (handle, expected) in itertools.product(range(2), HANDLERS.values()):
        np.testing.assert_allclose(handle(model)(H), expected, rtol=1e-5)
    assert list(handlers.trace(handlers.seed(model, 0)).get_trace(H)) == ["film.gen_W", "film.gen_b"]


def test_what_a_handler_inside_hides_is_not_refused():
    def hidden(key, h):
        with handlers.block():
            return handlers.seed(FILM, key)(h, Z)

    compiled = jax.jit(hidden)
    for handle, _ in HANDLERS.values():
        np.testing.assert_allclose(handle(partial(compiled, KEY))(H), SEEDED, rtol=1e-5)
    with handlers.block():  # nothing outside sees the site, but a seed would give it a key
        np.testing.assert_allclose(jax.jit(lambda h: handlers.seed(FILM, KEY)(h, Z))(H), SEEDED, rtol=1e-5)
        with pytest.raises(ValueError, match="draw"):
            handlers.seed(handlers.block(jax.jit(field)), 0)(H)


def test_an_error_leaves_no_handler_behind():
    compiled = jax.jit(lambda h: handlers.seed(FILM, KEY)(h, Z))
    for _ in range(2):
        with pytest.raises(ValueError, match="`h` must be"), handlers.seed(rng_seed=0), handlers.trace():
            FILM(jnp.ones(7), Z)
        assert outcome(handlers.seed(jax.jit(field), 0)) is None
        np.testing.assert_allclose(compiled(H), SEEDED, rtol=1e-5)
