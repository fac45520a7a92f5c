import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernels_jax import KernelLinear, PositionLinear, axis_coordinates, coordinate_grid


@pytest.mark.parametrize("bias", [True, False])
def test_rows_and_columns(bias, key, x64):
    layer = KernelLinear.init(3, 2, bias=bias, key=key)
    h = np.random.default_rng(0).normal(size=(4, 5, 3))
    expected = h @ np.asarray(layer.weight).T + (np.asarray(layer.bias) if bias else 0)
    np.testing.assert_allclose(layer(jnp.asarray(h)), expected, atol=1e-12)
    np.testing.assert_allclose(layer.columns(jnp.asarray(h).mT), expected.swapaxes(-1, -2), atol=1e-12)


@pytest.mark.parametrize("bias", [True, False])
def test_positions(bias, key, x64):
    layer = PositionLinear.init(2, 3, bias=bias, key=key)
    axes = [axis_coordinates(3, 4), axis_coordinates(2, 4)]
    grid = coordinate_grid(axes)[0]
    expected = np.asarray(grid) @ np.asarray(layer.weight).T + (np.asarray(layer.bias) if bias else 0)
    np.testing.assert_allclose(layer(grid), expected, atol=1e-7)
    np.testing.assert_allclose(layer.on_grid(axes), np.moveaxis(expected, -1, 0), atol=1e-7)
    half = jax.tree.map(lambda leaf: leaf.astype("bfloat16"), layer)
    assert half(grid.astype("float32")).dtype == half.on_grid(axes).dtype == jnp.float32


def test_code_for_all_linear_layers_leaves_it_alone(key):
    layer = KernelLinear.init(3, 2, bias=True, bound=1.0, key=key)
    model = {"kernel": layer, "head": eqx.nn.Linear(2, 2, key=key)}
    is_linear = lambda node: isinstance(node, eqx.nn.Linear)  # noqa: E731
    reset = jax.tree.map(
        lambda node: jax.tree.map(jnp.zeros_like, node) if is_linear(node) else node, model, is_leaf=is_linear
    )
    assert eqx.tree_equal(reset["kernel"], layer)
    assert not reset["head"].weight.any()


def test_errors(key):
    with pytest.raises(ValueError, match="`in_features` must be a positive integer, got 0"):
        KernelLinear.init(0, 2, bias=True, key=key)
