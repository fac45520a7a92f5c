import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_bench.spectrum import Kernel, Setting, radial_energy, study
from kernels_bench.spectrum._kernels import build, draw
from kernels_bench.spectrum._report import verdict
from kernels_bench.spectrum._scaling import scaled, scaling
from kernels_bench.spectrum._sweep import CONFIRMING, MOST_ABOVE_NYQUIST, NEAR, settings_around, sweep

SMALL = {"data_dim": 1, "grid_size": 15, "width": 16}


def test_the_defaults_are_those_of_the_kernel() -> None:
    kernel = build(Setting())
    assert (kernel.num_blocks, kernel.omega_0_min, kernel.omega_0_max) == (8, 1.0, 12.0)
    assert (kernel.schedule, kernel.off_block_scale) == ("linear", 0.1)
    defaults = {name: p.default for name, p in inspect.signature(type(kernel)).parameters.items()}
    start = Setting()
    assert start.blocks == defaults["num_blocks"]
    for name in ("omega_0_min", "omega_0_max", "schedule", "off_block_scale"):
        assert getattr(start, name) == defaults[name]


@pytest.mark.parametrize("kernel", Kernel)
def test_every_kernel_is_drawn_on_its_grid_and_finer(kernel: str) -> None:
    setting = Setting(kernel, **SMALL, omega_0_max=3.0)
    values = draw(setting, seed=3)
    assert values.shape == (16, 14 * setting.oversampling + 1)
    np.testing.assert_array_equal(values, draw(setting, seed=3))
    assert not np.allclose(values, draw(setting, seed=4))
    whole = build(setting)((8,))[0][0].shape
    assert values[:, :: setting.oversampling].shape == whole[::-1]
    found = study(setting, [0, 1])
    assert found.draws.shape[:2] == (2, setting.groups)
    np.testing.assert_allclose(found.draws.sum(-1), 1)
    assert 0 < found.coverage <= 1


def test_a_first_layer_alone_lies_below_its_frequency() -> None:
    """Frequencies of rows are even up to omega_0 cycles per unit, and kernels of one row are tones."""
    setting = Setting("siren", data_dim=1, grid_size=201, omega_0_max=25.0, width=64)
    axis = (np.arange(400 + 1) - 200) / 200
    frequencies = build(setting).positional_embedding.linear.weight.detach().numpy()[:, 0] / (2 * np.pi)
    rows = np.sin(2 * np.pi * frequencies[:, None] * axis)
    found = radial_energy(rows, oversampling=2)
    middles = (found.edges[1:] + found.edges[:-1]) / 2
    np.testing.assert_allclose((found.energy * middles).sum(1), np.abs(frequencies) / setting.nyquist, atol=0.02)


def test_blocks_without_coupling_lie_in_the_order_of_their_frequencies() -> None:
    found = study(Setting(off_block_scale=0.0, blocks=4), range(8))
    assert (np.diff(found.centroids) > 0.05).all()
    assert (np.diff(found.bands[:, 1]) > 0.05).all()
    coupled = study(Setting(off_block_scale=1.0, blocks=4), range(8))
    assert coupled.overlap > found.overlap + 0.3
    assert np.ptp(coupled.centroids) < 0.1 < np.ptp(found.centroids)


def test_a_single_block_shares_with_none() -> None:
    assert study(Setting("siren", **SMALL), [0]).overlap == 0
    assert study(Setting("siren", **SMALL), [0]).coverage_error is None


@settings(max_examples=10, deadline=None)
@given(factor=st.integers(2, 6), low=st.floats(0.5, 3), off=st.floats(0, 1), data_dim=st.integers(1, 2))
def test_scaling_grid_and_frequencies_together_changes_nothing(
    factor: int, low: float, off: float, data_dim: int
) -> None:
    setting = Setting(data_dim=data_dim, grid_size=15, width=16, omega_0_min=low, omega_0_max=6.0, off_block_scale=off)
    before = study(setting, range(2))
    after = study(scaled(setting, factor), range(2), points=15)
    assert after.coverage == pytest.approx(before.coverage, abs=1e-4)
    np.testing.assert_allclose(after.bands, before.bands, atol=1e-4)
    np.testing.assert_allclose(after.overlaps, before.overlaps, atol=1e-4)


