import doctest
import importlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernels_bench.run._results.statistics import Spread, crossover, fit_exponent, geometric_mean, pairwise_ratio
from kernels_bench.run._results.units import mebibytes, seconds
from kernels_bench.run._suites.case import short_dtype, sizes
from kernels_bench.run._suites.fft_length import fast_length

TIMES = st.floats(1e-6, 1e3)


@given(st.lists(TIMES, min_size=1, max_size=30))
def test_quartiles_are_numpy_s(samples: list[float]) -> None:
    spread = Spread.of(samples)
    expected = np.percentile(samples, [50, 25, 75])
    np.testing.assert_allclose([spread.median, spread.lower, spread.upper], expected, rtol=1e-12)
    assert spread.relative == pytest.approx((expected[2] - expected[1]) / expected[0], rel=1e-9, abs=1e-12)


def test_a_ratio_is_of_pairs_so_that_what_slows_both_cancels() -> None:
    drift = [1.0, 5.0, 2.0, 9.0]
    assert pairwise_ratio([2 * d for d in drift], drift) == Spread(2.0, 2.0, 2.0)
    with pytest.raises(ValueError, match="zip"):
        pairwise_ratio([1.0], drift)


@given(st.lists(TIMES, min_size=1, max_size=20))
def test_the_geometric_mean_is_the_nth_root_of_the_product(values: list[float]) -> None:
    assert geometric_mean(values) == pytest.approx(float(np.prod(values, dtype=np.longdouble) ** (1 / len(values))))
    assert geometric_mean([1 / value for value in values]) == pytest.approx(1 / geometric_mean(values))


@given(st.lists(TIMES, min_size=3, max_size=8), st.floats(0.5, 3))
def test_an_exponent_is_the_slope_of_the_logarithms(noise: list[float], power: float) -> None:
    lengths = [float(2**index) for index in range(len(noise))]
    values = [length**power * each for length, each in zip(lengths, noise, strict=True)]
    expected = np.polyfit(np.log(lengths), np.log(values), 1)[0]
    assert fit_exponent(lengths, values) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("where", [1.5, 10.0, 63.0])
def test_a_crossover_of_power_laws_is_where_they_meet(where: float) -> None:
    lengths = [1.0, 3.0, 9.0, 27.0, 81.0]
    assert crossover(lengths, [7.0] * 5, [7.0 * length / where for length in lengths]) == pytest.approx(where)


def test_a_crossover_outside_the_sizes_measured() -> None:
    assert crossover([3, 5], [1.0, 1.0], [2.0, 3.0]) == 3  # won already at the smallest
    assert crossover([3, 5], [4.0, 4.0], [2.0, 3.0]) is None  # not yet at the largest
    # One lucky sample in between is no win.
    assert crossover([1, 2, 4, 8], [3, 1, 3, 3], [2, 2, 2, 5]) == pytest.approx(
        math.exp(math.log(4) + math.log(2) * math.log(1.5) / (math.log(1.5) + math.log(5 / 3)))
    )


@given(st.integers(1, 3000))
def test_a_fast_length_is_the_next_even_one_without_large_factors(minimum: int) -> None:
    smooth = [2 * 2**a * 3**b * 5**c for a in range(13) for b in range(8) for c in range(6)]
    assert fast_length(minimum) == min(length for length in smooth if length >= minimum)


def test_numbers_are_written_with_units_that_suit() -> None:
    assert [seconds(value) for value in (61.0, 0.00999, 2e-7)] == ["61 s", "9.99 ms", "0.2 us"]
    assert [mebibytes(value) for value in (None, 3 * 2**19)] == ["-", "1.5 MiB"]
    assert (sizes((7, 8)), short_dtype("bfloat16"), short_dtype("float64")) == ("7x8", "bf16", "f64")


@pytest.mark.parametrize(
    "module", ["_suites.case", "_suites.fft_length", "_results.difference", "_results.units", "_results.statistics"]
)
def test_examples_in_docstrings(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"kernels_bench.run.{module}"))
    assert result.attempted
    assert not result.failed
