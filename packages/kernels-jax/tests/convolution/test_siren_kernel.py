import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import oracles_jax
import oracles_kernels as oracles
import pytest
from filled import filled
from kernels_jax import KernelFiLMGenerator, SIRENKernelND, SIRENPositionalEmbeddingND, axis_coordinates
from kernels_jax.interop import to_state_dict

SIZES = {"out_dim": 4, "mlp_hidden_dim": 8, "num_layers": 3, "embedding_dim": 8, "omega_0": 3.0, "use_bias": True}


def make(data_dim=2, L_cache=(4, 6), generator=None, after=False, dtype=None, **changes):
    """With weights other than the initial ones."""
    options = {**SIZES, "data_dim": data_dim, "L_cache": L_cache, **changes}
    film = {"film_generator": generator, "film_after_pos_embed": after}
    return filled(lambda: SIRENKernelND.init(**options, **film, key=jax.random.key(0)), dtype)


def generator(layers):
    return filled(lambda: KernelFiLMGenerator.init(5, 8, layers, 6, key=jax.random.key(0)))


def evaluated(kernel, *arguments):
    return eqx.filter_jit(lambda kernel, *arguments: kernel(*arguments))(kernel, *arguments)


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
def test_formula(data_dim, L_cache, lengths, changes, x64):
    kernel = make(data_dim, L_cache, **changes)
    values, grid = evaluated(kernel, lengths)
    assert grid.dtype == jnp.float32
    np.testing.assert_allclose(grid[0], positions(lengths, L_cache), rtol=1e-6)
    expected = oracles.siren_kernel(to_state_dict(kernel), np.asarray(grid[0], np.float64))
    assert values.shape == (1, *(2 * length - 1 for length in lengths), 4)
    np.testing.assert_allclose(values[0], expected, atol=1e-12)


def test_without_jit(x64):
    kernel = make()
    np.testing.assert_allclose(kernel((3, 2))[0], evaluated(kernel, (3, 2))[0], atol=1e-13)


@pytest.mark.parametrize("after", [False, True])
def test_film(after, x64):
    layers = 3 if after else 2
    kernel = make(generator=generator(layers), after=after)
    conditioning = jnp.asarray(np.random.default_rng(1).normal(size=(3, 5)))
    values, grid = evaluated(kernel, (3, 4), conditioning)
    assert values.shape == (3, 5, 7, 4)
    state = to_state_dict(kernel)
    film = {name.removeprefix("film_generator."): value for name, value in state.items()}
    for sample, condition in enumerate(conditioning):
        pairs = oracles_jax.film_generator(film, condition, layers, 8)
        pairs = pairs if after else [None, *pairs]
        expected = oracles.siren_kernel(state, np.asarray(grid[0], np.float64), modulations=pairs)
        np.testing.assert_allclose(values[sample], expected, atol=1e-11)
    plain, _ = evaluated(kernel, (3, 4))
    np.testing.assert_allclose(plain[0], oracles.siren_kernel(state, np.asarray(grid[0], np.float64)), atol=1e-12)
    assert evaluated(kernel, (3, 4), conditioning[:0])[0].shape == (0, 5, 7, 4)


def test_conditioning_without_a_generator_is_ignored():
    kernel = make()
    np.testing.assert_array_equal(*(evaluated(kernel, (3, 4), c)[0] for c in (jnp.ones((2, 9)), None)))


def test_identity_generator_leaves_the_kernel_alone(key):
    kernel = make()
    fresh = KernelFiLMGenerator.init(5, 8, 2, key=key)
    modulated = eqx.tree_at(lambda k: k.film_generator, kernel, fresh, is_leaf=lambda leaf: leaf is None)
    values = evaluated(modulated, (3, 4), jnp.ones((2, 5)))[0]
    np.testing.assert_allclose(values, np.broadcast_to(evaluated(kernel, (3, 4))[0], values.shape), atol=1e-6)


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
def test_layers_before_the_first_modulation_run_once(batch, after):
    kernel = make(generator=generator(3 if after else 2), after=after)
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


def test_geometry():
    np.testing.assert_array_equal(axis_coordinates(5, 5), np.linspace(-1, 1, 9, dtype=np.float32))
    np.testing.assert_array_equal(axis_coordinates(3, 5), np.linspace(-0.5, 0.5, 5, dtype=np.float32))
    np.testing.assert_allclose(axis_coordinates(7, 5), np.linspace(-1.5, 1.5, 13))
    half = axis_coordinates(4, 5, resolution=2, causal=True)
    np.testing.assert_allclose(half, oracles.axis(4, 5, resolution=2, causal=True))
    kernel = make(L_cache=[4, 6])
    assert (kernel.L_cache, kernel.L_cache_per_axis) == ((4, 6), (4, 6))
    assert (make(L_cache=5).L_cache, make(L_cache=5).L_cache_per_axis) == (5, (5, 5))
    assert (kernel.data_dim, kernel.embedding_dim, kernel.omega_0, kernel.use_bias) == (2, 8, 3.0, True)
    assert (kernel.num_layers, kernel.num_film_layers, kernel.out_dim) == (3, 2, 4)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision(dtype):
    kernel = make(1, 2000, generator=generator(2), dtype=dtype)
    values, grid = evaluated(kernel, (2000,))
    assert (values.dtype, grid.dtype) == (dtype, jnp.float32)
    assert len(np.unique(grid)) == 3999
    (first, _), weights = evaluated(kernel.positional_embedding, (2000,)), to_state_dict(kernel)
    weight, bias = (
        np.asarray(weights[f"positional_embedding.linear.{part}"], np.float64) for part in ("weight", "bias")
    )
    exact = np.sin(np.asarray(grid[0], np.float64) @ weight.T + bias)
    # Projection and sine in float32: one rounding, to the dtype of the result.
    np.testing.assert_allclose(np.asarray(first[0], np.float64), exact, atol=float(jnp.finfo(dtype).eps))
    assert evaluated(kernel, (3,), jnp.ones((2, 5), dtype))[0].dtype == dtype


