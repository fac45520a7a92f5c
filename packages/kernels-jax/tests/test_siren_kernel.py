import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import oracles_kernel as oracles
import pytest
from kernels_jax import KernelFiLMGenerator, SIRENKernelND, SIRENPositionalEmbeddingND, axis_coordinates
from kernels_jax.interop import to_state_dict

SIZES = {"out_dim": 4, "mlp_hidden_dim": 8, "num_layers": 3, "embedding_dim": 8, "omega_0": 3.0, "use_bias": True}


def make(data_dim=2, L_cache=(4, 6), generator=None, after=False, key=None, **changes):
    """A kernel with weights away from their initial values, biases too."""
    key = jax.random.key(0) if key is None else key
    options = {**SIZES, "data_dim": data_dim, "L_cache": L_cache, **changes}
    kernel = SIRENKernelND.init(**options, film_generator=generator, film_after_pos_embed=after, key=key)
    return jax.tree.map(lambda leaf: leaf + np.random.default_rng(0).normal(0, 0.1, leaf.shape), kernel)


def generator(layers, key, **options):
    return KernelFiLMGenerator.init(5, 8, layers, 6, "small_random", 0.5, key=key, **options)


def positions(lengths, L_cache):
    return oracles.grid([oracles.axis(*pair) for pair in zip(lengths, L_cache, strict=True)])


@pytest.mark.parametrize(
    ("data_dim", "L_cache", "lengths", "changes"),
    [
        (1, (7,), (9,), {}),
        (2, (4, 6), (5, 3), {}),
        (2, (4, 6), (5, 3), {"num_layers": 2, "use_bias": False, "embedding_dim": 6}),
        (3, (4, 4, 5), (2, 3, 1), {"num_layers": 4}),
        (4, (3, 3, 3, 3), (2, 1, 2, 2), {}),
    ],
)
@pytest.mark.parametrize("jit", [False, True])
def test_formula(data_dim, L_cache, lengths, changes, jit, x64):
    kernel = make(data_dim, L_cache, **changes)
    call = eqx.filter_jit(lambda kernel: kernel(lengths)) if jit else lambda kernel: kernel(lengths)
    values, grid = call(kernel)
    points = positions(lengths, L_cache)
    assert grid.dtype == jnp.float32
    np.testing.assert_allclose(grid[0], points, rtol=1e-6)
    expected = oracles.siren(to_state_dict(kernel), np.asarray(grid[0], np.float64))
    assert values.shape == (1, *(2 * length - 1 for length in lengths), 4)
    np.testing.assert_allclose(values[0], expected, atol=1e-12)


@pytest.mark.parametrize("after", [False, True])
def test_film(after, key, x64):
    layers = 3 if after else 2
    kernel = make(generator=generator(layers, key), after=after)
    conditioning = jax.random.normal(key, (3, 5))
    values, grid = eqx.filter_jit(kernel)((3, 4), conditioning)
    assert values.shape == (3, 5, 7, 4)
    state = to_state_dict(kernel)
    film = {name.removeprefix("film_generator."): value for name, value in state.items()}
    for sample, condition in enumerate(conditioning):
        pairs = oracles.film(film, condition, layers, 8)
        pairs = pairs if after else [None, *pairs]
        expected = oracles.siren(state, np.asarray(grid[0], np.float64), pairs)
        np.testing.assert_allclose(values[sample], expected, atol=1e-11)
    plain, _ = kernel((3, 4))
    np.testing.assert_allclose(plain[0], oracles.siren(state, np.asarray(grid[0], np.float64)), atol=1e-12)
    assert kernel((3, 4), conditioning[:0])[0].shape == (0, 5, 7, 4)


def test_conditioning_without_a_generator_is_ignored(key):
    kernel = make()
    np.testing.assert_array_equal(kernel((3, 4), jnp.ones((2, 9)))[0], kernel((3, 4))[0])


def test_identity_generator_leaves_the_kernel_alone(key):
    kernel = make()
    fresh = KernelFiLMGenerator.init(5, 8, 2, key=key)
    modulated = eqx.tree_at(lambda k: k.film_generator, kernel, fresh, is_leaf=lambda leaf: leaf is None)
    values = modulated((3, 4), jax.random.normal(key, (2, 5)))[0]
    np.testing.assert_allclose(values, jnp.broadcast_to(kernel((3, 4))[0], values.shape), atol=1e-6)


