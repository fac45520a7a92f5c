"""The layer against direct convolution in NumPy, with the kernel written from its formulas."""

import functools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import oracles_jax
import oracles_kernels as oracles
import pytest
from filled import filled
from kernels_jax import (
    BayesianSIRENKernelND,
    CKConvND,
    ExponentialModulationND,
    GaussianModulationND,
    KernelFiLMGenerator,
    PreparedConvolution,
    PyroxModule,
    SIRENKernelND,
    fftconv_nd,
    pyrox_method,
)
from kernels_jax.interop import to_state_dict
from numpyro import distributions as dist
from numpyro import handlers

KEY = jax.random.key(0)
C = 3


def kernel_of(data_dim, L_cache, *, modulated=False, **changes):
    """A function of `key` that returns a kernel."""

    def kernel(key):
        generator = KernelFiLMGenerator.init(2, 5, 2, film_hidden_dim=4, key=key) if modulated else None
        sizes = {"mlp_hidden_dim": 5, "num_layers": 3, "embedding_dim": 4, "omega_0": 1.0, "use_bias": True, **changes}
        return SIRENKernelND.init(C, data_dim, **sizes, L_cache=L_cache, film_generator=generator, key=key)

    return kernel


def make(data_dim, L_cache, *, window=True, modulated=False, dtype=None, **options):
    mask = functools.partial(GaussianModulationND.init, data_dim=data_dim, num_channels=C) if window else None
    kernel = kernel_of(data_dim, L_cache, modulated=modulated)
    layer = filled(lambda: CKConvND.init(data_dim, C, kernel, mask, **options, key=KEY), dtype)
    if window:  # widths inside their bounds
        width = jnp.linspace(0.4, 0.9, data_dim * C).reshape(data_dim, C).astype(dtype or "float32")
        layer = eqx.tree_at(lambda layer: layer.mask.std_param, layer, width)
    return layer


