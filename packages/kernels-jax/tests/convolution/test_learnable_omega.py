import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import oracles_kernels as oracles
import pytest
from kernel_cases import make
from kernels_jax import LearnableOmegaSIRENPositionalEmbeddingND
from kernels_jax.interop import to_state_dict


def with_scales(kernel, scales):
    return eqx.tree_at(lambda k: k.positional_embedding.omega_0_scale, kernel, jnp.asarray(scales))


@pytest.mark.parametrize("name", ["learnable omega", "block diagonal, learnable"])
def test_formula(name, x64):
    scales = np.array([0.001, 0.5, 1.5, 7.0])
    kernel = with_scales(make(name), scales)
    values, grid = kernel((4,))
    frequency = 2 * np.pi * 3.0 * np.clip(scales, 0.01, 2.0)
    expected = oracles.siren_kernel(to_state_dict(kernel), np.asarray(grid[0], np.float64), frequency=frequency)
    np.testing.assert_allclose(values[0], expected, atol=1e-12)


@pytest.mark.parametrize("start", [-1.0, 5.0])
def test_a_scale_beyond_its_bounds_can_come_back(start):
    kernel = with_scales(make("learnable omega"), jnp.full(4, start))

    def gradient(sign):
        loss = lambda kernel: sign * jnp.sum(kernel((3,))[0])  # noqa: E731
        return jax.grad(loss)(kernel).positional_embedding.omega_0_scale

    # Of two opposite losses each row has one that pulls it back.
    both = np.stack([gradient(1.0), gradient(-1.0)])
    assert ((both != 0).sum(0) == 1).all()
    assert (np.sign(both.sum(0)) == np.sign(start)).all()


def test_initial_scales(key):
    init = LearnableOmegaSIRENPositionalEmbeddingND.init
    for given in (0.5, np.float64(0.5), jnp.array(0.5), [0.5] * 3, jnp.full(3, 0.5)):
        assert init(2, 3, 8, 4.0, given, key=key).omega_0_scale.tolist() == [0.5] * 3
    layer = init(2, 300, 8, 4.0, key=key)
    assert 0.97 / 2 < np.abs(layer.linear.weight).max() <= 0.5
    with pytest.raises(ValueError, match=r"`apply_lr_scale=True` needs an `omega_0` that is known"):
        jax.jit(lambda omega_0: init(2, 3, 8, omega_0, apply_lr_scale=True, key=key))(1.0)