def multiplications(jaxpr):
    """Of all matrix products in a jaxpr."""
    total = 0
    for equation in jaxpr.eqns:
        for value in equation.params.values():
            total += multiplications(getattr(value, "jaxpr", value)) if hasattr(value, "eqns") else 0
            total += multiplications(value.jaxpr) if hasattr(value, "jaxpr") and not hasattr(value, "eqns") else 0
        if equation.primitive.name == "dot_general":
            ((contracted, _), _) = equation.params["dimension_numbers"]
            sizes = equation.invars[0].aval.shape
            total += math.prod(equation.outvars[0].aval.shape) * math.prod(sizes[axis] for axis in contracted)
    return total


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("batch", [1, 6])
def test_layers_before_the_first_modulation_run_once(batch, after, key):
    kernel = make(generator=generator(3 if after else 2, key), after=after)
    points, layers = 5 * 7, 3 if after else 2
    film = batch * (5 * 6 + 6 * layers * 2 * 8)
    first, second, readout = points * 8 * 8, points * 8 * 8, points * 8 * 4
    shared, own = (0, first + second + readout) if after else (first, second + readout)
    jaxpr = jax.make_jaxpr(lambda c: kernel((3, 4), c)[0])(jnp.ones((batch, 5)))
    assert multiplications(jaxpr.jaxpr) == film + shared + batch * own


def test_init(key):
    options = {**SIZES, "out_dim": 64, "mlp_hidden_dim": 96, "embedding_dim": 128, "omega_0": 5.0}
    kernel = SIRENKernelND.init(**options, data_dim=2, L_cache=(8, 32), key=key)
    bounds = {
        "positional_embedding.linear": 2 * np.pi * 5 / 2,
        "hidden_linears.0": np.sqrt(6 / 128),
        "hidden_linears.1": np.sqrt(6 / 96),
        "out_linear": np.sqrt(6 / 96) / np.sqrt(8 * 32),
    }
    state = to_state_dict(kernel)
    for name, bound in bounds.items():
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        assert 0.97 * bound < np.abs(weight).max() <= bound * (1 + 1e-6)
        np.testing.assert_allclose(weight.std(), bound / np.sqrt(3), rtol=0.08)
        assert not bias.any()
    assert len(set(map(float, state["hidden_linears.1.weight"].ravel()))) > 9000  # and not one value repeated


def test_kernel_energy_does_not_depend_on_resolution():
    def energy(L_cache, key):
        kernel = SIRENKernelND.init(**{**SIZES, "out_dim": 64}, data_dim=1, L_cache=L_cache, key=key)
        return (kernel((L_cache,))[0] ** 2).sum(1).mean()

    keys = jax.random.split(jax.random.key(0), 20)
    coarse, fine = (np.mean(jax.vmap(lambda key, L=L: energy(L, key))(keys)) for L in (16, 256))
    np.testing.assert_allclose(fine, coarse, rtol=0.25)


def test_geometry():
    np.testing.assert_array_equal(axis_coordinates(5, 5), np.linspace(-1, 1, 9, dtype=np.float32))
    np.testing.assert_array_equal(axis_coordinates(3, 5), np.linspace(-0.5, 0.5, 5, dtype=np.float32))
    np.testing.assert_allclose(axis_coordinates(7, 5), np.linspace(-1.5, 1.5, 13))
    half = axis_coordinates(4, 5, resolution=2, causal=True)
    np.testing.assert_allclose(half, oracles.axis(4, 5, 2, causal=True))
    kernel = make(L_cache=[4, 6])
    assert (kernel.L_cache, kernel.L_cache_per_axis) == ((4, 6), (4, 6))
    assert (make(L_cache=5).L_cache, make(L_cache=5).L_cache_per_axis) == (5, (5, 5))
    assert (kernel.data_dim, kernel.embedding_dim, kernel.omega_0, kernel.use_bias) == (2, 8, 3.0, True)
    assert (kernel.num_layers, kernel.num_film_layers, kernel.out_dim) == (3, 2, 4)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision(dtype, key):
    kernel = jax.tree.map(lambda leaf: leaf.astype(dtype), make(1, 2000, omega_0=1.0, generator=generator(2, key)))
    values, grid = kernel((2000,))
    assert (values.dtype, grid.dtype) == (dtype, jnp.float32)
    assert len(np.unique(grid)) == 3999
    first, _ = kernel.positional_embedding((2000,))
    weights = to_state_dict(kernel)
    phase = np.asarray(grid[0], np.float64) @ np.asarray(weights["positional_embedding.linear.weight"], np.float64).T
    exact = np.sin(phase + np.asarray(weights["positional_embedding.linear.bias"], np.float64))
    # Projection and sine in float32: one rounding, to the dtype of the result.
    np.testing.assert_allclose(np.asarray(first[0], np.float64), exact, atol=float(jnp.finfo(dtype).eps))
    assert kernel((3,), jnp.ones((2, 5), dtype))[0].dtype == dtype


