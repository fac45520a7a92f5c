import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import oracles_jax as oracles
import pytest
from kernels_jax import (
    SIREN,
    AffineModulation,
    BayesianAffineModulation,
    BayesianConcatConditioner,
    BayesianHyperLinear,
    BayesianSIREN,
    ConcatConditioner,
    ConditionedINR,
    FiLM,
    HyperLinear,
)
from numpyro import handlers


@pytest.fixture
def siren(key):
    return SIREN.init(2, 8, 3, depth=4, key=key, first_omega=3.0, hidden_omega=1.0)


def data(rows=(5,), contexts=(5,)):
    return jnp.linspace(-1, 1, 2 * int(np.prod(rows))).reshape(*rows, 2), jnp.ones((*contexts, 4)) * 0.3


@pytest.mark.parametrize(("rows", "contexts"), [((), ()), ((5,), ()), ((5,), (5,))])
def test_feature_mode(siren, key, rows, contexts):
    inr = ConditionedINR.init(siren, conditioner_cls=FiLM, cond_dim=4, key=key)
    assert [film.num_features for film in inr.conditioners] == [8, 8, 8]
    assert not jnp.array_equal(inr.conditioners[0].generator.weight, inr.conditioners[1].generator.weight)
    x, z = data(rows, contexts)
    h = oracles.f64(x)
    for layer, film in zip(siren.layers[:-1], inr.conditioners, strict=True):
        h = np.sin(layer.omega * (h @ oracles.f64(layer.W) + oracles.f64(layer.b)))
        h = oracles.film(film.generator.weight.T, film.generator.bias, h, z)
    y = h @ oracles.f64(siren.layers[-1].W) + oracles.f64(siren.layers[-1].b)
    assert inr(x, z).shape == (*rows, 3)
    np.testing.assert_allclose(inr(x, z), y, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(eqx.filter_jit(inr)(x, z), y, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("conditioner_cls", [ConcatConditioner, AffineModulation, HyperLinear])
def test_any_conditioner_in_one_line(siren, key, conditioner_cls):
    inr = ConditionedINR.init(siren, conditioner_cls=conditioner_cls, cond_dim=4, key=key)
    x, z = data()
    assert inr(x, z).shape == (5, 3)
    np.testing.assert_allclose(jax.vmap(inr)(x, z), inr(x, z), rtol=1e-4, atol=1e-5)
    gradient = eqx.filter_grad(lambda inr: (inr(x, z) ** 2).sum())(inr)
    assert all(jnp.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient))
    assert jax.hessian(lambda x: inr(x, z[0])[0])(x[0]).shape == (2, 2)


def test_a_training_step_reuses_its_buffers(siren, key):
    inr = ConditionedINR.init(siren, conditioner_cls=FiLM, cond_dim=4, key=key)
    params, static = eqx.partition(inr, eqx.is_array)

    def step(params, x, z):
        gradient = jax.grad(lambda params: (eqx.combine(params, static)(x, z) ** 2).mean())(params)
        return jax.tree.map(lambda value, slope: value - 0.01 * slope, params, gradient)

    params = jax.tree.map(jnp.copy, params)
    updated = jax.jit(step, donate_argnums=0)(params, *data())  # an unusable donation warns
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(params))
    assert jax.tree.structure(updated) == jax.tree.structure(params)


def test_options_reach_the_conditioners(siren, key):
    inr = ConditionedINR.init(siren, conditioner_cls=FiLM, cond_dim=4, key=key, gamma_activation="exp")
    assert {film.gamma_activation for film in inr.conditioners} == {"exp"}


