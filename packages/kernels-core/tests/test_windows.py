"""Windows: formulas, initial ramps, bounds, dtypes, and the per-axis route against the grid."""

import math
from typing import Any

import numpy as np
import oracles_kernels as oracles
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import WINDOWS, make_window
from kernels_core import (
    BlockAlignedGaussianModulationND,
    ExponentialModulationND,
    GaussianModulationND,
    ModulationND,
    axis_coordinates,
    coordinate_grid,
    exponential_window,
    gaussian_window,
)
from torch import Tensor


def axes_for(lengths: tuple[int, ...], L_cache: int = 8) -> list[Tensor]:
    return [axis_coordinates(length, L_cache) for length in lengths]


def expected_mask(window: Any, axes: list[Tensor]) -> oracles.Array:
    positions = oracles.grid([axis.double().numpy() for axis in axes])
    if isinstance(window, ExponentialModulationND):
        return oracles.exponential_mask(positions, window.weight.detach().double().numpy())
    raw = window.std_param.detach().double().numpy()
    std = {"direct": raw, "log": np.exp(raw), "softplus": np.log1p(np.exp(raw))}[window.parametrization]
    return oracles.gaussian_mask(positions, std.clip(window.min_std, window.max_std))


def shuffle(window: Any) -> None:
    """Other parameters than the initial ones, on both sides of the bounds."""
    with torch.no_grad():
        for parameter in window.parameters():
            parameter.add_(torch.randn_like(parameter))


@settings(deadline=None, max_examples=40)
@given(
    name=st.sampled_from(list(WINDOWS)),
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    seed=st.integers(0, 99),
)
def test_mask_matches_numpy(name: str, lengths: list[int], seed: int) -> None:
    torch.manual_seed(seed)
    window, axes = make_window(name, data_dim=len(lengths), num_channels=3), axes_for(tuple(lengths))
    shuffle(window)
    x = torch.randn(2, *(2 * n - 1 for n in lengths), 3)
    result = window(coordinate_grid(axes), x)
    assert result.shape == x.shape
    np.testing.assert_allclose(result.detach().numpy(), x.numpy() * expected_mask(window, axes), atol=2e-6)