def expected_taps(layer, size, paddings, grids, L_cache, *, resolution=None, conditioning=None):
    """`(1|B, C, *K)`: the formulas of kernel, FiLM, window and Riemann sum at the positions that the layer needs."""
    resolution = resolution or (1.0,) * len(size)
    axes = []
    for n, padding, grid, length, finer in zip(size, paddings, grids, L_cache, resolution, strict=True):
        points, spacing = ((n + 1) // 2, (length + 1) // 2) if grid == "single" else (n, length)
        axes.append(oracles.axis(points, spacing, resolution=finer, causal=padding == "causal"))
    positions = oracles.grid(axes)
    weights = to_state_dict(layer.kernel)
    items = []
    for z in [None] if conditioning is None else conditioning:
        modulations = None
        if z is not None:
            film = {name.removeprefix("film_generator."): value for name, value in weights.items() if "film" in name}
            modulations = [None, *oracles_jax.film_generator(film, z, 2, 5)]
        items.append(oracles.siren_kernel(weights, positions, modulations=modulations))
    taps = np.stack(items) / math.prod(resolution)
    if layer.mask is not None:
        taps = taps * oracles.gaussian_mask(positions, layer.mask.std_param)
    return np.moveaxis(taps, -1, 1)


def expected_output(layer, x, paddings, taps):
    return oracles.depthwise(x, taps, paddings, layer.shortcut)


def assert_close(found, expected, tolerance=1e-5):
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


CASES = {
    "zero": ((9,), "zero", None, 8, 1.0),
    "zero, single": ((9,), "zero", "single", 8, 1.0),
    "circular, odd": ((9,), "circular", None, 8, 1.0),
    "circular, even": ((8,), "circular", "single", 7, 2.0),
    "causal": ((9,), "causal", None, 8, 1.5),
    "one position": ((1,), "zero", None, 8, 1.0),
    "one position, circular": ((1,), "circular", None, 8, 1.0),
    "2-d": ((5, 4), "zero", None, (4, 7), (1.0, 2.0)),
    "2-d, mixed": ((5, 4), ("causal", "circular"), None, (4, 7), (2.0, 0.5)),
    "2-d, circular": ((5, 4), "circular", None, (9, 6), 1.0),
    "3-d": ((3, 2, 4), ["circular", "causal", "zero"], None, 5, 1.0),
}


@pytest.mark.parametrize("modulated", [False, True], ids=["", "FiLM"])
@pytest.mark.parametrize("name", CASES)
def test_values(name, modulated):
    size, padding, grid_type, L_cache, resolution = CASES[name]
    axes = len(size)
    layer = make(axes, L_cache, modulated=modulated, fft_padding=padding, grid_type=grid_type)
    paddings = (padding,) * axes if isinstance(padding, str) else padding
    grids = [grid_type or ("single" if p == "circular" else "double") for p in paddings]
    lengths = (L_cache,) * axes if isinstance(L_cache, int) else L_cache
    finer = (resolution,) * axes if isinstance(resolution, float) else resolution
    random = np.random.default_rng(0)
    x = random.normal(size=(2, C, *size)).astype("float32")
    z = random.normal(size=(2, 2)).astype("float32") if modulated else None
    taps = expected_taps(layer, size, paddings, grids, lengths, resolution=finer, conditioning=z)
    expected = expected_output(layer, x, paddings, taps)

    @eqx.filter_jit
    def run(layer, first, z):
        last, of = jnp.moveaxis(first, 1, -1), {"conditioning": z, "resolution": resolution}
        prepared = layer.prepare(size, **of)
        both = layer(first, **of, is_bhl_input=True), prepared(first, is_bhl_input=True)
        return layer.taps(size, **of), both, (layer(last, **of), prepared(last))

    found, first, last = run(layer, jnp.asarray(x), None if z is None else jnp.asarray(z))
    assert_close(found, np.moveaxis(taps, 1, -1))
    for y in first:
        assert_close(y, expected)
    for y in last:
        assert_close(y, np.moveaxis(expected, 1, -1))


@pytest.mark.parametrize(
    ("L_cache", "options", "effective"),
    [
        (9, {}, (9, 9)),
        (9, {"fft_padding": "circular"}, (5, 5)),
        (8, {"fft_padding": "circular"}, (4, 4)),
        ((9, 6), {"fft_padding": "circular"}, (5, 3)),
        (9, {"fft_padding": ("zero", "circular")}, (9, 5)),
        ([12, 7], {"fft_padding": ["circular", "causal"]}, (6, 7)),
        (3, {"grid_type": "single"}, (2, 2)),
        (9, {"fft_padding": "causal", "grid_type": "double"}, (9, 9)),
    ],
)
def test_L_cache_halves_on_single_axes_and_the_window_gets_its_grid_size(L_cache, options, effective):
    layer = make(2, L_cache, **options)
    assert layer.L_cache_per_axis == effective
    assert layer.mask.grid_size == 2 * max(effective) - 1


@pytest.mark.parametrize("use", [lambda kernel: kernel, lambda kernel: lambda key: kernel(key=key)])
def test_a_new_readout_is_drawn_for_the_kernel_s_half(use):
    """As in PyTorch, the energy of a new kernel depends neither on the resolution nor on the boundary."""
    described = use(functools.partial(SIRENKernelND.init, 64, 2, 64, 2, 4, 1.0, 16, True))
    for padding, L_cache in {"zero": 16, "circular": 8}.items():
        layer = CKConvND.init(2, 64, described, fft_padding=padding, key=KEY)
        bound = np.sqrt(6 / 64) / L_cache
        weight = layer.kernel.out_linear.weight
        np.testing.assert_allclose(jnp.abs(weight).max(), bound, rtol=1e-2)
        np.testing.assert_allclose(weight.std(), bound / np.sqrt(3), rtol=3e-2)


def test_initial_values():
    kernel_64 = functools.partial(SIRENKernelND.init, 64, 1, 4, 2, 4, 1.0, 8, True)
    layer = CKConvND.init(1, 64, kernel_64, key=KEY)
    assert layer.mask is None
    assert 0.11 < float(jnp.abs(layer.shortcut).max()) <= 0.125
    assert not eqx.tree_equal(layer, CKConvND.init(1, 64, kernel_64, key=jax.random.key(1)))
    assert eqx.tree_equal(layer, CKConvND.init(1, 64, kernel_64, key=KEY))


def test_ready_parts_are_kept():
    kernel, mask = kernel_of(1, 8)(KEY), GaussianModulationND.init(1, C, grid_size=7)
    layer = CKConvND.init(1, C, kernel, mask, fft_padding="circular", key=KEY)
    assert eqx.tree_equal((layer.kernel.out_linear, layer.mask), (kernel.out_linear, mask))
    # Those of a layer fit another one with the same boundaries: nothing is halved twice.
    again = CKConvND.init(1, C, layer.kernel, layer.mask, fft_padding="circular", key=KEY)
    assert eqx.tree_equal(again, layer)


@pytest.mark.parametrize("mask", [
    lambda: ExponentialModulationND.init(1, C),
    functools.partial(ExponentialModulationND.init, 1, C),
    functools.partial(GaussianModulationND.init, 1, C, grid_size=99),
    lambda grid_size, key: GaussianModulationND.init(1, C, grid_size),
])  # fmt: skip
def test_functions_that_return_a_window(mask):
    layer = CKConvND.init(1, C, kernel_of(1, 8), mask, key=KEY)
    assert getattr(layer.mask, "grid_size", 15) == 15
    assert layer(jnp.ones((1, 4, C))).shape == (1, 4, C)


class Wave(eqx.Module):
    """A kernel of one's own."""

    rate: jax.Array
    data_dim: int = eqx.field(static=True, default=1)
    out_dim: int = eqx.field(static=True, default=C)
    L_cache_per_axis: tuple[int, ...] = eqx.field(static=True, default=(8,))

    def evaluate(self, axes, conditioning=None):
        return jnp.cos(axes[0][None, :, None] * self.rate)


def test_a_kernel_of_one_s_own():
    rate, x = jnp.array([1.0, 2.0, 3.0]), np.random.default_rng(0).normal(size=(2, C, 6)).astype("float32")
    for mask in (None, functools.partial(GaussianModulationND.init, 1, C)):
        layer = CKConvND.init(1, C, Wave(rate), mask, fft_padding="circular", key=KEY)
        positions = oracles.axis(3, 4)
        taps = np.cos(positions * np.asarray(rate)[:, None])
        if mask is not None:
            taps = taps * oracles.gaussian_mask(positions[:, None], layer.mask.std()).T
        expected = oracles.depthwise(x, taps[None], ("circular",), layer.shortcut)
        assert_close(layer(jnp.asarray(x), is_bhl_input=True), expected)


def test_a_causal_layer_does_not_look_ahead(x64):
    layer = make(1, 8, is_causal=True, dtype="float64")
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 12, C)))
    y, later = (layer(signal) for signal in (x, x.at[:, 7:].add(1.0)))
    np.testing.assert_allclose(y[:, :7], later[:, :7], rtol=0, atol=1e-13)
    assert float(jnp.abs(y - later)[:, 7:].min()) > 1e-3