def test_gradients(x64):
    kernel = make(generator=generator(2))
    random = np.random.default_rng(1)
    conditioning = jnp.asarray(random.normal(size=(2, 5)))
    loss = jax.jit(lambda kernel: (kernel((2, 3), conditioning)[0] ** 2).sum())
    gradient = jax.grad(loss)(kernel)
    direction = jax.tree.map(lambda leaf: random.normal(size=leaf.shape), kernel)
    along = sum(jax.tree.leaves(jax.tree.map(lambda g, d: (np.asarray(g) * d).sum(), gradient, direction)))
    ahead, behind = (
        loss(jax.tree.map(lambda leaf, d, step=step: np.asarray(leaf) + step * d, kernel, direction))
        for step in (1e-6, -1e-6)
    )
    np.testing.assert_allclose(along, (ahead - behind) / 2e-6, rtol=1e-6)
    assert all(np.any(leaf) for leaf in jax.tree.leaves(gradient))


def test_ensemble():
    """Kernels side by side in one tree, with an axis more."""
    kernels = [make(1, 4), make(1, 4, omega_0=3.0)]
    kernels[1] = jax.tree.map(lambda leaf: -leaf, kernels[1])
    together = jax.tree.map(lambda *leaves: np.stack(leaves), *kernels)
    values = jax.jit(jax.vmap(lambda kernel: kernel((4,))[0]))(together)
    for one, kernel in zip(values, kernels, strict=True):
        np.testing.assert_allclose(one, evaluated(kernel, (4,))[0], atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"out_dim": 0}, ValueError, "`out_dim` must be a positive integer, got 0"),
        ({"data_dim": 0}, ValueError, "`data_dim` must be a positive integer, got 0"),
        ({"mlp_hidden_dim": 0}, ValueError, "`mlp_hidden_dim` must be a positive integer, got 0"),
        ({"embedding_dim": -1}, ValueError, "`embedding_dim` must be a positive integer, got -1"),
        ({"num_layers": 1}, ValueError, "`num_layers` must be an integer of at least 2, got 1"),
        ({"omega_0": 0.0}, ValueError, "`omega_0` must be positive"),
        ({"hidden_omega_0": -1.0}, ValueError, "`hidden_omega_0` must be positive"),
        ({"L_cache": 1}, ValueError, "`L_cache` must be an integer of at least 2, got 1"),
        ({"L_cache": True}, TypeError, "`L_cache` must be an integer of at least 2, got True"),
        ({"L_cache": (4,)}, ValueError, "`L_cache` must be one value or 2 values"),
        ({"L_cache": (4, 1)}, ValueError, r"`L_cache\[1\]` must be an integer of at least 2, got 1"),
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


def test_a_generator_of_ones_own():
    kernel = make(num_layers=2, generator=OneLayer())
    values = evaluated(kernel, (3, 4), jnp.ones((3, 9)))[0]
    np.testing.assert_allclose(values, np.broadcast_to(evaluated(kernel, (3, 4))[0], values.shape), atol=1e-6)


def test_more_errors(key):
    with pytest.raises(ValueError, match="has num_film_layers=3, but this kernel needs 2"):
        make(generator=generator(3))
    with pytest.raises(ValueError, match="has num_film_layers=2, but this kernel needs 3"):
        make(generator=generator(2), after=True)
    with pytest.raises(ValueError, match="has kernel_hidden_dim=4, but this kernel needs 8"):
        make(generator=KernelFiLMGenerator.init(5, 4, 2, key=key))
    with pytest.raises(ValueError, match="has num_film_layers=1, but this kernel needs 2"):
        make(generator=OneLayer())((3, 4), jnp.ones((1, 5)))
    with pytest.raises(ValueError, match=r"`seq_lens` must be a tuple of 2, .* got \(3,\)"):
        make()((3,))
    with pytest.raises(ValueError, match=r"`seq_lens\[1\]` must be a positive integer, got 0"):
        make()((3, 0))
    with pytest.raises(ValueError, match="`L_cache` must be an integer of at least 2, got 1"):
        axis_coordinates(3, 1)
    with pytest.raises(ValueError, match="`resolution` must be positive"):
        axis_coordinates(3, 4, resolution=0.0)
    with pytest.raises(ValueError, match="`omega_0` must be positive"):
        SIRENPositionalEmbeddingND.init(1, 4, 4, omega_0=-1.0, key=key)


@pytest.mark.parametrize("generator", ["film", KernelFiLMGenerator])
def test_a_generator_that_is_no_module_is_refused(generator):
    with pytest.raises(TypeError, match="film_generator"):
        SIRENKernelND.init(
            out_dim=1,
            data_dim=1,
            mlp_hidden_dim=4,
            num_layers=2,
            embedding_dim=4,
            omega_0=1.0,
            L_cache=4,
            use_bias=True,
            film_generator=generator,
            key=jax.random.key(0),
        )
