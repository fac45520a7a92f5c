import equinox as eqx
import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import oracles_jax as oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_jax import HyperLinear
from kernels_jax._conditioners.contraction import contract


@settings(deadline=None, max_examples=6)
@given(sizes=st.tuples(st.integers(0, 5), st.integers(1, 9), st.integers(1, 9), st.integers(1, 9)))
def test_contraction_in_every_order(sizes):
    n, target_in, target_out, cond_dim = sizes
    layer = HyperLinear.init(target_in, target_out, cond_dim, key=jax.random.key(0), init_scale=1.0)
    random = np.random.default_rng(1)
    x, z = (jnp.asarray(random.normal(size=(n, size)), dtype="float32") for size in (target_in, cond_dim))
    y = jax.jit(lambda layer, x, z: layer(x, z))(layer, x, z)
    assert y.shape == (n, target_out)
    if n:
        expected = oracles.hyper_linear(layer.generator.weight.T, layer.generator.bias, x, z)
        np.testing.assert_allclose(y, expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("cond_dim", [2, 16])
def test_both_orders_differentiate_twice(cond_dim, x64):
    layer = HyperLinear.init(3, 6, cond_dim, key=jax.random.key(0))
    x, z = jnp.ones((2, 3)), jnp.linspace(-1.0, 1.0, 2 * cond_dim).reshape(2, cond_dim)
    jax.test_util.check_grads(jax.jit(lambda layer, x, z: jnp.sin(layer(x, z))), (layer, x, z), order=2)


def temporary_bytes(n, target_in, target_out, cond_dim):
    """Memory of a compiled gradient beyond its arguments and results."""
    shapes = (target_out, target_in, cond_dim), (n, cond_dim), (n, target_in)
    loss = lambda *args: (contract(*args) ** 2).sum()  # noqa: E731
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    analysis = jax.jit(jax.grad(loss, (0, 1, 2))).lower(*arguments).compile().memory_analysis()
    return analysis.temp_size_in_bytes


@pytest.mark.parametrize("cond_dim", [1, 4, 16, 64, 256])
def test_memory_stays_below_that_of_a_weight_matrix_per_row(cond_dim):
    n, size = 512, 64
    own = temporary_bytes(n, size, size, cond_dim)
    numbers = n * size * (cond_dim if cond_dim < size else 16)
    # A few copies of the intermediate, and the generator's.
    assert own <= 4 * (3 * numbers + 2 * size * size * cond_dim) + 2**16


@pytest.mark.parametrize("cond_dim", [2, 16])
def test_calls_outside_of_jit_are_compiled_once(cond_dim, key, caplog):
    layer = HyperLinear.init(3, 6, cond_dim, key=key)
    x, z = jnp.ones((7, 3)), jnp.ones((7, cond_dim))
    with jax.log_compiles():
        layer(x, z)
        assert "Compiling" in caplog.text
        caplog.clear()
        layer(x, z)
    assert "Compiling" not in caplog.text


def test_init_scale(key):
    small, large = (HyperLinear.init(3, 8, 4, key=key, init_scale=scale).generator for scale in (0.1, 1.0))
    np.testing.assert_allclose(10 * small.weight, large.weight, rtol=1e-6)
    assert not small.bias.any()
    assert large.weight.shape == (8 * 3 + 8, 4)
    assert 0.45 < jnp.abs(large.weight).max() <= 0.5
    default = HyperLinear.init(3, 8, 4, key=key)
    assert eqx.tree_equal(default.generator, small)


def test_errors(key):
    for bad in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="`init_scale` must be positive"):
            HyperLinear.init(3, 8, 4, key=key, init_scale=bad)
    for sizes in ((0, 8, 4), (3, 0, 4), (3, 8, 0)):
        with pytest.raises(ValueError, match="must be a positive integer, got 0"):
            HyperLinear.init(*sizes, key=key)
    layer = HyperLinear.init(3, 8, 4, key=key)
    with pytest.raises(ValueError, match=r"`h` must be \(3,\) or \(N, 3\), got \(5, 8\)"):
        layer(jnp.ones((5, 8)), jnp.ones(4))
    assert (layer.target_in, layer.target_out, layer.num_features, layer.cond_dim) == (3, 8, 8, 4)
