"""FFT lengths, placement of taps and blocks, by brute force."""

import math

import pytest
import torch
from fftconv_cases import PADDINGS, most_taps
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_core._fftconv.blocks import blocks
from kernels_core._fftconv.boundary import Axis, fast_length, kernel_origin, plan_axes, plan_axis, spectrum_shape
from kernels_core._fftconv.route import Problem, spectral_block


def is_fast(length: int) -> bool:
    """2, 4, 8, ... times 1, 3, 5 or 9."""
    return any(length == odd << power for odd in (1, 3, 5, 9) for power in range(1, length.bit_length() + 1))


def aliases(length: int, signal: int, lags: range) -> bool:
    """Whether a transform of this length takes some tap for one of another lag at any of the samples kept."""
    distances = range(1 - signal, signal)
    return any(distance != lag and (distance - lag) % length == 0 for distance in distances for lag in lags)


def lags_of(plan: Axis) -> range:
    return range(-plan.origin, plan.taps - plan.origin)


def test_fast_length_is_the_next_with_few_odd_factors() -> None:
    candidates = iter([length for length in range(2, 6000, 2) if is_fast(length)])
    expected = next(candidates)
    for minimum in range(1, 4800):
        while expected < minimum:
            expected = next(candidates)
        assert fast_length(minimum) == expected


@given(st.integers(1, 10**9))
@settings(deadline=None, database=None)
def test_fast_length_at_any_scale(minimum: int) -> None:
    length = fast_length(minimum)
    assert length >= minimum
    assert length % 2 == 0
    assert is_fast(length)
    # No more than this is ever transformed in vain.
    assert length <= max(2, math.ceil(minimum * 4 / 3))


@pytest.mark.parametrize("length", [2**30, 2**29 * 3, 2**31 * 5, 2**20 * 9, 2 * 9, 2**40])
def test_fast_length_keeps_fast_lengths(length: int) -> None:
    assert fast_length(length) == length
    assert fast_length(length - 1) == length


@pytest.mark.parametrize(
    ("taps", "padding", "origin"),
    [
        (1, "zero", 0),
        (2, "zero", 1),
        (5, "zero", 2),
        (6, "circular", 3),
        (7, "circular", 3),
        (1, "causal", 0),
        (8, "causal", 0),
    ],
)
def test_kernel_origin(taps: int, padding: str, origin: int) -> None:
    assert kernel_origin(taps, padding) == origin


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("signal", range(1, 13))
def test_axis_keeps_every_lag_apart_in_the_shortest_fast_transform(signal: int, padding: str) -> None:
    for taps in range(1, most_taps(signal, padding) + 1):
        plan = plan_axis(signal, taps, padding)
        assert plan.signal == signal
        assert plan.origin == kernel_origin(plan.taps, padding)
        if padding == "circular":
            assert (plan.taps, plan.length) == (taps, signal)
            continue
        assert plan.taps == (min(taps, signal) if padding == "causal" else taps)
        needed = next(length for length in range(signal, 4 * signal + 1) if not aliases(length, signal, lags_of(plan)))
        # One sample more than needed where the far tap of a kernel of 2N taps meets no sample at all.
        assert fast_length(needed) <= plan.length <= fast_length(needed + 1)
        assert not aliases(plan.length, signal, lags_of(plan))
        assert plan.length >= plan.taps


def test_axes_are_planned_each_on_its_own() -> None:
    sizes = (5, 8, 7), (10, 8, 14), ("zero", "circular", "causal")
    assert plan_axes(*sizes) == tuple(plan_axis(*axis) for axis in zip(*sizes, strict=True))
    with pytest.raises(ValueError, match="zip"):
        plan_axes((5, 8), (3,), ("zero",))


def test_plans_are_values() -> None:
    plan = plan_axis(5, 3, "zero")
    assert hash(plan) == hash(plan_axis(5, 3, "zero"))
    with pytest.raises(AttributeError):
        plan.length = 1  # type: ignore[misc]


@given(
    st.sampled_from([(1,), (31,), (97,), (64, 67), (5, 74, 3), (4, 2, 3, 5)]).flatmap(
        lambda signal: st.tuples(st.just(signal), st.tuples(*[st.integers(1, n) for n in signal]))
    ),
    st.sampled_from(PADDINGS),
)
@settings(deadline=None, database=None)
def test_kernel_pieces_put_every_lag_once(sizes: tuple[tuple[int, ...], tuple[int, ...]], padding: str) -> None:
    for axis in plan_axes(*sizes, (padding,) * len(sizes[0])):
        placed = [0] * axis.length
        for source, target, size in axis.kernel_pieces:
            for offset in range(size):
                placed[target + offset] += source + offset + 1  # tap j as j + 1, none as 0
        lags = range(1 - axis.signal, axis.signal)
        expected = [0] * axis.length
        for lag in lags if padding == "circular" and axis.length > axis.signal else lags_of(axis):
            tap = lag + axis.origin
            tap = tap % axis.signal if padding == "circular" else tap
            expected[lag % axis.length] = tap + 1 if tap < axis.taps else 0
        assert placed == expected


@pytest.mark.parametrize("length", [17, 29, 31, 37, 62, 97, 997, 2 * 499])
def test_circular_axes_of_large_prime_factors_take_a_longer_transform(length: int) -> None:
    plan = plan_axis(length, length, "circular")
    assert plan.periodic
    assert plan.length == fast_length(2 * length - 1)


@pytest.mark.parametrize("length", [1, 13, 26, 60, 64, 1000, 13 * 13])
def test_other_circular_axes_take_one_of_their_own(length: int) -> None:
    assert plan_axis(length, length, "circular").length == length


@given(
    st.lists(st.integers(1, 600), min_size=1, max_size=3),
    st.integers(0, 70),
    st.integers(0, 300),
    st.sampled_from([torch.float32, torch.float64]),
    st.booleans(),
)
@settings(deadline=None, database=None)
def test_blocks_cover_everything_once_within_their_bytes(
    signal: list[int], items: int, channels: int, dtype: torch.dtype, on_cpu: bool
) -> None:
    sizes, paddings = tuple(signal), ("zero",) * len(signal)
    axes, problem = plan_axes(sizes, sizes, paddings), Problem(items, channels, sizes, sizes, paddings, dtype, on_cpu)
    size = spectral_block(axes, problem)
    covered = [
        (item, channel)
        for block in blocks(items, channels, size)
        for channel in range(*block.channels.indices(channels))
        for item in range(*block.items.indices(items))
    ]
    assert len(covered) == len(set(covered)) == items * channels
    padded = dtype.itemsize * math.prod(axis.length for axis in axes)
    assert size == (1, 1) or size.items * size.channels * padded <= (8 << 20 if on_cpu else 256 << 20)
    assert spectral_block(axes, problem._replace(items=items + 1)).channels == size.channels


def test_spectra_have_the_last_axis_first() -> None:
    axes = plan_axes((5, 8, 7), (5, 8, 7), ("circular",) * 3)
    assert spectrum_shape(axes) == (4, 8, 5)