def test_gradients(x64, key):
    kernel = make(generator=generator(2, key))
    conditioning = jax.random.normal(key, (2, 5))
    loss = eqx.filter_jit(lambda kernel: (kernel((2, 3), conditioning)[0] ** 2).sum())
    gradient = jax.grad(loss)(kernel)
    direction = jax.tree.map(lambda leaf: jnp.asarray(np.random.default_rng(1).normal(size=leaf.shape)), kernel)
    along = sum(jax.tree.leaves(jax.tree.map(lambda g, d: (g * d).sum(), gradient, direction)))
    ahead, behind = (
        loss(jax.tree.map(lambda leaf, d, step=step: leaf + step * d, kernel, direction)) for step in (1e-6, -1e-6)
    )
    np.testing.assert_allclose(along, (ahead - behind) / 2e-6, rtol=1e-6)
    assert all(np.any(leaf) for leaf in jax.tree.leaves(gradient))


def test_ensemble(key):
    """Kernels stacked by vmap: one tree, an axis more."""
    keys = jax.random.split(key, 3)
    kernels = eqx.filter_vmap(lambda key: SIRENKernelND.init(**SIZES, data_dim=1, L_cache=4, key=key))(keys)
    values = eqx.filter_vmap(lambda kernel: kernel((4,))[0])(kernels)
    alone = SIRENKernelND.init(**SIZES, data_dim=1, L_cache=4, key=keys[1])((4,))[0]
    np.testing.assert_allclose(values[1], alone, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"out_dim": 0}, ValueError, "`out_dim` must be an int >= 1, got 0"),
        ({"data_dim": 0}, ValueError, "`data_dim` must be an int >= 1, got 0"),
        ({"mlp_hidden_dim": 0}, ValueError, "`mlp_hidden_dim` must be an int >= 1, got 0"),
        ({"embedding_dim": -1}, ValueError, "`embedding_dim` must be an int >= 1, got -1"),
        ({"num_layers": 1}, ValueError, "`num_layers` must be an int >= 2, got 1"),
        ({"omega_0": 0.0}, ValueError, "`omega_0` must be positive"),
        ({"hidden_omega_0": -1.0}, ValueError, "`hidden_omega_0` must be positive"),
        ({"L_cache": 1}, ValueError, "`L_cache` must be an int >= 2, got 1"),
        ({"L_cache": True}, TypeError, "`L_cache` must be an int >= 2, got True"),
        ({"L_cache": (4,)}, ValueError, "`L_cache` must be one value or 2 values"),
        ({"L_cache": (4, 1)}, ValueError, r"`L_cache\[1\]` must be an int >= 2, got 1"),
        (
            {"after": True, "embedding_dim": 6},
            ValueError,
            r"`film_after_pos_embed=True` needs `embedding_dim` \(=6\) equal to `mlp_hidden_dim` \(=8\)",
        ),
    ],
)
def test_errors(changes, error, message):
    with pytest.raises(error, match=message):
        make(**changes)


class OneLayer(eqx.Module):
    """A generator that does not say how many layers it serves."""

    def __call__(self, conditioning):
        return [(jnp.ones((len(conditioning), 8)), jnp.zeros((len(conditioning), 8)))]


def test_a_generator_of_ones_own(key):
    kernel = make(num_layers=2, generator=OneLayer())
    values = kernel((3, 4), jnp.ones((3, 9)))[0]
    np.testing.assert_allclose(values, jnp.broadcast_to(kernel((3, 4))[0], values.shape), atol=1e-6)


def test_more_errors(key):
    with pytest.raises(ValueError, match="has num_film_layers=3, but this kernel needs 2"):
        make(generator=generator(3, key))
    with pytest.raises(ValueError, match="has num_film_layers=2, but this kernel needs 3"):
        make(generator=generator(2, key), after=True)
    with pytest.raises(ValueError, match="has kernel_hidden_dim=4, but this kernel needs 8"):
        make(generator=KernelFiLMGenerator.init(5, 4, 2, key=key))
    with pytest.raises(ValueError, match="has num_film_layers=1, but this kernel needs 2"):
        make(generator=OneLayer())((3, 4), jnp.ones((1, 5)))
    with pytest.raises(ValueError, match=r"`seq_lens` must be a tuple of 2, .* got \(3,\)"):
        make()((3,))
    with pytest.raises(ValueError, match=r"`seq_lens\[1\]` must be an int >= 1, got 0"):
        make()((3, 0))
    with pytest.raises(ValueError, match="`L_cache` must be an int >= 2, got 1"):
        axis_coordinates(3, 1)
    with pytest.raises(ValueError, match="`resolution` must be positive"):
        axis_coordinates(3, 4, resolution=0.0)
    with pytest.raises(ValueError, match="`omega_0` must be positive"):
        SIRENPositionalEmbeddingND.init(1, 4, 4, omega_0=-1.0, key=key)
