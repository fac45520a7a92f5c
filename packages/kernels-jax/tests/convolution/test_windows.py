import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import oracles_kernels as oracles
import pytest
from kernels_jax import (
    BlockAlignedGaussianModulationND,
    ExponentialModulationND,
    GaussianModulationND,
    axis_coordinates,
    coordinate_grid,
)
from kernels_jax._convolution.bounded import bounded

LENGTHS = (3, 4, 2)


def axes_of(data_dim):
    return [axis_coordinates(length, 5) for length in LENGTHS[:data_dim]]


def windows(data_dim):
    options = {"data_dim": data_dim, "num_channels": 4, "grid_size": 9}
    return {
        "exponential": ExponentialModulationND.init(data_dim, 4, slow_decay_pct=0.5),
        **{kind: GaussianModulationND.init(**options, parametrization=kind) for kind in ("direct", "log", "softplus")},
        "block aligned": BlockAlignedGaussianModulationND.init(**options),
    }


def expected_mask(name, window, positions):
    if name == "exponential":
        return oracles.exponential_mask(positions, window.weight)
    std = np.asarray(window.std_param, np.float64)
    std = {"log": np.exp, "softplus": lambda x: np.log1p(np.exp(x))}.get(name, lambda x: x)(std)
    return oracles.gaussian_mask(positions, np.clip(std, window.min_std, window.max_std))


@pytest.mark.parametrize("name", windows(1))
@pytest.mark.parametrize("data_dim", [1, 2, 3])
def test_masks(data_dim, name, x64):
    window, axes = windows(data_dim)[name], axes_of(data_dim)
    grid = coordinate_grid(axes)
    x = np.random.default_rng(0).normal(size=(2, *grid.shape[1:-1], 4))
    y = x * expected_mask(name, window, np.asarray(grid[0], np.float64))
    np.testing.assert_allclose(window(grid, jnp.asarray(x)), y, rtol=1e-12)
    np.testing.assert_allclose(eqx.filter_jit(window.window)(axes, jnp.asarray(x)), y, rtol=1e-12)
    origin = tuple(length - 1 for length in LENGTHS[:data_dim])
    np.testing.assert_array_equal(window(grid, jnp.ones_like(x))[(0, *origin)], 1.0)


@pytest.mark.parametrize("name", windows(1))
def test_half_precision_gets_a_float32_mask(name):
    window, axes = windows(2)[name], axes_of(2)
    grid = coordinate_grid(axes)
    x = jnp.ones((1, *grid.shape[1:-1], 4), jnp.bfloat16)
    wide = window(grid, x.astype(jnp.float32))
    assert window(grid, x).dtype == jnp.bfloat16
    np.testing.assert_array_equal(window(grid, x), wide.astype(jnp.bfloat16))
    narrow = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), window)
    assert narrow(grid, x.astype(jnp.float32)).dtype == jnp.float32
    assert window.window(axes, x).dtype == jnp.bfloat16


def test_exponential_init_and_gradient():
    window = ExponentialModulationND.init(2, 5, fast_decay_pct=8.0, slow_decay_pct=2.0)
    np.testing.assert_allclose(window.weight, np.tile(np.linspace(2, 8, 5) / 2, (2, 1)), rtol=1e-6)
    x = jnp.ones((1, 5, 7, 5))
    gradient = jax.grad(lambda window: window(coordinate_grid(axes_of(2)), x).sum())(window)
    assert not np.any(gradient.weight)
    assert ExponentialModulationND.init(1, 2).weight.tolist()[0] == pytest.approx([2.3, 13.81])


@pytest.mark.parametrize("parametrization", ["direct", "log", "softplus"])
def test_gaussian_init(parametrization):
    options = {"min_attenuation_at_step": 0.2, "max_attenuation_at_limit": 0.9, "init_extent": (1.0, 0.5)}
    window = GaussianModulationND.init(2, 5, 17, **options, parametrization=parametrization)
    low, high = oracles.std_for(0.2, 2 / 16), oracles.std_for(0.9, 1.0)
    np.testing.assert_allclose([window.min_std, window.max_std], [low, high], rtol=1e-12)
    for axis, extent in enumerate((1.0, 0.5)):
        first, last = np.clip([low * extent, oracles.std_for(0.1, 1.0) * extent], low, high)
        np.testing.assert_allclose(window.std()[axis], first * (last / first) ** (np.arange(5) / 4), rtol=1e-5)
    reverse = BlockAlignedGaussianModulationND.init(2, 5, 17, **options, parametrization=parametrization)
    np.testing.assert_allclose(reverse.std(), window.std()[:, ::-1], rtol=1e-6)
    assert GaussianModulationND.init(1, 1, 17).std().shape == (1, 1)


