"""Weights moved between PyTorch and JAX give the same values, gradients and files."""

from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import kernels_core as core
import kernels_film as film
import kernels_jax as kj
import numpy as np
import pytest
import safetensors.torch
import torch
from kernels_jax import interop

KEY = jax.random.key(0)
# Phases of tens of radians have errors of tens of units in the last place.
ROUNDING = 1e-5
SIZES = {"out_dim": 4, "mlp_hidden_dim": 8, "embedding_dim": 8, "omega_0": 5.0}
# Grid lengths and L_cache by number of axes: even and odd, equal and different.
GRIDS: dict[int, tuple[tuple[int, ...], Any]] = {1: ((9,), 7), 2: ((4, 7), (4, 9)), 3: ((2, 3, 4), 4)}
WINDOWS: dict[str, tuple[str, dict[str, Any]]] = {
    "exponential": ("ExponentialModulationND", {"slow_decay_pct": 0.5}),
    "gaussian": ("GaussianModulationND", {"grid_size": 13}),
    "gaussian, log": ("GaussianModulationND", {"grid_size": 13, "parametrization": "log", "init_extent": 0.5}),
    "gaussian, softplus": ("GaussianModulationND", {"grid_size": 13, "parametrization": "softplus"}),
    "block aligned": ("BlockAlignedGaussianModulationND", {"grid_size": 13, "min_attenuation_at_step": 0.3}),
}


def to_jax(tensor: torch.Tensor) -> jax.Array:
    return jnp.asarray(tensor.detach().numpy())


@eqx.filter_jit
def evaluate(kernel: Any, lengths: tuple[int, ...], conditioning: jax.Array | None = None) -> Any:
    return kernel(lengths, conditioning)


def assert_close(found: Any, expected: torch.Tensor, tolerance: float = 2e-6) -> None:
    """Equality up to `tolerance`, relative to the largest value."""
    assert found.shape == tuple(expected.shape)
    assert str(found.dtype) == str(expected.dtype).removeprefix("torch.")
    found, expected = np.asarray(found, dtype=np.float64), expected.detach().double().numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * max(1e-3, np.abs(expected).max(initial=0.0)))


