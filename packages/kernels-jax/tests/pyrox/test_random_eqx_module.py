"""What the README says of NumPyro's `random_eqx_module`, and of `draw` beside it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
from kernels_jax import FiLM
from numpyro import distributions as dist
from numpyro import handlers
from numpyro.contrib.control_flow import scan
from numpyro.contrib.module import random_eqx_module
from pyrox_modules import sites

KEY = jax.random.key(0)
FILM = FiLM.init(2, 1, key=KEY)
H, Z = jnp.ones(2), jnp.ones(1)
PRIOR = dist.Normal(0.0, 0.3)


def net():
    return random_eqx_module("net", FILM, PRIOR)


def test_what_it_can_do():
    assert [name for name in sites(lambda: net()(H, Z)) if "$" not in name] == [
        "net/generator.weight",
        "net/generator.bias",
    ]
    mlp = eqx.nn.MLP(2, 1, 4, 1, key=KEY)
    assert len(sites(lambda: random_eqx_module("mlp", mlp, PRIOR)(H))) == 1 + 4
    # What it returns is drawn: it works in a compiled part of a model.
    values = {"net/generator.weight": jnp.ones((4, 1)), "net/generator.bias": jnp.ones(4)}
    compiled = jax.jit(lambda net: net(H, Z))
    np.testing.assert_allclose(
        handlers.substitute(handlers.seed(lambda: compiled(net()), 0), data=values)(), 4 - 0.036, 1e-3
    )


def test_what_it_does_not_refuse():
    first, second = handlers.seed(lambda: (net()(H, Z), net()(H, Z)), 0)()
    assert (first != second).any()
    compiled = jax.jit(lambda: net()(H, Z))
    np.testing.assert_array_equal(handlers.seed(compiled, 0)(), handlers.seed(compiled, 1)())
    misspelled = {"generator.wieght": PRIOR, "generator.bias": PRIOR}
    names = sites(lambda: random_eqx_module("net", FILM, misspelled)(H, Z))
    assert "net/generator.weight" not in names


@pytest.mark.skipif(not hasattr(handlers, "uncondition"), reason="this NumPyro raises an AttributeError in the scan")
def test_new_weights_in_every_step_of_a_scan():
    def loop():
        scan(lambda h, _: (net()(h, Z), numpyro.sample("y", dist.Normal(h.sum(), 1.0))), H, jnp.arange(4))

    assert sites(loop)["net/generator.weight"].shape == (4, 4, 1)
