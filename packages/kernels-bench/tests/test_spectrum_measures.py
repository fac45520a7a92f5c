import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernels_bench.spectrum import band, centroid, coverage, overlap

EDGES = np.linspace(0, 1, 101)
FRACTIONS = st.floats(0, 1.5)


def test_a_flat_spectrum_has_its_centroid_in_the_middle_and_covers_nine_tenths() -> None:
    flat = np.ones(100)
    assert centroid(EDGES, flat) == pytest.approx(0.5)
    np.testing.assert_allclose(band(EDGES, flat), [0.05, 0.95])
    assert coverage([band(EDGES, flat)]) == pytest.approx(0.9)


def test_the_measures_do_not_depend_on_scale_and_take_any_leading_axes() -> None:
    energy = np.random.default_rng(0).random((3, 4, 100))
    np.testing.assert_allclose(band(EDGES, 7 * energy), band(EDGES, energy))
    np.testing.assert_allclose(centroid(EDGES, 7 * energy), centroid(EDGES, energy))
    np.testing.assert_allclose(band(EDGES, energy)[1, 2], band(EDGES, energy[1, 2]))
    np.testing.assert_allclose(overlap(7 * energy[0]), overlap(energy[0]))


def test_a_linear_density_has_the_quantiles_of_its_integral() -> None:
    middles = (EDGES[1:] + EDGES[:-1]) / 2
    np.testing.assert_allclose(band(EDGES, middles), np.sqrt([0.05, 0.95]), atol=1e-3)
    assert centroid(EDGES, middles) == pytest.approx(2 / 3, abs=1e-3)


@given(bands=st.lists(st.tuples(FRACTIONS, FRACTIONS).map(sorted), max_size=6))
def test_the_union_of_bands_is_what_counting_points_says(bands: list[list[float]]) -> None:
    points = (np.arange(20_000) + 0.5) / 20_000
    inside = np.zeros(len(points), dtype=bool)
    for low, high in bands:
        inside |= (points >= low) & (points <= high)
    assert coverage(bands) == pytest.approx(inside.mean(), abs=1e-3)


def test_disjoint_spectra_overlap_by_nothing_and_equal_ones_by_all() -> None:
    low, high = np.zeros((2, 100))
    low[:50], high[50:] = 1, 3
    shared = overlap(np.stack([low, high, low * 2, low + high / 3]))
    np.testing.assert_allclose(shared, [[1, 0, 1, 0.5], [0, 1, 0, 0.5], [1, 0, 1, 0.5], [0.5, 0.5, 0.5, 1]])