def test_transformations(x64):
    """jit, vmap over layers and data, and derivatives of the first and second order, in float64."""
    layer = make(1, 8, modulated=True, dtype="float64")
    random = np.random.default_rng(0)
    x, z = jnp.asarray(random.normal(size=(2, 6, C))), jnp.asarray(random.normal(size=(2, 2)))
    y = eqx.filter_jit(layer)(x, z)
    assert y.dtype == jnp.float64
    taps = expected_taps(layer, (6,), ("zero",), ("double",), (8,), conditioning=z)
    expected = expected_output(layer, jnp.moveaxis(x, -1, 1), ("zero",), taps)
    np.testing.assert_allclose(y, np.moveaxis(expected, 1, -1), rtol=0, atol=1e-6)  # positions are float32
    np.testing.assert_allclose(jax.jit(lambda layer, x, z: layer(x, z))(layer, x, z), y, atol=1e-12)
    rows = jax.jit(jax.vmap(lambda x, z: layer(x[None], z[None])[0]))(x, z)
    np.testing.assert_allclose(rows, y, atol=1e-12)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), layer, layer)
    np.testing.assert_allclose(eqx.filter_jit(eqx.filter_vmap(lambda layer: layer(x, z)))(stacked)[1], y, atol=1e-12)

    @jax.jit
    def loss(weight, x):
        return (eqx.tree_at(lambda layer: layer.kernel.out_linear.weight, layer, weight)(x, z) ** 2).sum()

    # The layer is linear in its readout and in x, so this loss is quadratic in each.
    weight = layer.kernel.out_linear.weight
    for argument, at in enumerate((weight, x)):
        step = 0.1 * jnp.asarray(random.normal(size=at.shape))
        moved = [(weight + sign * step, x) if argument == 0 else (weight, x + sign * step) for sign in (0, 1, -1)]
        here, forth, back = (loss(*arguments) for arguments in moved)
        gradient = jax.jit(jax.grad(loss, argument))(weight, x)
        hessian = jax.jit(jax.hessian(loss, argument))(weight, x).reshape(at.size, at.size)
        np.testing.assert_allclose((gradient * step).sum(), (forth - back) / 2, rtol=1e-7)
        np.testing.assert_allclose(step.ravel() @ hessian @ step.ravel(), forth + back - 2 * here, rtol=1e-7)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision(dtype):
    layer, x = make(2, 5), jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 4, C)), dtype)
    y, prepared = layer(x), layer.prepare((5, 4))(x)
    assert y.dtype == prepared.dtype == x.dtype
    exact = layer(x.astype("float32"))
    for found in (y, prepared):
        np.testing.assert_allclose(found.astype("float32"), exact, rtol=1e-2, atol=1e-2)
    half = jax.tree.map(lambda leaf: leaf.astype(dtype), layer)
    assert half(x).dtype == x.dtype


