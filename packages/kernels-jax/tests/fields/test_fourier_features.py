import jax
import jax.numpy as jnp
import numpy as np
import oracles_jax as oracles
import pytest
from kernels_jax import LaplaceFourierFeatures, MaternFourierFeatures, RBFFourierFeatures
from numpyro import distributions as dist
from numpyro import handlers

KERNELS = [
    (RBFFourierFeatures, {}, oracles.rbf),
    (LaplaceFourierFeatures, {}, oracles.laplace),
    *[(MaternFourierFeatures, {"nu": nu}, lambda r, nu=nu: oracles.matern(r, nu)) for nu in (0.5, 1.5, 2.5)],
]


@pytest.mark.parametrize(("cls", "options", "kernel"), KERNELS)
def test_features_estimate_the_kernel(cls, options, kernel, key):
    phi = cls.init(2, 20_000, pyrox_name="phi", **options)
    x = jax.random.normal(key, (12, 2))
    model = handlers.seed(handlers.substitute(phi, data={"phi.lengthscale": 1.7}), 0)
    features = model(x)
    assert features.shape == (12, 40_000) == (12, phi.out_features)
    difference = (x[:, None] - x[None]) / 1.7
    # Monte Carlo: a mean of 20000 cosines.
    np.testing.assert_allclose(features @ features.T, kernel(oracles.f64(difference)), atol=0.025)


@pytest.mark.parametrize(("cls", "options", "kernel"), KERNELS)
def test_sites(cls, options, kernel, key):
    phi = cls.init(2, 16, lengthscale=0.5, pyrox_name="phi", **options)
    x = jax.random.normal(key, (5, 2))
    trace = handlers.trace(handlers.seed(phi, 0)).get_trace(x)
    values = {name: site["value"] for name, site in trace.items()}
    assert {name: value.shape for name, value in values.items()} == {"phi.W": (2, 16), "phi.lengthscale": ()}
    assert trace["phi.W"]["fn"].event_shape == (2, 16)
    assert np.isfinite(trace["phi.W"]["fn"].log_prob(values["phi.W"]))
    np.testing.assert_allclose(trace["phi.lengthscale"]["fn"].icdf(0.5), 0.5, rtol=1e-5)
    fixed = handlers.substitute(phi, data=values)
    expected = oracles.fourier(values["phi.W"], values["phi.lengthscale"], x)
    np.testing.assert_allclose(fixed(x), expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(fixed(x[0]), expected[0], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(jax.vmap(fixed)(x), expected, rtol=1e-3, atol=1e-4)


def test_density_of_matern_frequencies(key):
    phi = MaternFourierFeatures.init(3, 7, nu=1.5)
    prior = phi.frequencies()
    w = prior.sample(key, (4,))
    assert w.shape == (4, 3, 7)
    student = dist.MultivariateStudentT(3.0, jnp.zeros(3), jnp.eye(3))
    expected = jnp.stack([student.log_prob(each.T).sum() for each in w])
    np.testing.assert_allclose(prior.log_prob(w), expected, rtol=1e-5)
    assert jax.tree.structure(prior) == jax.tree.structure(phi.frequencies())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_features": 0}, "`in_features` must be a positive integer, got 0"),
        ({"n_features": 0}, "`n_features` must be a positive integer, got 0"),
        ({"lengthscale": 0.0}, "`lengthscale` must be positive"),
    ],
)
@pytest.mark.parametrize("cls", [RBFFourierFeatures, LaplaceFourierFeatures, MaternFourierFeatures])
def test_errors(cls, options, message):
    with pytest.raises(ValueError, match=message):
        cls.init(**{"in_features": 2, "n_features": 16, **options})


def test_more_errors():
    with pytest.raises(ValueError, match="`nu` must be positive"):
        MaternFourierFeatures.init(2, 16, nu=0.0)
    with pytest.raises(ValueError, match=r"`x` must be \(2,\) or \(N, 2\), got \(5, 3\)"):
        handlers.seed(RBFFourierFeatures.init(2, 16), 0)(jnp.ones((5, 3)))