def test_on_the_whole_grid_scaling_keeps_the_coverage_that_the_old_frequencies_lose() -> None:
    found = scaling(Setting(), range(4), lambda *_: None)
    assert [(each.factor, each.grid_size) for each in found] == [(1, 29), (2, 57), (4, 113)]
    for each in found[1:]:
        assert each.whole_grid is not None
        assert each.frequencies_kept is not None
        assert each.same_view == pytest.approx(found[0].same_view, abs=1e-4)
        assert each.whole_grid == pytest.approx(found[0].whole_grid, abs=0.03)
        assert each.frequencies_kept < 1.2 * found[0].whole_grid / each.factor


def test_whole_grids_that_would_take_minutes_are_left_out() -> None:
    first, double = scaling(Setting(data_dim=3, grid_size=21), [0], lambda *_: None)
    assert first.whole_grid == first.same_view == pytest.approx(double.same_view, abs=1e-4)
    assert (double.factor, double.whole_grid, double.frequencies_kept) == (2, None, None)


def test_the_error_of_the_coverage_is_that_of_repeated_studies() -> None:
    setting = Setting("siren", **SMALL, omega_0_max=3.0)
    repeated = [study(setting, range(20 * index, 20 * index + 20)) for index in range(24)]
    actual = np.std([found.coverage for found in repeated], ddof=1)
    assert np.median([found.coverage_error for found in repeated]) == pytest.approx(actual, rel=0.5)


def test_a_sweep_chooses_as_it_says() -> None:
    start = Setting(**SMALL, blocks=2)
    found = sweep(start, 2, lambda *_: None)
    assert found.start.setting == start
    assert len(found.studies) == len(settings_around(start)) == 7 * 4 * 2 * 5
    clean = [each for each in found.studies if each.aliased.max() <= MOST_ABOVE_NYQUIST]
    assert found.best.coverage == max(each.coverage for each in clean)
    near = [each for each in clean if each.coverage >= found.best.coverage - NEAR]
    assert found.near == len(near)
    alike = [each for each in near if each.setting.blocks == 2] or [found.best]
    assert found.sharpest.overlap == min(each.overlap for each in alike)
    assert [len(each.draws) for each in found.confirmed] == [2 * CONFIRMING] * 3
    lead, error = found.lead
    assert ("best: no" in verdict(found)) == (lead > 2 * error)
    assert f"{lead:+.4f}" in verdict(found)


@pytest.mark.parametrize(("kernel", "count"), [("siren", 7), ("multi-omega", 14)])
def test_a_sweep_varies_only_what_the_kernel_has(kernel: str, count: int) -> None:
    assert len(settings_around(Setting(kernel))) == count


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel": "sine"}, "`kernel`.*block-diagonal.*'sine'"),
        ({"grid_size": 28}, "`grid_size`.*odd.*28"),
        ({"grid_size": 3}, "`grid_size`.*at least 5.*3"),
        ({"data_dim": 0}, "`data_dim`.*at least 1.*0"),
        ({"layers": 1}, "`layers`.*at least 2.*1"),
        ({"blocks": 7}, r"`blocks` \(=7\).*divide `width` \(=64\)"),
        ({"omega_0_max": float("nan")}, "`omega_0_max`.*positive and finite.*nan"),
        ({"omega_0_min": -1.0}, "`omega_0_min`.*positive.*-1.0"),
        ({"omega_0_min": 20.0}, r"`omega_0_max` \(=12.0\).*at least `omega_0_min` \(=20.0\)"),
        ({"schedule": "cubic"}, "`schedule`.*linear or log.*'cubic'"),
        ({"off_block_scale": -0.1}, "`off_block_scale`.*not negative.*-0.1"),
        ({"kernel": "siren", "blocks": 4}, r"`blocks` \(=4\) is not an argument of siren"),
        ({"kernel": "random-fourier", "width": 5}, "`width` must be even.*5"),
        ({"data_dim": 3, "grid_size": 501}, r"`grid_size` \(=501\).*`data_dim` \(=3\).*at most"),
    ],
)
def test_wrong_settings_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Setting(**arguments)  # type: ignore[arg-type]