def test_training_and_filtered_transformations():
    layer, x = make(1, 8, fft_padding="circular"), jnp.asarray(np.random.default_rng(0).normal(size=(2, 8, C)))

    @eqx.filter_jit
    @eqx.filter_value_and_grad
    def loss(layer):
        return ((layer(x) - jnp.roll(x, 1, axis=1)) ** 2).mean()

    first, gradient = loss(layer)
    for _ in range(20):
        _, gradient = loss(layer)
        layer = eqx.apply_updates(layer, jax.tree.map(lambda g: -0.1 * g, gradient))
    assert loss(layer)[0] < 0.7 * first
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def bayesian(name=None):
    kernel = lambda key: BayesianSIRENKernelND.init(kernel_of(1, 8)(key))  # noqa: E731
    return CKConvND.init(1, C, kernel, is_causal=True, key=KEY, pyrox_name=name)


class Stack(PyroxModule):
    layers: tuple[CKConvND, ...]

    @pyrox_method
    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


def test_sites_are_named_by_place():
    x = jnp.ones((1, 6, C))
    parts = ("weight", "bias")
    for model, names in (
        (bayesian(), ["CKConvND.kernel"]),
        (bayesian("conv"), ["conv.kernel"]),
        (Stack((bayesian(), bayesian())), ["Stack.layers.0.kernel", "Stack.layers.1.kernel"]),
    ):
        expected = [f"{name}.out_linear.{part}" for name in names for part in parts]
        assert list(handlers.trace(handlers.seed(model, 0)).get_trace(x)) == expected


def test_the_log_density_of_a_layer_s_readout():
    """With the values of the sites as weights, a Bayesian layer is the layer."""
    layer, x = bayesian("conv"), jnp.asarray(np.random.default_rng(0).normal(size=(2, 6, C)), "float32")
    random = np.random.default_rng(1)
    weight, bias = (jnp.asarray(random.normal(size=shape), "float32") for shape in ((C, 5), (C,)))
    values = {"conv.kernel.out_linear.weight": weight, "conv.kernel.out_linear.bias": bias}
    plain = eqx.tree_at(
        lambda layer: (layer.kernel.out_linear.weight, layer.kernel.out_linear.bias),
        eqx.tree_at(lambda layer: layer.kernel, layer, layer.kernel.kernel),
        (weight, bias),
    )
    taps = expected_taps(plain, (6,), ("causal",), ("double",), (8,))
    y = np.moveaxis(expected_output(plain, jnp.moveaxis(x, -1, 1), ("causal",), taps), 1, -1)
    assert_close(handlers.substitute(layer, data=values)(x), y)
    assert_close(handlers.substitute(layer.prepare, data=values)(6)(x), y)

    def model(x, y):
        numpyro.sample("y", dist.Normal(layer(x), 0.5), obs=y)

    density, _ = numpyro.infer.util.log_density(model, (x, jnp.zeros_like(x)), {}, values)
    std = np.sqrt(6 / 5) / np.sqrt(8) / np.sqrt(3)
    normal = lambda r, s: (-0.5 * (np.asarray(r) / s) ** 2 - np.log(s * np.sqrt(2 * np.pi))).sum()  # noqa: E731
    np.testing.assert_allclose(density, normal(y, 0.5) + normal(weight, std) + normal(bias, std), rtol=1e-4)


