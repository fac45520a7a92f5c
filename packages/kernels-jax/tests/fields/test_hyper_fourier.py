import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import oracles_jax as oracles
import pytest
from kernels_jax import ConditionedRFFNet, HyperFourierFeatures


@pytest.fixture
def phi(key):
    net = eqx.nn.MLP(4, 2 * 6 + 6 + 1, 8, 1, key=key)
    return HyperFourierFeatures.init(parameter_net=net, in_features=2, n_features=6, cond_dim=4)


def row(phi, x, z):
    parameters = oracles.f64(phi.parameter_net(jnp.asarray(z, dtype="float32")))
    frequencies, phases, lengthscale = parameters[:12].reshape(2, 6), parameters[12:18], np.exp(parameters[18])
    return oracles.fourier(frequencies, lengthscale, x, phases)


@pytest.mark.parametrize(("rows", "contexts"), [((), ()), ((5,), ()), ((5,), (5,))])
def test_formula(phi, key, rows, contexts):
    x, z = jax.random.normal(key, (*rows, 2)), jax.random.normal(key, (*contexts, 4))
    y = phi(x, z)
    assert y.shape == (*rows, phi.out_features) == (*rows, 12)
    np.testing.assert_allclose(y, oracles.by_row(lambda x, z: row(phi, x, z), x, z), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose((y**2).sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(eqx.filter_jit(phi)(x, z), y, rtol=1e-4, atol=1e-5)


def test_readout(phi, key):
    field = ConditionedRFFNet.init(feat=phi, out_features=3, key=key, pyrox_name="field")
    x, z = jax.random.normal(key, (5, 2)), jax.random.normal(key, (5, 4))
    expected = oracles.f64(phi(x, z)) @ oracles.f64(field.readout.weight).T + oracles.f64(field.readout.bias)
    np.testing.assert_allclose(field(x, z), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(jax.vmap(field)(x, z), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(field(x, z[0])[0], expected[0], rtol=1e-4, atol=1e-5)
    assert jax.hessian(lambda x: field(x, z[0])[0])(x[0]).shape == (2, 2)
    assert field.feat.pyrox_scope == "field.feat"
    with pytest.raises(ValueError, match="`out_features` must be a positive integer, got 0"):
        ConditionedRFFNet.init(feat=phi, out_features=0, key=key)


def test_the_net_is_run_by_the_first_call_only(key):
    calls = []
    net = lambda z: calls.append(1) or jnp.zeros(20)  # noqa: E731
    phi = HyperFourierFeatures.init(parameter_net=net, in_features=2, n_features=6, cond_dim=4)
    assert not calls
    with pytest.raises(ValueError, match=r"must return \(19,\), which is D \* n \+ n \+ 1 .* it returns \(20,\)"):
        phi(jnp.ones((5, 2)), jnp.ones(4))
    with pytest.raises(ValueError, match=r"must return \(19,\).* it returns \(20,\)"):
        phi(jnp.ones((5, 2)), jnp.ones((5, 4)))
    assert calls == [1, 1]


def test_errors(phi):
    build = lambda **options: HyperFourierFeatures.init(  # noqa: E731
        **{"parameter_net": phi.parameter_net, "in_features": 2, "n_features": 6, "cond_dim": 4, **options}
    )
    for name in ("in_features", "n_features", "cond_dim"):
        with pytest.raises(ValueError, match=f"`{name}` must be a positive integer, got 0"):
            build(**{name: 0})
    with pytest.raises(TypeError):
        build(parameter_net=3)
    for x, z in (((5, 3), (4,)), ((5, 2), (3,)), ((5, 2), (4, 4)), ((2,), (5, 4))):
        with pytest.raises(ValueError, match=r"`[xz]` must"):
            phi(jnp.ones(x), jnp.ones(z))