def test_input_mode(key):
    mlp = eqx.nn.MLP(2, 3, 8, 2, key=key)
    inr = ConditionedINR.init(mlp, conditioner_cls=FiLM, cond_dim=4, key=key, mode="input")
    (film,) = inr.conditioners
    x, z = data()
    np.testing.assert_allclose(inr(x, z), jax.vmap(mlp)(film(x, z)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(inr(x[0], z[0]), inr(x, z)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("conditioner_cls", [BayesianConcatConditioner, BayesianAffineModulation, BayesianHyperLinear])
@pytest.mark.parametrize("mode", ["feature", "input"])
def test_sites_are_the_union(key, conditioner_cls, mode):
    inner = BayesianSIREN.init(2, 8, 3, depth=3)
    inr = ConditionedINR.init(
        inner, conditioner_cls=conditioner_cls, cond_dim=4, key=key, mode=mode, prior_std=0.1, pyrox_name="inr"
    )
    trace = handlers.trace(handlers.seed(inr, 0)).get_trace(*data())
    layer = "proj" if conditioner_cls is BayesianConcatConditioner else "gen"
    expected = {f"inr.inner.layers.{i}.{site}" for i in range(3) for site in "Wb"}
    expected |= {f"inr.conditioners.{i}.{layer}_{site}" for i in range(2 if mode == "feature" else 1) for site in "Wb"}
    assert set(trace) == expected
    # A vmap over the rows outside means the same.
    values = {name: site["value"] for name, site in trace.items()}
    fixed = handlers.substitute(inr, data=values)
    np.testing.assert_allclose(jax.vmap(fixed)(*data()), fixed(*data()), rtol=1e-3, atol=1e-3)


def test_two_composites_do_not_clash(siren, key):
    from kernels_jax import PyroxModule, pyrox_method

    class Two(PyroxModule):
        a: ConditionedINR
        b: ConditionedINR

        @pyrox_method
        def __call__(self, x, z):
            return self.a(x, z) + self.b(x, z)

    inr = ConditionedINR.init(siren, conditioner_cls=BayesianAffineModulation, cond_dim=4, key=key)
    trace = handlers.trace(handlers.seed(Two(inr, inr), 0)).get_trace(*data())
    assert len(trace) == 12
    assert "Two.b.conditioners.2.gen_b" in trace


def test_layers_of_another_package(key):
    class Dense(eqx.Module):
        weight: jax.Array
        out_features: int = eqx.field(static=True)

        def __call__(self, x):
            return jnp.sin(self.weight @ x)  # one row only

    class Chain(eqx.Module):
        layers: list

    chain = Chain([Dense(jnp.ones((8, 2)), 8), Dense(jnp.ones((3, 8)), 3)])
    inr = ConditionedINR.init(chain, conditioner_cls=FiLM, cond_dim=4, key=key)
    x, z = data()
    np.testing.assert_allclose(inr(x[0], z[0]), inr(x, z)[0], rtol=1e-5, atol=1e-6)


def test_errors(siren, key):
    build = lambda inner, **options: ConditionedINR.init(  # noqa: E731
        inner, **{"conditioner_cls": FiLM, "cond_dim": 4, "key": key, **options}
    )
    with pytest.raises(ValueError, match=r"`mode` must be one of 'feature', 'input'; got 'output'"):
        build(siren, mode="output")
    with pytest.raises(ValueError, match="`cond_dim` must be a positive integer, got 0"):
        build(siren, cond_dim=0)
    with pytest.raises(ValueError, match="`inner` must have `layers`"):
        build(eqx.nn.Linear(2, 3, key=key))
    with pytest.raises(ValueError, match="use mode='input'"):
        build(eqx.nn.MLP(2, 3, 8, 2, key=key))
    with pytest.raises(ValueError, match="at least one layer and a readout, got 1"):
        build(eqx.nn.Sequential([eqx.nn.Linear(2, 3, key=key)]))
    with pytest.raises(ValueError, match=r"`inner.layers\[1\]` \(Lambda\) must have an integer `out_features`"):
        build(eqx.nn.Sequential([eqx.nn.Linear(2, 8, key=key), eqx.nn.Lambda(jnp.tanh), eqx.nn.Linear(8, 1, key=key)]))
    with pytest.raises(ValueError, match=r"`inner` .* must have an integer `in_features`"):
        build(eqx.nn.Lambda(jnp.tanh), mode="input")
    for no_class in ("FiLM", None, eqx.nn.Linear, FiLM.init(8, 4, key=key)):
        with pytest.raises(TypeError, match="`conditioner_cls` must be a class with `init`, such as FiLM, got"):
            build(siren, conditioner_cls=no_class)
    inr = build(siren)
    for x, z in (((5, 3), (4,)), ((5, 2), (3,)), ((5, 2), (4, 4)), ((2,), (5, 4))):
        with pytest.raises(ValueError, match=r"`[xz]` must"):
            inr(jnp.ones(x), jnp.ones(z))
