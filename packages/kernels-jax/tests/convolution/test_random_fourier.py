import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import oracles_kernels as oracles
import pytest
from kernel_cases import fresh, make
from kernels_jax import RandomFourierPositionalEmbeddingND
from kernels_jax.interop import to_state_dict


@pytest.mark.parametrize("data_dim", [1, 2])
def test_formula(data_dim, x64):
    kernel = make("random Fourier", data_dim=data_dim)
    values, grid = kernel((3,) * data_dim)
    names = ["positional_embedding.linear", "kernel_network.0", "kernel_network.2", "out_linear"]
    (w, b), *hidden, readout = oracles.layers(to_state_dict(kernel), names)
    phase = np.asarray(grid[0], np.float64) @ w.T + b
    h = np.concatenate([np.cos(phase), np.sin(phase)], -1)
    for weight, bias in hidden:
        h = np.tanh(h @ weight.T + bias)
    np.testing.assert_allclose(values[0], h @ readout[0].T + readout[1], atol=1e-12)


def test_init(key):
    layer = RandomFourierPositionalEmbeddingND.init(2, 2000, 8, omega_0=3.0, key=key)
    np.testing.assert_allclose(layer.linear.weight.std(), 6 * np.pi, rtol=0.05)
    assert not layer.linear.bias.any()
    state = to_state_dict(fresh("random Fourier", mlp_hidden_dim=64, embedding_dim=128, out_dim=64, L_cache=16))
    for name, width, scale in (("kernel_network.0", 128, 1.0), ("kernel_network.2", 64, 1.0), ("out_linear", 64, 0.25)):
        assert 0.97 < np.abs(state[f"{name}.weight"]).max() * np.sqrt(width) / scale <= 1 + 1e-6
        assert 0.85 < np.abs(state[f"{name}.bias"]).max() * np.sqrt(width) <= 1 + 1e-6


def test_frequencies_are_frozen():
    kernel = make("random Fourier")
    gradient = jax.grad(lambda kernel: kernel((3,))[0].sum())(kernel)
    for part in jax.tree.leaves(gradient.positional_embedding):
        assert not part.any()
    assert gradient.kernel_network[0].weight.any()


def test_nonlinearities():
    """A module has weights of its own in each layer; a function has none."""
    kernel = fresh("random Fourier", nonlinearity=eqx.nn.PReLU(0.1))
    first, second = (f"kernel_network.{i}.negative_slope" for i in (1, 3))
    gradient = to_state_dict(jax.grad(lambda kernel: jnp.sum(kernel((3,))[0] ** 2))(kernel))
    assert gradient[first] != gradient[second]
    with pytest.raises(TypeError, match="`nonlinearity` must be a function or a module, got the class PReLU"):
        fresh("random Fourier", nonlinearity=eqx.nn.PReLU)


def test_init_method():
    kernel = fresh(
        "random Fourier", init_method=lambda width: lambda key, shape: jnp.full(shape, float(width)), out_dim=2
    )
    assert (kernel.kernel_network[0].weight == 4.0).all()
    np.testing.assert_allclose(kernel.out_linear.weight, 2.0 / np.sqrt(5))
    assert kernel.out_linear.bias.any()
