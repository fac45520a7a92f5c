"""Inference on FiLM regressions whose posterior is known in closed form."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import oracles_jax as oracles
import pytest
from kernels_jax import SIREN, BayesianAffineModulation, ConditionedINR
from numpyro import distributions as dist
from numpyro import handlers
from numpyro.infer import MCMC, NUTS, SVI, Predictive, Trace_ELBO
from numpyro.infer.autoguide import AutoLowRankMultivariateNormal, AutoNormal

NOISE, PRIOR_STD, N = 0.3, 0.8, 60
# With gamma = raw gamma the regression is linear in the weights, so the posterior is Normal.
FILM = BayesianAffineModulation.init(1, 2, gamma_activation="identity", prior_std=PRIOR_STD, pyrox_name="film")


def model(h, z, y=None):
    numpyro.sample("y", dist.Normal(FILM(h, z)[:, 0], NOISE), obs=y)


def model_by_row(h, z, y=None):
    numpyro.sample("y", dist.Normal(jax.vmap(FILM)(h, z)[:, 0], NOISE), obs=y)


compiled = jax.jit(lambda film, h, z: jax.lax.map(lambda row: film(*row), (h, z)))


def model_drawn(h, z, y=None):
    """The layer drawn in the model and used in a compiled part of it, as it is and once more."""
    film = FILM.draw()
    numpyro.sample("y", dist.Normal((compiled(film, h, z) + film(h, z))[:, 0] / 2, NOISE), obs=y)


def design(h, z):
    """Columns that multiply `gen_W (2, 2)`, row by row, then `gen_b (2,)`; beta first, then gamma."""
    h, z = oracles.f64(h, z)
    one = np.ones_like(h)
    return np.concatenate([z[:, :1], z[:, :1] * h, z[:, 1:], z[:, 1:] * h, one, h], axis=1)


def flat(samples):
    """Weights side by side, one row per sample."""
    weight, bias = oracles.f64(samples["film.gen_W"], samples["film.gen_b"])
    return np.concatenate([weight.reshape(*weight.shape[:-2], 4), bias], axis=-1)


@pytest.fixture(scope="module")
def data():
    h_key, z_key, w_key, y_key = jax.random.split(jax.random.key(0), 4)
    h, z = jax.random.normal(h_key, (N, 1)), jax.random.normal(z_key, (N, 2))
    y = design(h, z) @ oracles.f64(jax.random.normal(w_key, (6,))) + NOISE * oracles.f64(jax.random.normal(y_key, (N,)))
    return h, z, jnp.asarray(y, dtype="float32")


@pytest.fixture(scope="module")
def exact(data):
    h, z, y = data
    return oracles.normal_posterior(design(h, z), y, PRIOR_STD, NOISE)


@pytest.fixture(scope="module")
def mcmc(data):
    mcmc = MCMC(NUTS(model), num_warmup=300, num_samples=1000, progress_bar=False)
    mcmc.run(jax.random.key(1), *data)
    return mcmc


def test_nuts(mcmc, exact):
    mean, covariance = exact
    samples = flat(mcmc.get_samples())
    assert set(mcmc.get_samples()) == {"film.gen_W", "film.gen_b"}
    std = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(samples.mean(0), mean, atol=5 * std.max() / np.sqrt(300))
    np.testing.assert_allclose(np.cov(samples.T), covariance, atol=0.25 * (std**2).max())


def test_nuts_through_a_compiled_part(data, exact):
    mean, covariance = exact
    mcmc = MCMC(NUTS(model_drawn), num_warmup=300, num_samples=1000, progress_bar=False)
    mcmc.run(jax.random.key(8), *data)
    samples = flat(mcmc.get_samples())
    std = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(samples.mean(0), mean, atol=5 * std.max() / np.sqrt(300))
    np.testing.assert_allclose(np.cov(samples.T), covariance, atol=0.25 * (std**2).max())


@pytest.mark.parametrize(
    ("rows", "guide_cls"),
    [
        (model, AutoNormal),
        (model_by_row, AutoNormal),
        (model_drawn, AutoNormal),
        (model, AutoLowRankMultivariateNormal),
    ],
)
def test_svi(rows, guide_cls, data, exact):
    mean, covariance = exact
    guide = guide_cls(rows)
    optimiser = numpyro.optim.Adam(lambda step: 0.1 * 0.998**step)
    fit = SVI(rows, guide, optimiser, Trace_ELBO(num_particles=4)).run(
        jax.random.key(2), 2000, *data, progress_bar=False
    )
    std = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(flat(guide.median(fit.params)), mean, atol=0.3 * std.min())
    samples = flat(guide.sample_posterior(jax.random.key(3), fit.params, sample_shape=(4000,)))
    # The best factorised Normal has the conditional spread; the low-rank one nearly the marginal.
    spread = 1 / np.sqrt(np.diag(np.linalg.inv(covariance))) if guide_cls is AutoNormal else std
    np.testing.assert_allclose(samples.std(0), spread, rtol=0.12)


def test_predictive(mcmc, data, exact):
    h, z, _ = data
    samples = mcmc.get_samples()
    key = jax.random.PRNGKey(4)  # `parallel` on the oldest JAX takes no other kind
    predicted = Predictive(model, samples)(key, h, z)["y"]
    assert predicted.shape == (1000, N)
    mean, covariance = exact
    rows = design(h, z)
    std = np.sqrt(((rows @ covariance) * rows).sum(1) + NOISE**2)
    np.testing.assert_allclose(predicted.mean(0), rows @ mean, atol=0.2 * std.max())
    np.testing.assert_allclose(predicted.std(0), std, rtol=0.15)
    by_row = Predictive(model_by_row, samples, parallel=True)(key, h, z)["y"]
    np.testing.assert_allclose(by_row, predicted, rtol=1e-3, atol=1e-4)
    batched = {name: value.reshape(10, 100, *value.shape[1:]) for name, value in samples.items()}
    assert Predictive(model, batched, batch_ndims=2)(key, h, z)["y"].shape == (10, 100, N)


def test_posterior_saved_as_arrays(mcmc, data, tmp_path):
    samples = mcmc.get_samples()
    np.savez(tmp_path / "posterior.npz", **samples)
    with np.load(tmp_path / "posterior.npz") as loaded:
        loaded = {name: jnp.asarray(loaded[name]) for name in loaded.files}
    assert set(loaded) == set(samples)
    predict = lambda samples: Predictive(model, samples)(jax.random.key(4), *data[:2])["y"]  # noqa: E731
    np.testing.assert_array_equal(predict(loaded), predict(samples))


def draw_all(samples):
    """One FiLM layer whose weights carry a leading axis of samples."""
    return jax.vmap(lambda sample: handlers.substitute(FILM.draw, data=sample)())(samples)


def test_posterior_saved_as_a_module(mcmc, data, tmp_path):
    h, z, _ = data
    films = draw_all(mcmc.get_samples())
    eqx.tree_serialise_leaves(tmp_path / "films.eqx", films)
    like = eqx.filter_eval_shape(draw_all, mcmc.get_samples())
    loaded = eqx.tree_deserialise_leaves(tmp_path / "films.eqx", like)
    assert eqx.tree_equal(loaded, films)
    fields = jax.vmap(lambda film: film(h, z))(loaded)
    expected = flat(mcmc.get_samples()) @ design(h, z).T
    np.testing.assert_allclose(fields[..., 0], expected, rtol=1e-3, atol=1e-4)


def test_arviz(mcmc):
    arviz = pytest.importorskip("arviz", exc_type=ImportError)
    data = arviz.from_numpyro(mcmc)
    assert data.posterior["film.gen_W"].shape == (1, 1000, 2, 2)
    assert data.posterior["film.gen_b"].shape == (1, 1000, 2)
    assert "film.gen_W[1, 0]" in arviz.summary(data, kind="stats").index


def test_a_conditioned_field_with_priors_on_its_films():
    field_key, film_key = jax.random.split(jax.random.key(5))
    siren = SIREN.init(1, 8, 1, depth=3, key=field_key, first_omega=4.0, hidden_omega=1.0)
    inr = ConditionedINR.init(
        siren, conditioner_cls=BayesianAffineModulation, cond_dim=2, key=film_key, prior_std=0.3, pyrox_name="inr"
    )

    def field(x, z, y=None):
        numpyro.sample("y", dist.Normal(inr(x, z)[:, 0], 0.05), obs=y)

    x, z = jnp.linspace(-1, 1, 40)[:, None], jnp.tile(jnp.eye(2), (20, 1))
    truth = Predictive(field, num_samples=1)(jax.random.key(6), x, z)["y"][0]
    guide = AutoNormal(field, init_scale=0.01)
    svi = SVI(field, guide, numpyro.optim.Adam(0.05), Trace_ELBO())
    fit = svi.run(jax.random.key(7), 800, x, z, truth, progress_bar=False)
    median = guide.median(fit.params)
    assert set(median) == {f"inr.conditioners.{i}.gen_{site}" for i in range(2) for site in "Wb"}
    residual = handlers.substitute(inr, data=median)(x, z)[:, 0] - truth
    misfit = inr.inner(x)[:, 0] - truth  # without its films
    assert jnp.sqrt((residual**2).mean()) < 0.16 < 0.5 < jnp.sqrt((misfit**2).mean())
