"""Sites under JAX transformations."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
from kernels_jax import PyroxModule, pyrox_method
from numpyro import distributions as dist
from numpyro import handlers
from numpyro.infer import MCMC, NUTS, Predictive
from pyrox_modules import Around, Pair, Shifted, Slope, X, sites


@pytest.mark.parametrize("model", [Slope(), Around(Slope()), Around(Slope(), ask_first=True)])
@pytest.mark.parametrize("over_rows", [False, True])
def test_a_site_under_vmap_is_one_shared_value(model, over_rows):
    call = jax.vmap(model) if over_rows and isinstance(model, Slope) else model
    trace = handlers.trace(handlers.seed(call, 0)).get_trace(X)
    ((name, site),) = trace.items()
    assert site["value"].shape == ()
    assert site["fn"].log_prob(site["value"]).shape == ()
    values = {name: site["value"]}
    np.testing.assert_allclose(handlers.substitute(call, data=values)(X), site["value"] * X, rtol=1e-6)


def test_shared_noise_under_vmap_is_an_error():
    message = r"'Shifted.w' differs between the 3 rows of a jax.vmap, but its random key does not"
    with pytest.raises(ValueError, match=message):
        handlers.seed(jax.vmap(Shifted()), 0)(X)
    with pytest.raises(ValueError, match=message):
        handlers.seed(jax.vmap(jax.vmap(Shifted())), 0)(jnp.ones((2, 3)))
    with pytest.raises(ValueError, match=message):
        jax.jit(lambda x: handlers.seed(jax.vmap(Shifted()), 0)(x))(X)
    with pytest.raises(ValueError, match=r"'Around.inner.w' differs"):
        handlers.seed(Around(Shifted()), 0)(X)


def test_one_key_per_row_is_one_value_per_row():
    keys = jax.random.split(jax.random.key(0), 3)
    each = jax.vmap(lambda key, x: handlers.seed(Shifted(), key)(x))(keys, X)
    assert len(set((each - X).tolist())) == 3
    expected = jnp.stack([handlers.seed(Shifted(), key)(x) for key, x in zip(keys, X, strict=True)])
    np.testing.assert_allclose(each, expected, rtol=1e-6)
    np.testing.assert_allclose(handlers.seed(Shifted(), 0)(X).shape, (3,))


def test_a_value_given_under_vmap_is_no_draw():
    given = handlers.substitute(handlers.seed(Shifted(), 0), data={"Shifted.w": 1.0})
    assert jax.vmap(given)(X).tolist() == [1.0, 1.0, 1.0]


COMPILED = r"'.*\.w' is requested inside a jax.jit, jax.checkpoint or loop that is inside its handlers"


@pytest.mark.parametrize("how", ["jit", "checkpoint", "scan"])
@pytest.mark.parametrize("inner", [Slope, Shifted])
@pytest.mark.parametrize("ask_first", [False, True])
def test_a_site_inside_a_compiled_part_of_a_call_is_an_error(how, inner, ask_first):
    model = Around(inner(), how, ask_first)
    for seed in range(2):  # nothing is kept of the first
        with pytest.raises(ValueError, match=COMPILED):
            handlers.trace(handlers.seed(model, seed)).get_trace(X)


@pytest.mark.parametrize("compiled", [jax.jit(lambda x: Slope()(x)), eqx.filter_jit(Slope()), jax.checkpoint(Slope())])
@pytest.mark.parametrize(
    "handle",
    [
        lambda model: handlers.seed(model, 0),
        lambda model: handlers.substitute(model, data={"Slope.w": 2.0}),
        lambda model: handlers.condition(handlers.trace(model), data={"Slope.w": 2.0}),
    ],
)
def test_handlers_around_a_compiled_function_are_an_error(compiled, handle):
    for _ in range(2):
        with pytest.raises(ValueError, match=COMPILED):
            handle(compiled)(X)
    with handlers.seed(rng_seed=0), pytest.raises(ValueError, match=COMPILED):
        compiled(X)


def test_inference_on_a_model_with_a_compiled_part_is_an_error():
    compiled = jax.jit(lambda x: Slope()(x))

    def model(x, y=None):
        numpyro.sample("y", dist.Normal(compiled(x), 0.1), obs=y)

    key = jax.random.key(0)
    with pytest.raises(ValueError, match=COMPILED):
        MCMC(NUTS(model), num_warmup=5, num_samples=5, progress_bar=False).run(key, X, X)
    with pytest.raises(ValueError, match=COMPILED):
        Predictive(model, {"Slope.w": X})(key, X)


def test_what_was_drawn_goes_into_a_compiled_part():
    class Layer(PyroxModule):
        @pyrox_method
        def draw(self):
            return self.pyrox_sample("w", dist.Normal(0.0, 1.0))

    apply = jax.jit(jax.checkpoint(lambda w, x: w * x))
    model = lambda x: apply(Layer().draw(), x)  # noqa: E731
    for seed in range(2):
        np.testing.assert_allclose(handlers.seed(model, seed)(X), handlers.seed(Slope(pyrox_name="Layer"), seed)(X))


def test_handlers_inside_a_compiled_function():
    slope, key = Slope(), jax.random.key(1)
    expected = handlers.seed(slope, key)(X)

    def in_a_block(key, x):
        with handlers.seed(rng_seed=key):
            return slope(x)

    def with_the_key_from_outside(_, x):
        with handlers.seed(rng_seed=jax.random.key(1)):
            first = slope(x)
        with handlers.seed(rng_seed=key):
            return (first + slope(x)) / 2

    for compiled in (jax.jit(lambda key, x: handlers.seed(slope, key)(x)), jax.jit(in_a_block)):
        np.testing.assert_allclose(compiled(key, X), expected, rtol=1e-6)
        assert (compiled(jax.random.key(2), X) != expected).all()
    np.testing.assert_allclose(jax.jit(with_the_key_from_outside)(key, X), expected, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(handlers.seed(slope, key))(X), expected, rtol=1e-6)
    given = handlers.substitute(slope, data={"Slope.w": 2.0})
    np.testing.assert_allclose(jax.jit(given)(X), 2 * X)
    np.testing.assert_allclose(jax.lax.map(given, X), 2 * X)


def test_derivatives_between_handlers_and_sites():
    loss = lambda x: (Slope()(x) ** 2).sum()  # noqa: E731
    w = sites(Slope(), X)["Slope.w"]
    for derivative in (jax.grad, jax.jacfwd, lambda f: jax.vmap(jax.grad(f))):
        traced = sites(lambda x, derivative=derivative: numpyro.deterministic("d", derivative(loss)(x)), X)
        np.testing.assert_allclose(traced["d"], 2 * w**2 * X, rtol=1e-6)
        assert not isinstance(traced["Slope.w"], jax.core.Tracer)
    hessian = handlers.seed(lambda x: jax.hessian(loss)(x), 0)(X)
    np.testing.assert_allclose(hessian, 2 * w**2 * np.eye(3), rtol=1e-6)


def test_a_deterministic_site_of_rows_within_a_call_is_an_error():
    class Double(PyroxModule):
        @pyrox_method
        def __call__(self, x):
            return self.pyrox_sample("d", 2 * x)

    assert sites(Double(), X)["Double.d"].tolist() == [2.0, 4.0, 6.0]
    with pytest.raises(ValueError, match="it has one per row"):
        sites(Around(Double()), X)


@pytest.mark.parametrize("parallel", [False, True])
def test_predictive(parallel):
    def model(x):
        scale = numpyro.sample("scale", dist.HalfNormal(1.0))
        return numpyro.deterministic("y", Shifted(pyrox_name="s")(scale) * x)

    drawn = Predictive(model, num_samples=6, parallel=parallel)(jax.random.PRNGKey(0), X)
    assert {name: value.shape for name, value in drawn.items()} == {"scale": (6,), "s.w": (6,), "y": (6, 3)}
    assert len(set((drawn["s.w"] - drawn["scale"]).tolist())) == 6


@pytest.mark.parametrize(("chain_method", "num_chains"), [("sequential", 1), ("vectorized", 2)])
def test_nuts_with_a_hierarchical_prior(chain_method, num_chains):
    def model(x, y):
        scale = numpyro.sample("scale", dist.HalfNormal(1.0))
        weight = PriorOf(pyrox_name="p")(scale)
        numpyro.sample("y", dist.Normal(jax.vmap(lambda row: weight * row)(x), 0.1), obs=y)

    class PriorOf(PyroxModule):
        @pyrox_method
        def __call__(self, scale):
            w = self.pyrox_sample("w", dist.Normal(0.0, scale))
            return self.pyrox_sample("twice", 2 * w) / 2

    options = {"num_chains": num_chains, "chain_method": chain_method, "progress_bar": False}
    mcmc = MCMC(NUTS(model), num_warmup=100, num_samples=100, **options)
    mcmc.run(jax.random.key(0), X, 1.5 * X)
    samples = mcmc.get_samples()
    assert set(samples) == {"scale", "p.w", "p.twice"}
    np.testing.assert_allclose(samples["p.w"].mean(), 1.5, atol=0.05)
    np.testing.assert_allclose(samples["p.twice"], 2 * samples["p.w"], rtol=1e-5)


def test_modules_go_through_jit_and_are_hashable_without_arrays():
    assert jax.jit(Pair(Slope(), Slope()).a.__call__) is not None
    assert hash(Slope()) == hash(Slope())
    assert Slope(pyrox_name="a") != Slope(pyrox_name="b")
    placed = jax.tree.map(lambda leaf: leaf, Pair(Slope(), Slope()))
    keyed = jax.jit(lambda key, x: handlers.seed(placed, key)(x))
    np.testing.assert_allclose(keyed(jax.random.key(0), X), handlers.seed(placed, jax.random.key(0))(X), rtol=1e-6)
