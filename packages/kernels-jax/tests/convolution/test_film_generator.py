import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import oracles_jax as oracles
import pytest
from kernels_jax import KernelFiLMGenerator
from kernels_jax.interop import to_state_dict


@pytest.mark.parametrize("layers", [1, 3])
def test_formula(layers, key, x64):
    generator = KernelFiLMGenerator.init(5, 8, layers, 6, init_type="small_random", init_std=0.5, key=key)
    conditioning = 3 * jax.random.normal(key, (4, 5))
    pairs = eqx.filter_jit(generator)(conditioning)
    assert len(pairs) == layers
    for sample, condition in enumerate(conditioning):
        expected = oracles.film_generator(to_state_dict(generator), condition, layers, 8)
        np.testing.assert_allclose([[part[sample] for part in pair] for pair in pairs], expected, atol=1e-12)


def test_init(key):
    options = {"cond_dim": 16, "kernel_hidden_dim": 32, "num_film_layers": 2, "film_hidden_dim": 128, "key": key}
    state = to_state_dict(KernelFiLMGenerator.init(**options))
    assert {name: value.shape for name, value in state.items()} == {
        "mlp.0.weight": (128, 16),
        "mlp.0.bias": (128,),
        "mlp.2.weight": (128, 128),
        "mlp.2.bias": (128,),
    }
    assert not state["mlp.2.weight"].any()
    np.testing.assert_array_equal(state["mlp.2.bias"], [*[1] * 32, *[0] * 32] * 2)
    for part in ("weight", "bias"):  # PyTorch's own initial values: U(+-1/sqrt(in))
        assert 0.97 / 4 < np.abs(state[f"mlp.0.{part}"]).max() <= 1 / 4
    random = KernelFiLMGenerator.init(**options, init_type="small_random", init_std=0.25)
    np.testing.assert_allclose(to_state_dict(random)["mlp.2.weight"].std(), 0.25, rtol=0.05)
    assert KernelFiLMGenerator.init(5, 8, 2, key=key).film_hidden_dim == 64


def test_bfloat16(key):
    generator = KernelFiLMGenerator.init(5, 8, 2, key=key)
    generator = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), generator)
    assert {part.dtype for pair in generator(jnp.ones((2, 5), jnp.bfloat16)) for part in pair} == {
        jnp.dtype("bfloat16")
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cond_dim": 0}, "`cond_dim` must be a positive integer, got 0"),
        ({"kernel_hidden_dim": 0}, "`kernel_hidden_dim` must be a positive integer, got 0"),
        ({"num_film_layers": 0}, "`num_film_layers` must be a positive integer, got 0"),
        ({"film_hidden_dim": 0}, "`film_hidden_dim` must be a positive integer, got 0"),
        ({"init_type": "zeros"}, "`init_type` must be one of 'identity', 'small_random'; got 'zeros'"),
        ({"init_type": "small_random", "init_std": -1.0}, "`init_std` must be finite and non-negative, got -1.0"),
    ],
)
def test_errors(changes, message, key):
    options = {"cond_dim": 5, "kernel_hidden_dim": 8, "num_film_layers": 2, **changes}
    with pytest.raises(ValueError, match=message):
        KernelFiLMGenerator.init(**options, key=key)


@pytest.mark.parametrize("shape", [(5,), (2, 4), (2, 3, 5)])
def test_wrong_conditioning(shape, key):
    with pytest.raises(ValueError, match=r"`conditioning` must be \(B, 5\), got"):
        KernelFiLMGenerator.init(5, 8, 2, key=key)(jnp.ones(shape))
