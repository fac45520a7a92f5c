"""Energy by frequency of signals whose spectrum is known."""

import numpy as np
import pytest
from kernels_bench.spectrum import band, centroid, coverage, overlap, radial_energy

SIZE = 63
RESOLUTION = 4 / (SIZE + 1)  # half-width of the taper's main lobe, as a fraction of Nyquist


def tone(frequency: float, data_dim: int = 1, oversampling: int = 1, phase: float = 0.3) -> np.ndarray:
    """A cosine along the last axis; `frequency` as a fraction of the Nyquist of a grid `oversampling` times coarser."""
    steps = np.arange((SIZE - 1) * oversampling + 1)
    wave = np.cos(np.pi * frequency * steps / oversampling + phase)
    return np.broadcast_to(wave, [1] + [len(steps)] * data_dim)


@pytest.mark.parametrize("oversampling", [1, 3])
@pytest.mark.parametrize("frequency", [0.2, 0.5, 0.77])
def test_a_tone_lies_at_its_frequency(frequency: float, oversampling: int) -> None:
    found = radial_energy(tone(frequency, oversampling=oversampling), oversampling)
    assert found.energy.sum() == pytest.approx(1)
    assert centroid(found.edges, found.energy)[0] == pytest.approx(frequency, abs=0.005)
    (low, high) = band(found.edges, found.energy)[0]
    assert frequency - RESOLUTION < low < frequency < high < frequency + RESOLUTION
    assert found.aliased[0] < 1e-3


@pytest.mark.parametrize("data_dim", [2, 3])
def test_a_plane_wave_lies_at_its_distance_from_zero(data_dim: int) -> None:
    steps = np.arange(31)
    frequencies = np.array([0.5, 0.3, 0.2][:data_dim])
    waves = sum(f * steps.reshape(-1, *[1] * (data_dim - 1 - axis)) for axis, f in enumerate(frequencies))
    found = radial_energy(np.cos(np.pi * waves)[None])
    assert centroid(found.edges, found.energy)[0] == pytest.approx(np.linalg.norm(frequencies), abs=0.02)


def test_a_tone_above_nyquist_aliases_and_is_seen_where_it_is() -> None:
    found = radial_energy(tone(1.4, oversampling=2), 2)
    assert centroid(found.edges, found.energy)[0] == pytest.approx(1.4, abs=0.01)
    assert found.aliased[0] > 0.99
    assert coverage(band(found.edges, found.energy)) == 0
    on_the_grid = radial_energy(tone(1.4))
    assert centroid(on_the_grid.edges, on_the_grid.energy)[0] == pytest.approx(0.6, abs=0.01)


def test_a_constant_lies_at_zero_because_the_mean_is_kept() -> None:
    found = radial_energy(np.ones((1, SIZE)))
    assert band(found.edges, found.energy)[0, 1] < RESOLUTION


def test_a_ramp_does_not_leak_over_the_band() -> None:
    ramp = np.linspace(-1, 1, SIZE)[None]
    found = radial_energy(ramp)
    assert band(found.edges, found.energy)[0, 1] < 2 * RESOLUTION
    # Without a taper the jump from its end to its start alone has 5 % of the energy above a tenth of the band.
    power = np.abs(np.fft.rfft(ramp[0])) ** 2
    assert power[len(power) // 10 :].sum() > 0.05 * power.sum()


@pytest.mark.parametrize(
    ("data_dim", "low", "covered"),
    [
        (1, 0.05, 0.9),
        # In the plane energy is area: a disc of radius r has the share pi r^2 / 4 of the square of side 2.
        (2, np.sqrt(0.05 * 4 / np.pi), 1 - np.sqrt(0.05 * 4 / np.pi)),
        (3, (0.05 * 6 / np.pi) ** (1 / 3), 1 - (0.05 * 6 / np.pi) ** (1 / 3)),
    ],
)
def test_white_noise_fills_the_band(data_dim: int, low: float, covered: float) -> None:
    size, count = {1: (255, 400), 2: (63, 40), 3: (31, 16)}[data_dim]
    noise = np.random.default_rng(0).standard_normal([count] + [size] * data_dim)
    found = radial_energy(noise)
    bounds = band(found.edges, found.energy.mean(0))
    assert bounds[0] == pytest.approx(low, abs=0.01)
    assert coverage([bounds]) == pytest.approx(covered, abs=0.01)


def test_tones_far_apart_share_nothing_and_equal_ones_everything() -> None:
    waves = np.concatenate([tone(0.2), tone(0.7), tone(0.2, phase=1.0)])
    shared = overlap(radial_energy(waves).energy)
    assert shared[0, 1] < 1e-3
    assert shared[0, 2] == pytest.approx(1, abs=1e-3)


def test_the_taper_is_the_hann_window_and_the_sum_is_parseval_s() -> None:
    kernel = np.random.default_rng(1).standard_normal((1, 9, 9))
    taper = np.sin(np.pi * np.arange(1, 10) / 10) ** 2
    power = np.abs(np.fft.fft2(kernel[0] * np.outer(taper, taper), (18, 18))) ** 2
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(18) * 2, np.fft.fftfreq(18) * 2))
    found = radial_energy(kernel)
    for low, high, share in zip(found.edges[:-1], found.edges[1:], found.energy[0], strict=True):
        assert share == pytest.approx(power[(radius >= low) & (radius < high)].sum() / power.sum(), abs=1e-12)


@pytest.mark.parametrize("kernel", [np.zeros((1, 9)), np.full((1, 9), np.nan)])
def test_a_kernel_without_a_spectrum_is_refused(kernel: np.ndarray) -> None:
    with pytest.raises(ValueError, match="kernel 0 has no finite energy"):
        radial_energy(kernel)
