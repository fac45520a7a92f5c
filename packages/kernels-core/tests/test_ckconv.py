"""The layer's values against direct convolution in NumPy, for every boundary, grid, layout and resolution."""

import copy
import math
from typing import Any

import numpy as np
import oracles_kernels as oracles
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import float64, kernel_cfg, make_kernel, make_layer, make_window
from kernels_core import CKConvND, GaussianModulationND, LazyConfig, SIRENKernelND
from torch import Tensor, nn


def on_axis(padding: str, grid_type: str | None, size: int, L_cache: int, resolution: float) -> oracles.Array:
    """Coordinates of the kernel along one axis of the layer."""
    single = grid_type == "single" or (grid_type is None and padding == "circular")
    length, cache = ((size + 1) // 2, (L_cache + 1) // 2) if single else (size, L_cache)
    return oracles.axis(length, cache, resolution=resolution, causal=padding == "causal")


def expected_output(
    layer: CKConvND,
    x: Tensor,
    *,
    L_cache: tuple[int, ...],
    paddings: tuple[str, ...],
    grid_type: str | None = None,
    resolution: tuple[float, ...] | None = None,
) -> oracles.Array:
    """What the layer must give for a channels-first `x`."""
    ratios = resolution or (1.0,) * len(paddings)
    per_axis = zip(paddings, [grid_type] * len(paddings), x.shape[2:], L_cache, ratios, strict=True)
    positions = oracles.grid([on_axis(*arguments) for arguments in per_axis])
    kernel = oracles.siren_kernel(float64(layer.kernel), positions) / math.prod(ratios)
    if isinstance(layer.mask, GaussianModulationND):
        kernel = kernel * oracles.gaussian_mask(positions, float64(layer.mask)["std_param"])
    signal = x.double().numpy()
    shortcut = layer.shortcut.detach().double().numpy().reshape(1, -1, *[1] * len(paddings))
    return oracles.depthwise(signal, np.moveaxis(kernel, -1, 0)[None], paddings) + shortcut * signal


def check(layer: CKConvND, x: Tensor, expected: oracles.Array, **options: Any) -> None:
    """Both layouts give the expected values."""
    with torch.no_grad():
        first = layer(x, is_bhl_input=True, **options)
        last = layer(x.movedim(1, -1), **options)
    assert first.shape == x.shape
    assert first.dtype == last.dtype == x.dtype
    scale = np.abs(expected).max()
    np.testing.assert_allclose(first.numpy(), expected, atol=1e-5 * scale + 1e-6)
    np.testing.assert_allclose(last.movedim(-1, 1).numpy(), expected, atol=1e-5 * scale + 1e-6)


@pytest.mark.parametrize("size", [1, 2, 3, 12, 16, 17, 31, 64, 97])
@pytest.mark.parametrize(
    ("padding", "grid_type"),
    [
        ("zero", None),
        ("zero", "double"),
        ("zero", "single"),
        ("circular", None),
        ("circular", "single"),
        ("causal", None),
        ("causal", "double"),
    ],
)
def test_one_axis(padding: str, grid_type: str | None, size: int) -> None:
    layer = make_layer(1, L_cache=16, fft_padding=padding, grid_type=grid_type, window="gaussian")
    x = torch.randn(2, 4, size)
    check(layer, x, expected_output(layer, x, L_cache=(16,), paddings=(padding,), grid_type=grid_type))


CASES = st.integers(1, 3).flatmap(
    lambda data_dim: st.fixed_dictionaries(
        {
            "paddings": st.tuples(*[st.sampled_from(["zero", "circular", "causal"])] * data_dim),
            "sizes": st.tuples(*[st.integers(1, {1: 12, 2: 7, 3: 4}[data_dim])] * data_dim),
            "L_cache": st.tuples(*[st.integers(3, 7)] * data_dim),
            "resolution": st.tuples(*[st.sampled_from([1.0, 2.0, 0.5, 1.7])] * data_dim),
            "window": st.sampled_from([None, "gaussian"]),
            "batch": st.integers(1, 3),
        }
    )
)


@settings(deadline=None, max_examples=40)
@given(case=CASES)
def test_mixed_boundaries(case: dict[str, Any]) -> None:
    paddings, L_cache, resolution = case["paddings"], case["L_cache"], case["resolution"]
    layer = make_layer(len(paddings), L_cache=L_cache, fft_padding=list(paddings), window=case["window"])
    x = torch.randn(case["batch"], 4, *case["sizes"])
    expected = expected_output(layer, x, L_cache=L_cache, paddings=paddings, resolution=resolution)
    check(layer, x, expected, resolution=resolution)


@pytest.mark.parametrize(("sizes", "L_cache"), [((3, 4, 5), (4, 4, 3)), ((5, 2, 3), (2, 8, 9))])
@pytest.mark.parametrize("grid_type", ["double", "single"])
def test_grid_type_on_every_axis(sizes: tuple[int, ...], L_cache: tuple[int, ...], grid_type: str) -> None:
    if grid_type == "single":
        L_cache = tuple(max(length, 3) for length in L_cache)
    layer = make_layer(3, L_cache=L_cache, grid_type=grid_type, window="gaussian")
    x = torch.randn(2, 4, *sizes)
    check(layer, x, expected_output(layer, x, L_cache=L_cache, paddings=("zero",) * 3, grid_type=grid_type))


@pytest.mark.parametrize("spelling", [{"is_causal": True}, {"fft_padding": "causal"}, {"fft_padding": ["causal"]}])
@pytest.mark.parametrize("size", [1, 9, 32])
def test_causal_is_the_half_of_the_double_kernel(spelling: dict[str, Any], size: int) -> None:
    layer = make_layer(1, L_cache=16, window="gaussian", **spelling)
    whole = layer.mask(*reversed(layer.kernel((size,))))
    taps = whole[0, size - 1 :].mT[:, None]
    x = torch.randn(2, 4, size)
    expected = torch.conv1d(nn.functional.pad(x, (size - 1, 0)), taps.flip(-1), groups=4)
    expected = expected + layer.shortcut[:, None] * x
    torch.testing.assert_close(layer(x, is_bhl_input=True), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kernel", ["siren", "random_fourier"])
def test_causal_never_looks_ahead(kernel: str) -> None:
    layer = make_layer(1, kernel=kernel, is_causal=True).double()
    x = torch.randn(1, 20, 4, dtype=torch.float64, requires_grad=True)
    y = layer(x)
    for n in (0, 7, 18):
        (gradient,) = torch.autograd.grad(y[0, n].sum(), x, retain_graph=True)
        assert gradient[0, n + 1 :].abs().max() < 1e-14
        assert gradient[0, n].abs().min() > 1e-6


def test_causal_evaluates_half_of_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    evaluate = SIRENKernelND.evaluate

    def spy(self: Any, axes: Any, conditioning: Any = None) -> Tensor:
        sizes.append([len(axis) for axis in axes])
        return evaluate(self, axes, conditioning)

    monkeypatch.setattr(SIRENKernelND, "evaluate", spy)
    make_layer(2, fft_padding=("causal", "zero"))(torch.randn(1, 6, 5, 4))
    assert sizes == [[6, 9]]


@pytest.mark.parametrize(
    ("L_cache", "options", "effective"),
    [
        (9, {}, (9, 9)),
        (9, {"fft_padding": "circular"}, (5, 5)),
        (8, {"fft_padding": "circular"}, (4, 4)),
        ((9, 6), {"fft_padding": "circular"}, (5, 3)),
        (9, {"fft_padding": ("zero", "circular")}, (9, 5)),
        ((12, 7), {"fft_padding": ("circular", "causal")}, (6, 7)),
        (3, {"fft_padding": "circular"}, (2, 2)),
        (9, {"grid_type": "single"}, (5, 5)),
        (9, {"fft_padding": "causal"}, (9, 9)),
    ],
)
def test_L_cache_halves_on_single_axes(L_cache: Any, options: dict[str, Any], effective: tuple[int, int]) -> None:
    layer = make_layer(2, L_cache=L_cache, window="gaussian", **options)
    assert layer.kernel.L_cache_per_axis == effective
    assert layer.mask.grid_size == 2 * max(effective) - 1


@pytest.mark.parametrize("form", ["lazy", "mapping"])
def test_configurations_are_not_mutated(form: str) -> None:
    kernel: Any = kernel_cfg(L_cache=[9, 9])
    mask: Any = LazyConfig(GaussianModulationND)(data_dim=2, num_channels=4, grid_size=5)
    if form == "mapping":
        kernel, mask = ({"_target_": cfg.target, **cfg.kwargs} for cfg in (kernel, mask))
    before = copy.deepcopy(getattr(kernel, "kwargs", kernel)), copy.deepcopy(getattr(mask, "kwargs", mask))
    layers = [CKConvND(2, 4, kernel, mask, fft_padding="circular") for _ in range(2)]
    assert (getattr(kernel, "kwargs", kernel), getattr(mask, "kwargs", mask)) == before
    assert [layer.kernel.L_cache_per_axis for layer in layers] == [(5, 5)] * 2
    assert layers[0].mask.grid_size == 9


@pytest.mark.parametrize("padding", ["zero", "circular", "causal"])
def test_default_resolution_is_bit_identical(padding: str) -> None:
    layer, x = make_layer(2, L_cache=7, fft_padding=padding), torch.randn(1, 9, 8, 4)
    expected = layer(x)
    for one in (1, 1.0, (1.0, 1.0), [1, 1]):
        assert torch.equal(layer(x, resolution=one), expected)


@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize("padding", ["zero", "circular"])
def test_smooth_signal_at_another_resolution(padding: str, factor: int) -> None:
    layer = make_layer(1, L_cache=65, omega_0=0.3, window="gaussian", fft_padding=padding).double()
    layer.mask.std_param.data.fill_(0.15)
    coarse = torch.arange(96, dtype=torch.float64)
    fine = torch.arange(96 * factor, dtype=torch.float64) / factor
    signals = [torch.exp(-(((t - 48) / 8) ** 2))[None, :, None].repeat(1, 1, 4) for t in (coarse, fine)]
    y, finer = layer(signals[0]), layer(signals[1], resolution=factor)[:, ::factor]
    torch.testing.assert_close(finer, y, atol=1e-6 * y.abs().max().item(), rtol=0)
    wrong = layer(signals[1])[:, ::factor]
    assert (wrong - y).abs().max() > 0.2 * y.abs().max()


class ForeignKernel(nn.Module):
    """A kernel that knows nothing of this library's base class."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = make_kernel()

    def forward(self, seq_lens: Any, conditioning: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.inner(seq_lens, conditioning)  # type: ignore[no-any-return]


class ForeignWindow(nn.Module):
    """A window that has `forward` alone."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = make_window("gaussian")

    def forward(self, grid: Tensor, x: Tensor) -> Tensor:
        return self.inner(grid, x)  # type: ignore[no-any-return]


@pytest.mark.parametrize("padding", ["zero", ("causal", "zero"), "causal"])
def test_foreign_kernels_and_windows(padding: Any) -> None:
    x = torch.randn(2, 6, 5, 4)
    own = CKConvND(2, 4, make_kernel(), make_window("gaussian"), fft_padding=padding)
    for kernel in (ForeignKernel(), make_kernel()):
        for window in (ForeignWindow(), make_window("gaussian")):
            foreign = CKConvND(2, 4, kernel, window, fft_padding=padding)
            foreign.shortcut = own.shortcut
            torch.testing.assert_close(foreign(x), own(x))


def test_init_attributes_and_state_dict() -> None:
    torch.manual_seed(0)
    cfg = kernel_cfg(data_dim=1, out_dim=9000)
    layer = CKConvND(1, 9000, cfg)
    bound = 1 / math.sqrt(9000)
    assert 0.99 * bound < layer.shortcut.abs().max().item() <= bound
    assert layer.shortcut.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.03)
    assert layer.shortcut.requires_grad
    assert isinstance(layer.mask, nn.Identity)
    arguments = {"data_dim": 1, "hidden_dim": 9000, "grid_type": None, "fft_padding": "zero", "is_causal": False}
    assert {name: getattr(layer, name) for name in arguments} == arguments
    assert layer.fft_backend == "auto"
    keys = {f"kernel.{key}" for key in layer.kernel.state_dict()} | {"shortcut"}
    assert set(layer.state_dict()) == keys
    windowed = make_layer(window="gaussian")
    windowed(torch.randn(1, 5, 5, 4))
    assert set(windowed.state_dict()) == keys | {"mask.std_param"}
    assert set(make_layer(window="exponential").state_dict()) == keys | {"mask.weight"}


def test_repr_tells_the_geometry() -> None:
    text = repr(make_layer(2, L_cache=(9, 7), fft_padding=("causal", "circular"))).splitlines()[1]
    for message in ("data_dim=2", "hidden_dim=4", "causal", "circular", "double", "single", "L_cache=(9, 4)"):
        assert message in text


@pytest.mark.parametrize(
    ("options", "sizes", "lengths", "padded"),
    [
        ({}, (8, 16), (8, 16), (16, 32)),
        ({"grid_type": "single"}, (16, 16), (8, 8), (24, 24)),
        ({"grid_type": "single"}, (7, 7), (4, 4), (11, 11)),
        ({"fft_padding": "circular"}, (16, 8), (8, 4), (16, 8)),
        ({"fft_padding": "causal"}, (8, 4), (8, 4), (16, 8)),
        ({"fft_padding": ("causal", "circular")}, (8, 16), (8, 8), (16, 16)),
    ],
)
def test_flop_count(options: dict[str, Any], sizes: Any, lengths: Any, padded: Any) -> None:
    layer = make_layer(2, L_cache=9, **options)
    points = math.prod(padded)
    transform = 5 * 4 * points * sum(math.log2(size) for size in padded)
    rest = 6 * 4 * points + 4 * math.prod(sizes)
    generation = layer.kernel.flop_count(lengths)
    assert generation > 0
    assert layer.flop_count(sizes) == pytest.approx(generation + 3 * transform + rest, abs=3)
    assert layer.flop_count(sizes, inference=True) == pytest.approx(2 * transform + rest, abs=3)
    assert isinstance(layer.flop_count(sizes), int)