def randomize(module: torch.nn.Module) -> None:
    """Move every parameter away from its initial value."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.1 * torch.randn_like(parameter)


def torch_kernel(data_dim: int, modulations: int = 0, after: bool = False, **changes: Any) -> core.SIRENKernelND:
    torch.manual_seed(0)
    generator = film.KernelFiLMGenerator(5, 8, modulations, film_hidden_dim=6) if modulations else None
    kernel = core.SIRENKernelND(
        **{**SIZES, "data_dim": data_dim, "num_layers": 3, "L_cache": GRIDS[data_dim][1], "use_bias": True, **changes},
        film_cfg=generator,
        film_after_pos_embed=after,
    )
    randomize(kernel)
    return kernel


def jax_kernel(data_dim: int, modulations: int = 0, after: bool = False, **changes: Any) -> kj.SIRENKernelND:
    """A kernel of shapes only, into which weights are loaded."""
    sizes = {**SIZES, "data_dim": data_dim, "num_layers": 3, "L_cache": GRIDS[data_dim][1], "use_bias": True, **changes}
    options = {"film_hidden_dim": 6, "key": KEY}

    def make() -> kj.SIRENKernelND:
        generator = kj.KernelFiLMGenerator.init(5, 8, modulations, **options) if modulations else None
        return kj.SIRENKernelND.init(**sizes, film_generator=generator, film_after_pos_embed=after, key=KEY)

    return eqx.filter_eval_shape(make)


def load_back(layer: torch.nn.Module, module: Any) -> None:
    layer.load_state_dict({name: torch.from_numpy(value) for name, value in interop.to_state_dict(module).items()})


KERNELS: dict[str, tuple[int, dict[str, Any]]] = {
    "1-d": (1, {}),
    "2-d": (2, {}),
    "3-d": (3, {}),
    "two layers": (2, {"num_layers": 2}),
    "five layers": (1, {"num_layers": 5}),
    "no biases": (2, {"use_bias": False}),
    "other widths": (1, {"embedding_dim": 6, "mlp_hidden_dim": 10}),
    "FiLM": (2, {"modulations": 2}),
    "FiLM, 3-d, deep": (3, {"modulations": 4, "num_layers": 5}),
    "FiLM, first layer too": (1, {"modulations": 3, "after": True}),
}


@pytest.mark.parametrize("name", KERNELS)
def test_kernels(name: str) -> None:
    data_dim, options = KERNELS[name]
    there = torch_kernel(data_dim, **options)
    state = there.state_dict(keep_vars=True)  # parameters with requires_grad, as torch saves them
    here = interop.from_state_dict(jax_kernel(data_dim, **options), state)
    lengths = GRIDS[data_dim][0]
    conditionings = [None, torch.randn(3, 5)] if options.get("modulations") else [None]
    for conditioning in conditionings:
        values, grid = there(lengths, conditioning)
        found, found_grid = evaluate(here, lengths, None if conditioning is None else to_jax(conditioning))
        assert_close(found, values, ROUNDING)
        assert_close(found_grid, grid, tolerance=1e-7)
        if conditioning is not None:
            assert found.shape[0] == 3
    # Loaded back into a layer with other weights, they are equal bit for bit.
    other = torch_kernel(data_dim, **options)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    load_back(other, here)
    for key, value in there.state_dict().items():
        assert torch.equal(other.state_dict()[key], value), key


@pytest.mark.parametrize("modulated", [False, True])
def test_gradients_of_a_kernel(modulated: bool) -> None:
    modulations = 2 if modulated else 0
    there = torch_kernel(2, modulations)
    here = interop.from_state_dict(jax_kernel(2, modulations), there.state_dict())
    conditioning = torch.randn(3, 5) if modulated else None
    values, _ = there((4, 7), conditioning)
    target = torch.randn_like(values)
    (values * target).sum().backward()
    given = None if conditioning is None else to_jax(conditioning)
    gradient = jax.jit(jax.grad(lambda kernel: (kernel((4, 7), given)[0] * to_jax(target)).sum()))(here)
    found = interop.to_state_dict(gradient)
    assert set(found) == {name for name, _ in there.named_parameters()}
    for name, parameter in there.named_parameters():
        assert parameter.grad is not None
        assert_close(found[name], parameter.grad, tolerance=1e-5)


@pytest.mark.parametrize("modulations", [1, 4])
def test_film_generators(modulations: int) -> None:
    there = film.KernelFiLMGenerator(5, 8, modulations, film_hidden_dim=6, init_type="small_random", init_std=0.5)
    here = kj.KernelFiLMGenerator.init(5, 8, modulations, film_hidden_dim=6, key=KEY)
    here = interop.from_state_dict(here, there.state_dict())
    conditioning = 3 * torch.randn(7, 5)
    pairs = eqx.filter_jit(here)(to_jax(conditioning))
    for found, expected in zip(pairs, there(conditioning), strict=True):
        for part, value in zip(found, expected, strict=True):
            assert_close(part, value)
    other = film.KernelFiLMGenerator(5, 8, modulations, film_hidden_dim=6)
    load_back(other, here)
    assert all(torch.equal(a, b) for a, b in zip(other.parameters(), there.parameters(), strict=True))


def test_new_generator_does_not_change_the_kernel() -> None:
    there, here = torch_kernel(1, 2), jax_kernel(1, 2)
    fresh = film.KernelFiLMGenerator(5, 8, 2, film_hidden_dim=6).state_dict()
    state = {name: value for name, value in there.state_dict().items() if not name.startswith("film_generator")}
    here = interop.from_state_dict(here, {**state, **{f"film_generator.{name}": fresh[name] for name in fresh}})
    assert_close(evaluate(here, (9,), jnp.ones((1, 5)))[0], there((9,))[0], ROUNDING)


@pytest.mark.parametrize("data_dim", [1, 2, 3])
@pytest.mark.parametrize("name", WINDOWS)
def test_windows(name: str, data_dim: int) -> None:
    cls, options = WINDOWS[name]
    there = getattr(core, cls)(data_dim, 4, **options)
    here = getattr(kj, cls).init(data_dim, 4, **options)
    for attribute, value in interop.to_state_dict(here).items():  # the same initial values
        assert_close(value, there.state_dict()[attribute])
    with torch.no_grad():  # some inside the bounds, some outside
        (parameter,) = there.parameters()
        parameter += torch.linspace(-1.5, 1.5, parameter.numel()).view_as(parameter)
    here = interop.from_state_dict(here, there.state_dict())
    lengths, L_cache = GRIDS[data_dim]
    axes = kj.SIRENPositionalEmbeddingND.init(data_dim, 2, L_cache, 1.0, key=KEY).axes(lengths)
    torch_axes = [torch.from_numpy(np.array(positions)) for positions in axes]
    sizes = [len(positions) for positions in axes]
    x = torch.randn(2, *sizes, 4, requires_grad=True)
    grid = core.coordinate_grid(torch_axes)
    y = there(grid, x)
    target = torch.randn_like(y)
    (y * target).sum().backward()

    @jax.jit
    def run(window: Any, x: jax.Array, target: jax.Array) -> Any:
        y, pullback = jax.vjp(lambda window, x: window(to_jax(grid), x), window, x)
        return y, window.window(axes, x), *pullback(target)

    found, by_axes, gradient, gradient_x = run(here, to_jax(x), to_jax(target))
    assert_close(found, y)
    assert_close(by_axes, there.window(torch_axes, x))
    assert x.grad is not None
    assert_close(gradient_x, x.grad)
    for attribute, value in interop.to_state_dict(gradient).items():
        given = getattr(there, attribute).grad
        assert_close(value, torch.zeros_like(parameter) if given is None else given, tolerance=1e-5)
    other = getattr(core, cls)(data_dim, 4, **options)
    load_back(other, here)
    assert torch.equal(*(next(iter(window.state_dict().values())) for window in (other, there)))


MIXES: list[tuple[str, ...]] = [
    ("zero",),
    ("circular",),
    ("causal",),
    ("zero", "zero"),
    ("circular", "circular"),
    ("causal", "causal"),
    ("causal", "circular"),
    ("circular", "zero"),
    ("zero", "causal"),
    ("causal", "circular", "zero"),
    ("zero", "zero", "zero"),
    ("circular", "causal", "circular"),
]


@pytest.mark.parametrize("per_sample", [False, True], ids=["shared", "per sample"])
@pytest.mark.parametrize("paddings", MIXES, ids=" ".join)
def test_convolution_and_its_gradients(paddings: tuple[str, ...], per_sample: bool) -> None:
    torch.manual_seed(0)
    signal = (7, 6, 5)[: len(paddings)]
    # Even kernel lengths; longer than the signal except on circular axes.
    taps = [n - n % 2 if p == "circular" else 2 * n - n % 2 for n, p in zip(signal, paddings, strict=True)]
    last = len(paddings) == 2
    shapes = [(3, *signal, 4) if last else (3, 4, *signal), (4,)]
    kernels = 3 if per_sample else 1
    shapes.insert(1, (kernels, *taps, 4) if last else (kernels, 4, *taps))
    operands = [torch.randn(shape, requires_grad=True) for shape in shapes]
    y = core.fftconv_nd(*operands, padding=paddings, channels_last=last)
    target = torch.randn_like(y)
    expected = torch.autograd.grad((y * target).sum(), operands)

    @jax.jit
    def run(target: jax.Array, *operands: jax.Array) -> Any:
        y, pullback = jax.vjp(lambda *o: kj.fftconv_nd(*o, padding=paddings, channels_last=last), *operands)
        return y, pullback(target)

    found, gradients = run(*map(to_jax, (target, *operands)))
    assert_close(found, y)
    for found, value in zip(gradients, expected, strict=True):
        assert_close(found, value)


LAYERS: dict[str, dict[str, Any]] = {
    "zero": {"fft_padding": "zero"},
    "causal": {"fft_padding": "causal"},
    "causal time, zero space": {"fft_padding": ("causal", "zero")},
    "circular": {"fft_padding": "circular"},
}


@pytest.mark.parametrize("modulated", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_layer(name: str, modulated: bool, tmp_path: Path) -> None:
    """A CKConvND rebuilt in JAX: a dictionary of modules loads like one module."""
    torch.manual_seed(0)
    modulations = 2 if modulated else 0
    window = core.LazyConfig(core.GaussianModulationND)(data_dim=2, num_channels=4)
    # On circular axes, the kernel spans the signal once instead of twice.
    single = name == "circular"
    L_cache = 3 if single else 6
    kernel_cfg = core.LazyConfig(torch_kernel)(data_dim=2, modulations=modulations, L_cache=6)
    there = core.CKConvND(2, 4, kernel_cfg, window, **LAYERS[name])
    x, conditioning = torch.randn(3, 6, 5, 4), torch.randn(3, 5) if modulated else None
    safetensors.torch.save_file(there.state_dict(), tmp_path / "layer.safetensors")
    blank = {
        "kernel": jax_kernel(2, modulations, L_cache=L_cache),
        "mask": kj.GaussianModulationND.init(2, 4, grid_size=2 * L_cache - 1),
        "shortcut": jnp.zeros(4),
    }
    layer = interop.load_safetensors(blank, tmp_path / "layer.safetensors")
    paddings = LAYERS[name]["fft_padding"]
    paddings = (paddings,) * 2 if isinstance(paddings, str) else paddings

    @jax.jit
    def convolve(layer: Any, x: jax.Array, conditioning: jax.Array | None) -> jax.Array:
        lengths = [(n + 1) // 2 if single else n for n in x.shape[1:-1]]
        axes = [kj.axis_coordinates(n, L_cache, causal=p == "causal") for n, p in zip(lengths, paddings, strict=True)]
        kernel = layer["mask"].window(axes, layer["kernel"].evaluate(axes, conditioning))
        return kj.fftconv_nd(x, kernel, layer["shortcut"], padding=paddings, channels_last=True)

    given = None if conditioning is None else to_jax(conditioning)
    assert_close(convolve(layer, to_jax(x), given), there(x, conditioning=conditioning), tolerance=1e-5)
    # Load one module of the file by its prefix, and the whole file back into PyTorch.
    kernel = interop.load_safetensors(blank["kernel"], tmp_path / "layer.safetensors", prefix="kernel.")
    assert eqx.tree_equal(kernel, layer["kernel"])
    interop.save_safetensors(layer, tmp_path / "back.safetensors")
    back = safetensors.torch.load_file(tmp_path / "back.safetensors")
    assert back.keys() == there.state_dict().keys()
    there.load_state_dict(back)
    assert all(torch.equal(value, there.state_dict()[key]) for key, value in back.items())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype: torch.dtype, tmp_path: Path) -> None:
    there = torch_kernel(2, 2).to(dtype)
    half = str(dtype).removeprefix("torch.")
    blank = eqx.filter_eval_shape(lambda kernel: jax.tree.map(lambda leaf: leaf.astype(half), kernel), jax_kernel(2, 2))
    here = interop.from_state_dict(blank, there.state_dict())
    conditioning = torch.randn(3, 5).to(dtype)
    values, grid = there((4, 7), conditioning)
    given = jnp.asarray(conditioning.float().numpy()).astype(half)
    found, found_grid = evaluate(here, (4, 7), given)
    assert_close(found, values, tolerance=4 * torch.finfo(dtype).eps)
    assert_close(found_grid, grid, tolerance=1e-7)
    # The round trip through wider arrays keeps every bit.
    other = torch_kernel(2, 2).to(dtype)
    load_back(other, here)
    assert all(torch.equal(*pair) for pair in zip(other.parameters(), there.parameters(), strict=True))
    safetensors.torch.save_file(there.state_dict(), tmp_path / "kernel.safetensors")
    assert eqx.tree_equal(interop.load_safetensors(blank, tmp_path / "kernel.safetensors"), here)
    interop.save_safetensors(here, tmp_path / "back.safetensors")
    for key, value in safetensors.torch.load_file(tmp_path / "back.safetensors").items():
        assert value.dtype == dtype
        assert torch.equal(value, there.state_dict()[key])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_convolution_of_other_dtypes(dtype: torch.dtype) -> None:
    x, kernel = torch.randn(2, 3, 9).to(dtype), torch.randn(1, 3, 5)
    given = jnp.asarray(x.float().numpy()).astype(str(dtype).removeprefix("torch."))
    found = kj.fftconv_nd(given, to_jax(kernel), padding="causal")
    assert_close(found, core.fftconv_nd(x, kernel, padding="causal"), tolerance=max(2e-6, torch.finfo(dtype).eps))


def test_float64() -> None:
    there = torch_kernel(2, 2).double()
    window = core.GaussianModulationND(2, 4, grid_size=13).double()
    x, conditioning = torch.randn(3, 4, 4, 7, dtype=torch.float64), torch.randn(3, 5, dtype=torch.float64)
    axes = there.positional_embedding.axes((4, 7))
    kernel = window.window(axes, there.evaluate(axes, conditioning))
    expected = core.fftconv_nd(x, kernel.movedim(-1, 1), padding=("causal", "zero"))
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    try:
        here = interop.from_state_dict(jax_kernel(2, 2), there.state_dict())
        mask = interop.from_state_dict(kj.GaussianModulationND.init(2, 4, grid_size=13), window.state_dict())
        positions = here.positional_embedding.axes((4, 7))
        assert all(p.dtype == jnp.float32 for p in positions)
        found = eqx.filter_jit(lambda c: mask.window(positions, here.evaluate(positions, c)))(to_jax(conditioning))
        assert_close(found, kernel, tolerance=1e-13)
        y = jax.jit(lambda x, k: kj.fftconv_nd(x, jnp.moveaxis(k, -1, 1), padding=("causal", "zero")))(to_jax(x), found)
        assert_close(y, expected, tolerance=1e-13)
    finally:
        jax.config.update("jax_enable_x64", before)


def test_copies_share_no_memory() -> None:
    there = core.ExponentialModulationND(1, 3)
    here = interop.from_state_dict(kj.ExponentialModulationND.init(1, 3), there.state_dict())
    state = interop.to_state_dict(here)
    with torch.no_grad():
        there.weight.zero_()
        torch.from_numpy(state["weight"]).zero_()
    np.testing.assert_allclose(here.weight[0], [2.3, 8.055, 13.81], rtol=1e-6)


def test_posterior_sample_loads_into_a_state_dict() -> None:
    from numpyro import handlers

    there = torch_kernel(1)
    kernel = interop.from_state_dict(jax_kernel(1), there.state_dict())
    bayesian = kj.BayesianSIRENKernelND.init(kernel, pyrox_name="kernel")
    trace = handlers.trace(handlers.seed(bayesian, 0)).get_trace((9,))
    sample = {name: site["value"] for name, site in trace.items()}
    state = interop.to_state_dict(sample)
    rest = there.load_state_dict(
        {name.removeprefix("kernel."): torch.from_numpy(value) for name, value in state.items()}, strict=False
    )
    assert rest.unexpected_keys == []
    assert not any(name.startswith("out_linear") for name in rest.missing_keys)
    found = handlers.substitute(bayesian, data=sample)((9,))[0]
    assert_close(found, there((9,))[0], ROUNDING)