def test_a_prepared_layer_transforms_the_input_only():
    layer, x = make(2, 5, fft_padding=("zero", "circular")), jnp.ones((2, 5, 4, C))
    prepared = eqx.filter_jit(layer.prepare)((5, 4))
    assert isinstance(prepared, PreparedConvolution)
    operations = str(jax.make_jaxpr(lambda prepared, x: prepared(x))(prepared, x))
    assert operations.count("fft[") == 4  # of the input, there and back, along both axes
    assert " sin " not in operations
    assert " sin " in str(jax.make_jaxpr(lambda layer, x: layer(x))(layer, x))


def test_prepared_kernels_of_any_kind():
    random = np.random.default_rng(0)
    x = random.normal(size=(2, C, 6, 4)).astype("float32")
    for paddings in (("zero", "circular"), ("causal", "zero")):
        for taps in ((3, 2), (13, 9)):  # longer than the signal, too
            kernel = random.normal(size=(2, C, *taps)).astype("float32")
            shortcut = random.normal(size=C).astype("float32")
            prepared = PreparedConvolution.init(jnp.asarray(kernel), (6, 4), jnp.asarray(shortcut), padding=paddings)
            found = prepared(jnp.asarray(x), is_bhl_input=True)
            assert_close(found, oracles.depthwise(x, kernel, paddings, shortcut))
            same = fftconv_nd(jnp.asarray(x), jnp.asarray(kernel), jnp.asarray(shortcut), padding=paddings)
            assert_close(found, np.asarray(same))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: p(jnp.ones((2, 5, C))), r"`x` must be \(B, 6, 3\) here; got shape \(2, 5, 3\)"),
        (lambda p: p(jnp.ones((2, 6, C)), is_bhl_input=True), r"`x` must be \(B, 3, 6\) here; got shape \(2, 6, 3\)"),
        (lambda p: p(jnp.ones((2, 6, C), int)), "`x` must be a float16, .* array, got int32"),
        (lambda _: PreparedConvolution.init(jnp.ones((1, C)), ()), r"`kernel` must be \(1\|B, C, \*K\)"),
        (lambda _: PreparedConvolution.init(jnp.ones((1, C, 2), int), 4), "`kernel` must be a float16"),
        (lambda _: PreparedConvolution.init(jnp.ones((1, C, 2)), 0), "`size` must be a positive integer, got 0"),
        (lambda _: PreparedConvolution.init(jnp.ones((1, C, 2)), (4, 4)), "`size` must be one value or 1 values"),
        (lambda _: PreparedConvolution.init(jnp.ones((1, C, 2)), 4, jnp.ones(2)), r"`shortcut` must have shape \(3,\)"),
        (lambda _: PreparedConvolution.init(jnp.ones((1, C, 2)), 4, padding="same"), "`padding` must be one of"),
    ],
)
def test_errors_of_prepared_convolutions(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call(make(1, 8).prepare(6))


def test_per_item_kernels_need_as_many_items():
    layer = make(1, 8, modulated=True)
    prepared = layer.prepare(6, jnp.ones((2, 2)))
    with pytest.raises(ValueError, match=r"`x` must be \(2, 6, 3\) here; got shape \(4, 6, 3\)"):
        prepared(jnp.ones((4, 6, C)))
    with pytest.raises(ValueError, match="`conditioning` gives 2 kernels for the 4 batch items of `x`"):
        layer(jnp.ones((4, 6, C)), jnp.ones((2, 2)))


def test_conditioning_without_a_generator_is_ignored_with_a_warning():
    layer, x = make(1, 8), jnp.ones((2, 6, C))
    with pytest.warns(UserWarning, match="`conditioning` is ignored: the SIRENKernelND of this layer has no"):
        y = layer(x, jnp.ones((2, 2)))
    np.testing.assert_array_equal(y, layer(x))


READY = kernel_of(1, 8)(KEY)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data_dim": 0}, "`data_dim` must be a positive integer, got 0"),
        ({"hidden_dim": 4}, "`kernel` is a SIRENKernelND with out_dim=3; this layer needs 4"),
        ({"data_dim": 2}, "`kernel` is a SIRENKernelND with data_dim=1; this layer needs 2"),
        ({"kernel": 3}, "`kernel` must be a module with `evaluate` or a function of `key` that returns one, got 3"),
        ({"kernel": SIRENKernelND}, "`kernel` must be a module with `evaluate` or a function of `key`"),
        ({"kernel": lambda seed: READY}, "`kernel` must be .*: missing a required argument: 'seed'"),
        ({"kernel": lambda key: 3}, r"`kernel` must return a module with `evaluate`, got 3 \(int\)"),
        ({"mask": "gaussian"}, "`mask` must be a module with `window` or a function of `grid_size` and `key`"),
        (
            {"mask": GaussianModulationND.init(1, C, 15), "fft_padding": "circular"},
            r"grid_size=15, which does not fit `kernel`: with L_cache=\(8,\).* as \(4,\), it needs .* = 7",
        ),
        ({"mask": GaussianModulationND.init(2, C, 15)}, "GaussianModulationND with data_dim=2; this layer needs 1"),
        ({"mask": GaussianModulationND.init(1, 4, 15)}, "GaussianModulationND with num_channels=4; this layer needs 3"),
        ({"kernel": kernel_of(1, 2), "fft_padding": "circular"}, r"L_cache=\(2,\): single axes halve it, .* 3"),
        ({"fft_padding": "same"}, "`fft_padding` must be one of 'zero', 'circular', 'causal'; got 'same'"),
        ({"fft_padding": ("zero", "zero")}, "`fft_padding` must be one value or 1 values"),
        ({"fft_padding": "circular", "grid_type": "double"}, "`grid_type` must be 'single' or None on circular axes"),
        ({"fft_padding": "causal", "grid_type": "single"}, "`grid_type` must be 'double' or None on causal axes"),
        ({"fft_padding": ["zero"], "grid_type": "double"}, "`grid_type` must be None with one `fft_padding` per axis"),
        ({"grid_type": "triple"}, "`grid_type` must be one of 'double', 'single'"),
        ({"is_causal": True, "fft_padding": "circular"}, "`is_causal=True` goes with fft_padding='zero' or 'causal'"),
        ({"is_causal": True, "data_dim": 2}, "`is_causal=True` needs data_dim=1, got 2"),
    ],
)
def test_errors_at_construction(arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        CKConvND.init.__wrapped__(
            CKConvND, **{"data_dim": 1, "hidden_dim": C, "kernel": READY, "key": KEY, **arguments}
        )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda layer: layer(jnp.ones((2, 6, 4))), r"`x` must be \(B, \*N, C\) with 1 spatial axes and 3 channels"),
        (
            lambda layer: layer(jnp.ones((2, 6, C)), is_bhl_input=True),
            r"`x` must be \(B, C, \*N\) .*got shape \(2, 6, 3",
        ),
        (lambda layer: layer(jnp.ones((6, C))), r"`x` must be .*; got shape \(6, 3\)"),
        (lambda layer: layer(jnp.ones((2, 0, C))), r"`x` has an empty spatial axis: shape \(2, 0, 3\)"),
        (lambda layer: layer(jnp.ones((2, 6, C), int)), "`x` must be a float16, .* array, got int32"),
        (lambda layer: layer(jnp.ones((2, 6, C)), None, -1.0), "`resolution` must be positive"),
        (lambda layer: layer(jnp.ones((2, 6, C)), None, (1.0, 2.0)), "`resolution` must be one value or 1 values"),
        (lambda layer: layer.taps(0), "`size` must be a positive integer"),
        (lambda layer: layer.prepare((6, 6)), "`size` must be one value or 1 values"),
    ],
)
def test_errors_of_calls(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call(make(1, 8))


def test_a_part_that_was_replaced_is_checked_too():
    layer, x = make(1, 8), jnp.ones((1, 6, C))
    other = eqx.tree_at(lambda layer: layer.mask, layer, GaussianModulationND.init(1, C, grid_size=31))
    with pytest.raises(ValueError, match=r"grid_size=31, which does not fit `kernel`: .* = 15"):
        other(x)
    other = eqx.tree_at(lambda layer: layer.kernel, layer, kernel_of(1, 16)(KEY))
    with pytest.raises(ValueError, match=r"grid_size=15, which does not fit `kernel`: .* = 31"):
        jax.jit(lambda layer: layer(x))(other)


def test_a_kernel_of_another_shape_is_refused():
    class Wrong(Wave):
        def evaluate(self, axes, conditioning=None):
            return jnp.ones((1, 4, C))

    layer = CKConvND.init(1, C, Wrong(jnp.ones(C)), key=KEY)
    with pytest.raises(ValueError, match=r"Wrong must return \(1\|B, 11, 3\) here, got \(1, 4, 3\)"):
        layer(jnp.ones((1, 6, C)))
