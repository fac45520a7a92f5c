"""Coordinates: formula, purity, dtype, memory, arguments."""

import numpy as np
import oracles_kernels as oracles
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import KERNELS, make_kernel
from kernels_core import SIRENPositionalEmbeddingND, axis_coordinates, coordinate_grid


@settings(deadline=None, max_examples=50)
@given(
    length=st.integers(1, 70),
    L_cache=st.integers(2, 50),
    resolution=st.floats(0.25, 4),
    causal=st.booleans(),
)
def test_axis_matches_formula(length: int, L_cache: int, resolution: float, causal: bool) -> None:
    positions = axis_coordinates(length, L_cache, resolution=resolution, causal=causal)
    assert positions.dtype == torch.float32
    expected = oracles.axis(length, L_cache, resolution=resolution, causal=causal)
    np.testing.assert_allclose(positions.numpy(), expected, rtol=3e-7)


@pytest.mark.parametrize("L_cache", [2, 3, 8, 1023])
def test_axis_spans_minus_one_to_one_at_L_cache(L_cache: int) -> None:
    positions = axis_coordinates(L_cache, L_cache)
    assert positions.shape == (2 * L_cache - 1,)
    assert positions[0] == -1
    assert positions[-1] == 1
    assert positions[L_cache - 1] == 0


def test_other_lengths_share_the_points_of_the_grid() -> None:
    native = axis_coordinates(9, 9)
    assert torch.equal(axis_coordinates(4, 9), native[5:-5])
    longer = axis_coordinates(20, 9)
    assert torch.equal(longer[11:-11], native)
    assert longer[-1] == 19 / 8


def test_causal_axis_is_the_non_negative_half() -> None:
    assert torch.equal(axis_coordinates(6, 9, causal=True), axis_coordinates(6, 9)[5:])


def test_default_resolution_is_bit_identical_to_one() -> None:
    for L_cache in range(2, 60):
        assert torch.equal(axis_coordinates(40, L_cache), axis_coordinates(40, L_cache, resolution=1.0))


@pytest.mark.parametrize("sizes", [(5,), (3, 5), (3, 1, 4)])
def test_grid_is_ij_indexed(sizes: tuple[int, ...]) -> None:
    axes = [axis_coordinates(size, 4 + d) for d, size in enumerate(sizes)]
    grid = coordinate_grid(axes)
    expected = oracles.grid([positions.double().numpy() for positions in axes])
    assert grid.dtype == torch.float32
    np.testing.assert_array_equal(grid.numpy()[0], expected.astype(np.float32))


@pytest.mark.parametrize("name", KERNELS)
def test_forward_is_pure(name: str) -> None:
    kernel = make_kernel(name, L_cache=(8, 5))
    first = [tensor.clone() for tensor in kernel((6, 4))]
    kernel((20, 30))
    kernel((1, 2))
    again = kernel((6, 4))
    assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))


@pytest.mark.parametrize("convert", ["bfloat16", "half", "float", "double"])
@pytest.mark.parametrize("name", KERNELS)
def test_grid_stays_float32_whatever_the_parameters(name: str, convert: str) -> None:
    kernel = make_kernel(name)
    _, expected = kernel((7, 9))
    values, grid = getattr(kernel, convert)()((7, 9))
    assert values.dtype == next(kernel.parameters()).dtype
    assert grid.dtype == torch.float32
    assert torch.equal(grid, expected)


@pytest.mark.parametrize("name", KERNELS)
def test_autocast_leaves_the_first_layer_alone(name: str) -> None:
    embedding = make_kernel(name).positional_embedding
    with torch.autocast("cpu", torch.bfloat16):
        features, grid = embedding((9, 9))
    assert features.dtype == grid.dtype == torch.float32
    assert torch.equal(features, embedding((9, 9))[0])


def test_neighbours_stay_apart_in_bfloat16() -> None:
    # Coordinates or phases in bfloat16 would merge up to 16 of these neighbours, an error of order 1 at this frequency.
    embedding = SIRENPositionalEmbeddingND(1, 1, L_cache=2048, omega_0=1.0)
    embedding.linear.weight.data[:] = 500.0
    features, _ = embedding.bfloat16()((2048,))
    expected = torch.sin(500 * axis_coordinates(2048, 2048))
    torch.testing.assert_close(features[0, :, 0].float(), expected, atol=0.01, rtol=0)


@pytest.mark.parametrize("name", KERNELS)
def test_coordinates_are_neither_saved_nor_kept(name: str) -> None:
    kernel = make_kernel(name, data_dim=3, L_cache=12)
    kernel((12, 12, 12))
    assert not any("grid" in key or "coord" in key for key in kernel.state_dict())
    learned = {id(parameter) for parameter in kernel.parameters()}
    kept = [
        t for m in kernel.modules() for t in [*vars(m).values(), *m._buffers.values()] if isinstance(t, torch.Tensor)
    ]
    assert sum(t.numel() for t in kept if id(t) not in learned) <= 3 * 23 + kernel.embedding_dim


@pytest.mark.parametrize(
    ("L_cache", "error", "message"),
    [
        (1, ValueError, "1"),
        (0, ValueError, "0"),
        (-8, ValueError, "-8"),
        (True, TypeError, "True"),
        ("8", TypeError, "'8'"),
        (8.0, TypeError, "8.0"),
        (float("nan"), TypeError, "nan"),
        (None, TypeError, "None"),
        ((8,), ValueError, r"\(8,\)"),
        ((8, 8, 8), ValueError, "3"),
        ((8, 1), ValueError, "1"),
        ((8, True), TypeError, "True"),
        ((8, "8"), TypeError, "'8'"),
        ((8, 8.5), TypeError, "8.5"),
        ((), ValueError, r"\(\)"),
    ],
)
def test_bad_L_cache(L_cache: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=rf"`L_cache.*{message}"):
        SIRENPositionalEmbeddingND(2, 4, L_cache=L_cache, omega_0=1.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(("L_cache", "per_axis"), [(8, (8, 8)), ((8, 5), (8, 5)), ([2, 9], (2, 9))])
def test_L_cache_reads_back(L_cache: object, per_axis: tuple[int, ...]) -> None:
    embedding = SIRENPositionalEmbeddingND(2, 4, L_cache=L_cache, omega_0=1.0)  # type: ignore[arg-type]
    assert embedding.L_cache == L_cache
    assert embedding.L_cache_per_axis == per_axis


@pytest.mark.parametrize(
    "seq_lens", [(5,), (5, 5, 5), 5, (5, 0), (5, -1), (5, True), (5, 2.0), "55", (5, "5"), None, 5.0, (5, float("nan"))]
)
def test_bad_seq_lens(seq_lens: object) -> None:
    with pytest.raises((TypeError, ValueError), match="`seq_lens"):
        make_kernel()(seq_lens)


def test_axis_without_spacing_is_an_error() -> None:
    with pytest.raises(ValueError, match="`L_cache`"):
        axis_coordinates(3, 1)