@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("lengths", [(6,), (6, 4), (3, 5, 2)])
def test_axis_tables_equal_the_grid(name: str, lengths: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    window, axes = make_window(name, data_dim=len(lengths)), axes_for(lengths)
    kernel = torch.randn(3, *(2 * n - 1 for n in lengths), 4)
    torch.testing.assert_close(window.window(axes, kernel), window(coordinate_grid(axes), kernel))


@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("own", [torch.bfloat16, torch.float32, torch.float64])
def test_dtype_is_that_of_the_input_and_the_mask_is_float32(name: str, dtype: torch.dtype, own: torch.dtype) -> None:
    window, axes = make_window(name).to(own), axes_for((30, 20), 40)
    ones = torch.ones(1, 59, 39, 4, dtype=dtype)
    with torch.autocast("cpu", torch.bfloat16):
        masks = [window(coordinate_grid(axes), ones), window.window(axes, ones)]
    for mask in masks:
        assert mask.dtype == dtype
        tolerance = max(torch.finfo(dtype).eps, 1e-6)
        np.testing.assert_allclose(mask[0].detach().double().numpy(), expected_mask(window, axes), atol=tolerance)


@pytest.mark.parametrize("name", WINDOWS)
def test_mask_is_one_at_the_origin_and_falls(name: str) -> None:
    window, axes = make_window(name, data_dim=1), axes_for((8,))
    mask = window(coordinate_grid(axes), torch.ones(1, 15, 4))[0].detach()
    assert (mask[7] == 1).all()
    assert (mask >= 0).all()  # the narrowest windows underflow at the ends
    assert (mask[:, 1:3] > 0).all()
    assert (mask <= 1).all()
    assert (mask[7:, 1:3].diff(dim=0) < 0).all()
    torch.testing.assert_close(mask, mask.flip(0), rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", WINDOWS)
def test_grid_that_is_not_float32(name: str, dtype: torch.dtype) -> None:
    grid = coordinate_grid(axes_for((3, 3))).to(dtype)
    with pytest.raises(AssertionError, match=str(dtype)):
        make_window(name)(grid, torch.ones(1, 5, 5, 4))


@pytest.mark.parametrize(("grid_dim", "channels"), [(1, 4), (3, 4), (2, 5), (2, 1)])
def test_shapes_that_do_not_fit(grid_dim: int, channels: int) -> None:
    grid = coordinate_grid(axes_for((3,) * grid_dim))
    with pytest.raises(ValueError, match=r"`grid`.*`x`"):
        make_window("gaussian")(grid, torch.ones(*grid.shape[:-1], channels))


@pytest.mark.parametrize("data_dim", [1, 2, 3])
def test_exponential_ramp(data_dim: int) -> None:
    window = ExponentialModulationND(data_dim, 5, fast_decay_pct=9.0, slow_decay_pct=1.0)
    expected = [[rate / data_dim for rate in (1.0, 3.0, 5.0, 7.0, 9.0)]] * data_dim
    torch.testing.assert_close(window.weight.detach(), torch.tensor(expected))
    assert not window.weight.requires_grad
    assert window.weight._no_weight_decay is True  # type: ignore[attr-defined]
    assert list(window.state_dict()) == ["weight"]
    assert (window.fast_decay_pct, window.slow_decay_pct) == (9.0, 1.0)
    default = ExponentialModulationND(1, 2)
    torch.testing.assert_close(default.weight.detach(), torch.tensor([[2.3, 13.81]]))


def test_rates_count_by_magnitude() -> None:
    positions = torch.tensor([-1.0, 0.0, 2.0])
    torch.testing.assert_close(
        exponential_window(positions, torch.tensor(-0.5)), torch.exp(torch.tensor([-0.5, 0.0, -1.0]))
    )
    torch.testing.assert_close(
        gaussian_window(positions, torch.tensor(2.0)), torch.exp(torch.tensor([-0.125, 0.0, -0.5]))
    )


@settings(deadline=None, max_examples=40)
@given(
    grid_size=st.integers(5, 2000),
    channels=st.integers(1, 9),
    extents=st.lists(st.floats(0.05, 20), min_size=1, max_size=3),
    parametrization=st.sampled_from(["direct", "log", "softplus"]),
    aligned=st.booleans(),
)
def test_gaussian_ramp(
    grid_size: int, channels: int, extents: list[float], parametrization: str, aligned: bool
) -> None:
    target = BlockAlignedGaussianModulationND if aligned else GaussianModulationND
    window = target(len(extents), channels, grid_size, init_extent=extents, parametrization=parametrization)
    ramps = np.stack([oracles.std_ramp(grid_size, channels, extent) for extent in extents])
    expected = ramps[:, ::-1] if aligned else ramps
    np.testing.assert_allclose(window.std().detach().numpy(), expected, rtol=2e-5)
    assert window.std_param.shape == (len(extents), channels)


def test_bounds_of_the_std() -> None:
    window = GaussianModulationND(2, 3, grid_size=31, min_attenuation_at_step=0.2, max_attenuation_at_limit=0.9)
    assert gaussian_window(torch.tensor(2 / 30), torch.tensor(window.min_std)).item() == pytest.approx(0.2, rel=1e-5)
    assert gaussian_window(torch.tensor(1.0), torch.tensor(window.max_std)).item() == pytest.approx(0.9, rel=1e-5)
    default = GaussianModulationND(2, 3, grid_size=31)
    widest = gaussian_window(torch.tensor(1.0), default.std()[0, -1])
    assert widest.item() == pytest.approx(0.1, rel=1e-5)


@pytest.mark.parametrize("parametrization", ["direct", "log", "softplus"])
def test_std_stays_in_bounds_and_learns_from_them(parametrization: str) -> None:
    window = GaussianModulationND(1, 2, grid_size=31, parametrization=parametrization)
    for outside in (-30.0, 30.0):
        window.std_param.data.fill_(outside)
        std = window.std()
        bound = window.min_std if outside < 0 else window.max_std
        assert std.tolist() == [[pytest.approx(bound)] * 2]
    optimizer = torch.optim.Adam(window.parameters(), lr=0.1)
    window.std_param.data.fill_({"direct": 9.0, "log": 2.0, "softplus": 9.0}[parametrization])
    for _ in range(300):
        optimizer.zero_grad()
        (window.std() - 1.0).square().sum().backward()
        optimizer.step()
    assert window.std().tolist() == [[pytest.approx(1.0, abs=0.05)] * 2]


def test_window_attributes_and_marks() -> None:
    arguments = {
        "data_dim": 2,
        "num_channels": 3,
        "grid_size": 31,
        "min_attenuation_at_step": 0.2,
        "init_extent": (0.5, 2.0),
    }
    window = GaussianModulationND(**arguments, max_attenuation_at_limit=0.9, parametrization="log")  # type: ignore[arg-type]
    assert {name: getattr(window, name) for name in arguments} == arguments
    assert (window.max_attenuation_at_limit, window.parametrization) == (0.9, "log")
    assert GaussianModulationND(2, 3, 31, init_extent=2).init_extent == (2.0, 2.0)
    assert list(window.state_dict()) == ["std_param"]
    assert window.std_param.requires_grad


def test_block_aligned_is_widest_first() -> None:
    plain, aligned = (make_window(name, num_channels=6).std() for name in ("gaussian", "block_aligned"))
    assert torch.equal(aligned, plain.flip(1))
    assert (aligned.diff(dim=1) < 0).all()


GAUSSIAN = {"data_dim": 2, "num_channels": 3, "grid_size": 31}
EXPONENTIAL = {"data_dim": 2, "num_channels": 3}


@pytest.mark.parametrize(
    ("target", "argument", "value", "error"),
    [
        *[(GaussianModulationND, "init_extent", value, ValueError) for value in (0, -1.0, math.nan, math.inf)],
        *[(GaussianModulationND, "init_extent", value, TypeError) for value in (True, "1", None)],
        *[(GaussianModulationND, "init_extent", value, ValueError) for value in ((1.0,), (1.0, 1.0, 1.0), (1.0, 0.0))],
        *[(GaussianModulationND, "init_extent", value, TypeError) for value in ((1.0, True), (1.0, "1"))],
        *[(GaussianModulationND, "grid_size", value, ValueError) for value in (1, 0)],
        *[(GaussianModulationND, "grid_size", value, TypeError) for value in (31.0, True, "31")],
        *[(GaussianModulationND, "min_attenuation_at_step", value, ValueError) for value in (0.0, 1.0, 1.5, math.nan)],
        *[(GaussianModulationND, "max_attenuation_at_limit", value, TypeError) for value in ("0.9", True)],
        *[(GaussianModulationND, "parametrization", value, ValueError) for value in ("exp", None, True)],
        *[(GaussianModulationND, "num_channels", value, TypeError) for value in (3.0, "3", True)],
        *[(ExponentialModulationND, "fast_decay_pct", value, ValueError) for value in (0.0, -1.0, math.nan)],
        *[(ExponentialModulationND, "slow_decay_pct", value, TypeError) for value in ("2.3", True)],
        *[(ExponentialModulationND, "data_dim", value, ValueError) for value in (0, -2)],
    ],
)
def test_bad_arguments(target: type[ModulationND], argument: str, value: Any, error: type[Exception]) -> None:
    arguments = {**(GAUSSIAN if target is GaussianModulationND else EXPONENTIAL), argument: value}
    message = "" if isinstance(value, tuple) else f".*{value!r}"
    with pytest.raises(error, match=rf"`{argument}(\[\d\])?`{message}"):
        target(**arguments)


def test_bounds_that_cross() -> None:
    with pytest.raises(ValueError, match=r"`min_attenuation_at_step`.*`grid_size` \(=3\).*`max_attenuation_at_limit`"):
        GaussianModulationND(1, 3, grid_size=3, min_attenuation_at_step=0.9, max_attenuation_at_limit=0.1)


@pytest.mark.parametrize("parametrization", ["log", "softplus"])
@pytest.mark.parametrize("far", [-200.0, 89.0])
def test_a_std_far_outside_has_a_sensible_gradient_back(parametrization: str, far: float) -> None:
    window = GaussianModulationND(1, 1, grid_size=31, parametrization=parametrization)
    torch.nn.init.constant_(window.std_param, far)
    target = window.max_std if far < 0 else window.min_std
    (window.std() - target).square().sum().backward()
    assert window.std_param.grad is not None
    step = -window.std_param.grad.item()
    assert step * far < 0
    assert 1e-6 < abs(step) < 100


def test_grids_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[1, 5, 1\]|\(1, 5, 1\)"):
        GaussianModulationND(1, 2, grid_size=9)(torch.zeros(1, 5, 1), torch.ones(2, 1, 2))


def test_a_subclass_with_its_own_axis_window_is_asked_for_it() -> None:
    class Squared(ExponentialModulationND):
        def axis_window(self, axis: int, position: Tensor) -> Tensor:
            return super().axis_window(axis, position).square()

    axes, kernel = axes_for((4, 3)), torch.ones(1, 7, 5, 3)
    found = Squared(2, 3).window(axes, kernel)
    torch.testing.assert_close(found, ExponentialModulationND(2, 3).window(axes, kernel).square())
    torch.testing.assert_close(found, Squared(2, 3)(coordinate_grid(axes), kernel))


def test_what_is_no_normal_number_is_zero() -> None:
    position = torch.linspace(0, 20, 2001)
    for window in (exponential_window(position, torch.tensor(9.0)), gaussian_window(position, torch.tensor(1.0))):
        assert (window == 0).any()
        assert window[window > 0].min() >= torch.finfo(torch.float32).tiny