def test_bounded():
    values = jnp.array([0.5, 0.5, 1.5, 1.5, 3.0, 3.0, 1.0, 2.0])
    target = jnp.array([1.0, -1.0] * 3 + [1.0, -1.0])  # the gradient, whose descent goes the other way
    y, pullback = jax.vjp(lambda x: bounded(x, 1.0, 2.0), values)
    np.testing.assert_array_equal(y, np.clip(values, 1.0, 2.0))
    # Below: up only; inside and at the bounds: both ways; above: down only.
    np.testing.assert_array_equal(pullback(target)[0], [0.0, -1.0, 1.0, -1.0, 1.0, 0.0, 1.0, -1.0])


@pytest.mark.parametrize("parametrization", ["direct", "log", "softplus"])
@pytest.mark.parametrize("start", [-6.0, 6.0])
def test_a_std_beyond_its_bounds_can_come_back(parametrization, start):
    window = GaussianModulationND.init(1, 1, 17, parametrization=parametrization)
    window = eqx.tree_at(lambda w: w.std_param, window, jnp.full((1, 1), start))
    bound = window.min_std if start < 0 else window.max_std
    np.testing.assert_allclose(window.std(), bound, rtol=1e-5)
    inwards = jax.grad(lambda w: (w.std()[0, 0] - 0.7) ** 2)(window).std_param[0, 0]
    assert inwards * start > 1e-3
    outwards = jax.grad(lambda w: -((w.std()[0, 0] - 0.7) ** 2))(window).std_param[0, 0]
    assert outwards == 0


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"data_dim": 0}, ValueError, "`data_dim` must be a positive integer, got 0"),
        ({"num_channels": 0}, ValueError, "`num_channels` must be a positive integer, got 0"),
        ({"grid_size": 1}, ValueError, "`grid_size` must be an integer of at least 2, got 1"),
        ({"min_attenuation_at_step": 1.0}, ValueError, r"`min_attenuation_at_step` must be in \(0, 1\), got 1.0"),
        ({"max_attenuation_at_limit": 0.0}, ValueError, "`max_attenuation_at_limit` must be positive"),
        ({"init_extent": 0.0}, ValueError, "`init_extent` must be positive"),
        ({"init_extent": (1.0, -1.0)}, ValueError, r"`init_extent\[1\]` must be positive"),
        ({"init_extent": (1.0,)}, ValueError, "`init_extent` must be one value or 2 values"),
        ({"init_extent": True}, TypeError, "`init_extent` must be a positive number"),
        ({"parametrization": "exp"}, ValueError, "`parametrization` must be one of 'direct', 'log', 'softplus'"),
        (
            {"grid_size": 2, "min_attenuation_at_step": 0.9, "max_attenuation_at_limit": 0.1},
            ValueError,
            r"`min_attenuation_at_step` \(=0.9\) with `grid_size` \(=2\) gives a minimum std of 4.357, above the 0.466",
        ),
    ],
)
def test_errors(changes, error, message):
    with pytest.raises(error, match=message):
        GaussianModulationND.init(**{"data_dim": 2, "num_channels": 3, "grid_size": 9, **changes})


def test_more_errors():
    window, grid, x = ExponentialModulationND.init(2, 3), jnp.zeros((1, 5, 7, 2)), jnp.ones((1, 5, 7, 3))
    with pytest.raises(AssertionError, match=r"`grid` must be float32, .* got bfloat16"):
        window(grid.astype(jnp.bfloat16), x)
    for given in ((grid[..., :1], x), (grid, x[..., :2]), (grid[:, :4], x)):
        with pytest.raises(ValueError, match=r"`grid` must be \(1, \*grid, 2\) and `x` \(B, \*grid, 3\); got"):
            window(*given)
    with pytest.raises(ValueError, match="`fast_decay_pct` must be positive"):
        ExponentialModulationND.init(2, 3, fast_decay_pct=0.0)
