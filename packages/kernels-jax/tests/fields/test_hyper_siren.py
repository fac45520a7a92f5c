import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import oracles_jax as oracles
import pytest
from jax.example_libraries import optimizers
from kernels_jax import HyperSIREN
from kernels_jax._fields.siren_init import half_widths


def identity(z):
    return z


def build(key, **options):
    options = {"depth": 3, "cond_dim": 4, "parameter_net": identity, "key": key, **options}
    return HyperSIREN(2, 8, 3, **options)


@pytest.mark.parametrize(("rows", "contexts"), [((), ()), ((5,), ()), ((5,), (5,))])
def test_formula(key, rows, contexts):
    net = eqx.nn.MLP(3, 4, 8, 1, key=key)
    flow = build(key, parameter_net=net, first_omega=3.0, hidden_omega=2.0)
    x, mu = jax.random.normal(key, (*rows, 2)), jax.random.normal(key, (*contexts, 3))
    z = jax.vmap(net)(mu) if contexts else net(mu)
    h = x
    for layer, omega in zip(flow.layers, (3.0, 2.0, None), strict=True):
        h = oracles.hyper_linear(layer.generator.weight.T, layer.generator.bias, h, z)
        h = h if omega is None else np.sin(omega * h)
    assert flow(x, mu).shape == (*rows, 3)
    np.testing.assert_allclose(flow(x, mu), h, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("contexts", [(), (5,)])
def test_the_parameter_net_runs_once(key, contexts):
    calls = []
    flow = build(key, parameter_net=lambda mu: calls.append(1) or mu)
    flow(jnp.ones((5, 2)), jnp.ones((*contexts, 4)))
    assert calls == [1]


@pytest.mark.parametrize("init_scale", [1.0, 0.1])
@pytest.mark.parametrize("sizes", [(1, 64, 1), (3, 16, 2)])
def test_generated_weights_are_as_spread_as_those_of_a_siren(key, sizes, init_scale):
    flow = HyperSIREN(*sizes, depth=5, cond_dim=8, parameter_net=identity, key=key, init_scale=init_scale)
    z = np.random.default_rng(1).normal(size=(4000, 8))
    types = ["first", "hidden", "hidden", "hidden", "last"]
    for layer, layer_type in zip(flow.layers, types, strict=True):
        generated = z @ oracles.f64(layer.generator.weight).T + oracles.f64(layer.generator.bias)
        size = layer.target_in * layer.target_out
        w_bound, b_bound = half_widths(layer_type, layer.target_in, 30.0, 6.0)
        np.testing.assert_allclose(generated[:, :size].std(), init_scale * w_bound / np.sqrt(3), rtol=0.05)
        np.testing.assert_allclose(generated[:, size:].std(), init_scale * b_bound / np.sqrt(3), rtol=0.05)


def test_activations_keep_their_variance_through_depth_8(key):
    flow = HyperSIREN(2, 64, 1, depth=8, cond_dim=16, parameter_net=identity, key=key, init_scale=1.0)
    x_key, z_key = jax.random.split(key)
    h = jax.random.uniform(x_key, (2048, 2), minval=-1, maxval=1)
    z = jax.random.normal(z_key, (2048, 16))
    for layer, omega in zip(flow.layers, flow.omegas, strict=False):
        h = jnp.sin(omega * layer(h, z))
        np.testing.assert_allclose(h.var(), 0.5, rtol=0.1)
    np.testing.assert_allclose(flow.layers[-1](h, z).var(), 1.0, rtol=0.15)


def test_trains_on_a_parametric_family(key):
    """`sin(2 pi (x - mu))`, as in Neural Implicit Flow's travelling waves, from the default `init_scale`."""
    net_key, flow_key = jax.random.split(key)
    net = eqx.nn.MLP(1, 4, 16, 1, activation=jnp.tanh, key=net_key)
    flow = HyperSIREN(1, 24, 1, depth=3, cond_dim=4, parameter_net=net, key=flow_key, first_omega=10.0)
    grid, shifts = jnp.linspace(-1, 1, 48), jnp.linspace(-0.3, 0.3, 8)
    x, mu = (a.reshape(-1, 1) for a in jnp.meshgrid(grid, shifts))
    y = jnp.sin(2 * jnp.pi * (x - mu))
    init, update, get_params = optimizers.adam(lambda step: 5e-3 * (1 - step / 400))
    params, static = eqx.partition(flow, eqx.is_inexact_array)

    def loss(params):
        return ((eqx.combine(params, static)(x, mu) - y) ** 2).mean()

    @jax.jit
    def fit(params):
        def step(state, index):
            value, gradient = jax.value_and_grad(loss)(get_params(state))
            return update(index, gradient, state), value

        return jax.lax.scan(step, init(params), jnp.arange(400))[1]

    losses = fit(params)
    assert losses[0] > 0.2
    assert losses[-1] < 2e-3


def test_errors(key):
    with pytest.raises(ValueError, match="`depth` must be an integer of at least 2, got 1"):
        build(key, depth=1)
    with pytest.raises(ValueError, match="`cond_dim` must be a positive integer, got 0"):
        build(key, cond_dim=0)
    with pytest.raises(ValueError, match="`init_scale` must be positive"):
        build(key, init_scale=0.0)
    flow = build(key, pyrox_name="flow")
    assert flow.layers[0].pyrox_scope == "flow.layers.0"
    with pytest.raises(
        ValueError, match=r"`parameter_net` must return \(4,\), which is cond_dim \(=4\); it returns \(5,\)"
    ):
        flow(jnp.ones((5, 2)), jnp.ones(5))
    with pytest.raises(ValueError, match=r"`x` must be \(2,\)"):
        flow(jnp.ones((5, 3)), jnp.ones(4))
    with pytest.raises(ValueError, match=r"`mu` must be \(4,\), .* one row for each row of `x`; got .* `mu` \(3, 4\)"):
        flow(jnp.ones((5, 2)), jnp.ones((3, 4)))
    with pytest.raises(ValueError, match=r"`mu` must be .* got \(2, 3, 4\)"):
        flow(jnp.ones((5, 2)), jnp.ones((2, 3, 4)))


def test_init_is_the_constructor(key):
    options = {"depth": 3, "cond_dim": 4, "parameter_net": identity, "key": key}
    assert eqx.tree_equal(HyperSIREN.init(2, 8, 3, **options), HyperSIREN(2, 8, 3, **options))
