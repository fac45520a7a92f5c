import jax
import jax.numpy as jnp
import numpy as np
import oracles_jax as oracles
import pytest
from kernels_jax import RandomKitchenSinks, RBFFourierFeatures
from numpyro import handlers


def test_formula_and_sites(key):
    field = RandomKitchenSinks.init(feat=RBFFourierFeatures.init(2, 16), out_features=3, prior_std=0.5, pyrox_name="gp")
    x = jax.random.normal(key, (5, 2))
    trace = handlers.trace(handlers.seed(field, 0)).get_trace(x)
    values = {name: site["value"] for name, site in trace.items()}
    shapes = {"gp.W": (32, 3), "gp.b": (3,), "gp.feat.W": (2, 16), "gp.feat.lengthscale": ()}
    assert {name: value.shape for name, value in values.items()} == shapes
    np.testing.assert_allclose(trace["gp.W"]["fn"].variance, 0.25)
    fixed = handlers.substitute(field, data=values)
    features = oracles.fourier(values["gp.feat.W"], values["gp.feat.lengthscale"], x)
    expected = features @ oracles.f64(values["gp.W"]) + oracles.f64(values["gp.b"])
    np.testing.assert_allclose(fixed(x), expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(fixed(x[0]), expected[0], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(jax.vmap(fixed)(x), expected, rtol=1e-3, atol=1e-4)


def test_errors():
    feat = RBFFourierFeatures.init(2, 16)
    with pytest.raises(ValueError, match="`out_features` must be a positive integer, got 0"):
        RandomKitchenSinks.init(feat=feat, out_features=0)
    with pytest.raises(ValueError, match="`prior_std` must be positive"):
        RandomKitchenSinks.init(feat=feat, prior_std=0.0)
    with pytest.raises(ValueError, match=r"`x` must be \(2,\)"):
        handlers.seed(RandomKitchenSinks.init(feat=feat), 0)(jnp.ones((5, 3)))
