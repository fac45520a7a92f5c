import jax
import numpy as np
import pytest
from kernel_cases import fresh
from kernels_jax import MultiOmegaSIRENPositionalEmbeddingND, omega_0_schedule
from kernels_jax.interop import to_state_dict


def test_rows_have_the_bounds_of_their_frequencies(key):
    layer = MultiOmegaSIRENPositionalEmbeddingND.init(2, 400, 8, omega_0_per_row=[1.0] * 200 + [5.0] * 200, key=key)
    assert (layer.omega_0, layer.omega_0_per_row.shape) == (3.0, (400,))
    for rows, omega in ((layer.linear.weight[:200], 1.0), (layer.linear.weight[200:], 5.0)):
        bound = 2 * np.pi * omega / 2
        assert 0.97 * bound < np.abs(rows).max() <= bound * (1 + 1e-6)
        np.testing.assert_allclose(rows.std(), bound / np.sqrt(3), rtol=0.08)


@pytest.mark.parametrize("name", ["block diagonal", "block diagonal, learnable"])
def test_blocks_are_damped(name):
    sizes = {"out_dim": 64, "mlp_hidden_dim": 32, "embedding_dim": 96, "num_layers": 3}
    state = to_state_dict(fresh(name, **sizes, off_block_scale=0.25, num_blocks=4))
    readout = np.sqrt(6 / 32) / np.sqrt(5)
    for layer, bound in {
        "hidden_linears.0": np.sqrt(6 / 96),
        "hidden_linears.1": np.sqrt(6 / 32),
        "out_linear": readout,
    }.items():
        weight = state[f"{layer}.weight"]
        blocks = [np.array_split(rows, 4, 1) for rows in np.array_split(weight, 4, 0)]
        inside = np.concatenate([blocks[i][i].ravel() for i in range(4)])
        outside = np.concatenate([blocks[i][j].ravel() for i in range(4) for j in range(4) if i != j])
        for part, scale in ((inside, 1.0), (outside, 0.25)):
            assert 0.95 * scale * bound < np.abs(part).max() <= scale * bound * (1 + 1e-6)


def test_independent_blocks():
    kernel = fresh("block diagonal", off_block_scale=0.0)
    dependence = jax.jacobian(lambda row: kernel.out_linear(row))(np.ones(4, "float32"))
    np.testing.assert_array_equal(np.asarray(dependence) != 0, np.kron(np.eye(2), np.ones((2, 2))))


def test_schedules():
    assert omega_0_schedule(1, 2.0, 9.0) == [2.0]
    np.testing.assert_allclose(omega_0_schedule(5, 1.0, 16.0), np.linspace(1, 16, 5))
    np.testing.assert_allclose(omega_0_schedule(5, 1.0, 16.0, "log"), [1, 2, 4, 8, 16])
    with pytest.raises(ValueError, match="`omega_0_max`"):
        omega_0_schedule(2, 2.0, 1.0)
    with pytest.raises(ValueError, match="`schedule` must be one of 'linear', 'log'"):
        omega_0_schedule(2, 1.0, 2.0, "cubic")


def test_frequencies_in_other_forms(key):
    values = [1.0, 2.0, 6.0]
    init = MultiOmegaSIRENPositionalEmbeddingND.init
    layers = [
        init(1, 3, 8, form, key=key) for form in (values, tuple(values), np.array(values), jax.numpy.array(values))
    ]
    assert len({str(jax.tree.structure(layer)) for layer in layers}) == 1
    assert all((layer.linear.weight == layers[0].linear.weight).all() for layer in layers)
