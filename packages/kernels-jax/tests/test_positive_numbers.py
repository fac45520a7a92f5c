"""Positive numbers that are arrays or values of a model: hierarchical priors, and scales that are learned."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
from kernels_jax import (
    SIREN,
    BayesianAffineModulation,
    BayesianConcatConditioner,
    BayesianHyperLinear,
    BayesianSIREN,
    BayesianSIRENKernelND,
    ConditionedINR,
    HyperLinear,
    HyperSIREN,
    MaternFourierFeatures,
    RandomKitchenSinks,
    RBFFourierFeatures,
    SirenDense,
    SIRENKernelND,
)
from numpyro import distributions as dist
from numpyro import handlers
from numpyro.infer.util import log_density
from pyrox_modules import sites

KEY = jax.random.key(0)
X, Z = jnp.linspace(-1, 1, 6).reshape(3, 2), jnp.ones(2)
KERNEL = SIRENKernelND.init(
    out_dim=2,
    data_dim=1,
    mlp_hidden_dim=4,
    num_layers=2,
    embedding_dim=4,
    omega_0=10.0,
    L_cache=4,
    use_bias=True,
    key=KEY,
)
SIREN_2 = SIREN.init(2, 3, 1, depth=2, key=KEY)
PRIORS = {
    "concat": (lambda std: BayesianConcatConditioner.init(2, 2, prior_std=std), (X, Z)),
    "film": (lambda std: BayesianAffineModulation.init(2, 2, prior_std=std), (X, Z)),
    "hyper": (lambda std: BayesianHyperLinear.init(2, 3, 2, prior_std=std), (X, Z)),
    "siren": (lambda std: BayesianSIREN.init(2, 3, 1, depth=2, prior_std=std, c=6 * std / std), (X,)),
    "inr": (
        lambda std: ConditionedINR.init(
            SIREN_2, conditioner_cls=BayesianAffineModulation, cond_dim=2, key=KEY, prior_std=std
        ),
        (X, Z),
    ),
    "sinks": (lambda std: RandomKitchenSinks.init(RBFFourierFeatures.init(2, 4), prior_std=std), (X,)),
    "kernel": (lambda std: BayesianSIRENKernelND.init(KERNEL, prior_std=std), ((4,),)),
}
SCALES = {
    "dense": (lambda s: SirenDense.init(2, 3, key=KEY, omega=s, c=s), (X,), 0.7),
    "siren": (lambda s: SIREN.init(2, 3, 1, depth=3, key=KEY, first_omega=s, hidden_omega=s, c=s), (X,), 3.0),
    "bayesian siren": (lambda s: BayesianSIREN.init(2, 3, 1, depth=3, first_omega=s, hidden_omega=s, c=s), (X,), 3.0),
    "hyper": (lambda s: HyperLinear.init(2, 3, 2, key=KEY, init_scale=s), (X, Z), 0.3),
    "hyper siren": (
        lambda s: HyperSIREN(
            2,
            3,
            1,
            depth=3,
            cond_dim=2,
            parameter_net=jnp.sin,
            key=KEY,
            first_omega=s,
            hidden_omega=s,
            c=s,
            init_scale=s,
        ),
        (X, Z),
        0.5,
    ),
    "rbf": (lambda s: RBFFourierFeatures.init(2, 4, lengthscale=s), (X,), 0.5),
    "matern": (lambda s: MaternFourierFeatures.init(2, 4, nu=s, lengthscale=s), (X,), 1.5),
}


@pytest.mark.parametrize("name", PRIORS)
def test_a_prior_on_the_scale_of_the_priors(name):
    build, args = PRIORS[name]

    def model(*args):
        tau = numpyro.sample("tau", dist.HalfNormal(1.0))
        return build(tau)(*args)

    values = sites(model, *args)
    fixed = sites(build(float(values["tau"])), *args)
    assert list(values) == ["tau", *fixed]
    density, _ = log_density(model, args, {}, dict(values))
    weights = {name: value for name, value in values.items() if name != "tau"}
    expected, _ = log_density(build(float(values["tau"])), args, {}, weights)
    expected += dist.HalfNormal(1.0).log_prob(values["tau"])
    np.testing.assert_allclose(density, expected, rtol=1e-5)
    slope = jax.jit(jax.grad(lambda tau: log_density(model, args, {}, {**values, "tau": tau})[0]))(values["tau"])
    assert jnp.isfinite(slope)
    assert slope != 0


def outputs(module, *args):
    return handlers.seed(module, 0)(*args)


@pytest.mark.parametrize("name", SCALES)
def test_scales_as_arrays_and_tracers(name):
    build, args, scale = SCALES[name]
    expected = outputs(build(scale), *args)
    np.testing.assert_allclose(outputs(build(jnp.asarray(scale)), *args), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(outputs(build(np.float32(scale)), *args), expected, rtol=1e-4, atol=1e-5)
    traced = jax.jit(lambda scale: outputs(build(scale), *args))(scale)
    np.testing.assert_allclose(traced, expected, rtol=1e-4, atol=1e-5)


def test_numbers_are_structure_and_arrays_are_leaves():
    fixed, learned = (SirenDense.init(2, 3, key=KEY, omega=omega) for omega in (3.0, jnp.asarray(3.0)))
    assert [leaf.shape for leaf in jax.tree.leaves(fixed)] == [(2, 3), (3,)]
    assert [leaf.shape for leaf in jax.tree.leaves(learned)] == [(2, 3), (3,), ()]
    assert fixed.omega == learned.omega == 3.0
    assert isinstance(fixed.omega, float)
    gradient = eqx.filter_grad(lambda layer: layer(X).sum())(learned)
    y = X @ learned.W + learned.b
    np.testing.assert_allclose(gradient.omega, (y * jnp.cos(3 * y)).sum(), rtol=1e-4)
    assert (jax.tree.map(jnp.negative, fixed)).omega == 3.0
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), fixed)
    assert half(X.astype(jnp.bfloat16)).dtype == (half.omega * X.astype(jnp.bfloat16)).dtype == jnp.bfloat16
    assert jax.tree.structure(fixed) != jax.tree.structure(SirenDense.init(2, 3, key=KEY, omega=4.0))
    drawn = handlers.seed(BayesianSIREN.init(2, 3, 1, depth=3, hidden_omega=jnp.asarray(2.0)).draw, 0)()
    assert [float(layer.omega) for layer in drawn.layers] == [30.0, 2.0, 2.0]


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
@pytest.mark.parametrize("kind", [float, jnp.asarray, np.asarray])
def test_values_that_are_known_are_checked(value, kind):
    with pytest.raises(ValueError, match="`omega` must be positive and finite"):
        SirenDense.init(2, 3, key=KEY, omega=kind(value))
    with pytest.raises(ValueError, match="`prior_std` must be positive and finite"):
        BayesianAffineModulation.init(2, 3, prior_std=kind(value))


@pytest.mark.parametrize("value", [jnp.ones(2), np.ones((1, 1)), jnp.asarray(True), jnp.asarray(1j)])
def test_other_arrays_are_errors(value):
    with pytest.raises(ValueError, match=r"`omega` must be a positive number or a scalar array, got an array \("):
        SirenDense.init(2, 3, key=KEY, omega=value)
