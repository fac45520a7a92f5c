import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernels_jax import RegisterCompressConcat, RegisterPooling


def test_pooling(x64):
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    pooling = RegisterPooling.init(3)
    np.testing.assert_allclose(pooling(jnp.asarray(x)), x.mean(1), atol=1e-12)
    logits = np.array([0.0, 1.0, -2.0])
    pooling = jax.tree.map(lambda _: jnp.asarray(logits), pooling)
    weights = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(pooling(jnp.asarray(x)), np.einsum("r,brc->bc", weights, x), atol=1e-12)


def test_compression(key, x64):
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    layer = RegisterCompressConcat.init(3, 4, 2, key=key)
    expected = np.concatenate([x[:, r] @ np.asarray(layer.compress.weight).T for r in range(3)], -1)
    np.testing.assert_allclose(layer(jnp.asarray(x)), expected, atol=1e-12)
    assert layer.out_dim == 6
    assert layer(jnp.zeros((0, 3, 4))).shape == (0, 6)


@pytest.mark.parametrize(
    "make", [lambda key: RegisterPooling.init(3), lambda key: RegisterCompressConcat.init(3, 4, 2, key=key)]
)
def test_errors(make, key):
    layer = make(key)
    for shape in ((2, 4, 4), (3, 4), (2, 2, 3, 4)):
        with pytest.raises(ValueError, match=r"`registers` must be \(B, 3, [C4]\), got"):
            layer(jnp.zeros(shape))
    with pytest.raises(TypeError, match="`registers` must be a floating-point array, got int32"):
        layer(jnp.zeros((2, 3, 4), int))
    with pytest.raises(ValueError, match="`num_registers` must be a positive integer, got 0"):
        RegisterPooling.init(0)
