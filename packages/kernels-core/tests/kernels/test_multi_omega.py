"""Several fixed frequencies: per row, per block, and blocks that are independent at init."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import SIZES, make_kernel
from kernels_core import (
    BlockDiagonalMultiOmegaSIRENKernelND,
    MultiOmegaSIRENKernelND,
    MultiOmegaSIRENPositionalEmbeddingND,
    omega_0_schedule,
)
from torch import Tensor

BLOCK_KERNELS = ["block_diagonal", "block_diagonal_learnable"]


def test_each_row_is_drawn_with_its_own_frequency() -> None:
    rows = [1.0] * 3000 + [20.0] * 3000 + [5.0] * 3000
    torch.manual_seed(0)
    embedding = MultiOmegaSIRENPositionalEmbeddingND(2, 9000, L_cache=4, omega_0_per_row=rows)
    for omega_0, weight in zip((1.0, 20.0, 5.0), embedding.linear.weight.split(3000), strict=True):
        bound = math.pi * omega_0
        assert 0.99 * bound < weight.abs().max().item() <= bound * (1 + 1e-6)
        assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.03)
    assert not embedding.linear.bias.any()


@pytest.mark.parametrize("rows", [[1.0, 2.0, 6.0], (1, 2, 6), torch.tensor([1.0, 2.0, 6.0])])
def test_frequencies_read_back(rows: Sequence[float] | Tensor) -> None:
    embedding = MultiOmegaSIRENPositionalEmbeddingND(1, 3, L_cache=4, omega_0_per_row=rows)
    sizes = {**SIZES, "embedding_dim": 3, "L_cache": 4}
    kernel = MultiOmegaSIRENKernelND(omega_0_per_row=rows, **sizes)  # type: ignore[arg-type]
    for module in (embedding, kernel):
        assert module.omega_0 == 3.0
        assert module.omega_0_per_row.dtype == torch.float32
        assert module.omega_0_per_row.tolist() == [1.0, 2.0, 6.0]
        assert not any("omega_0" in key for key in module.state_dict())


@settings(deadline=None, max_examples=40)
@given(
    num_blocks=st.integers(1, 12),
    low=st.floats(0.01, 50),
    ratio=st.floats(1, 100),
    schedule=st.sampled_from(["linear", "log"]),
)
def test_schedule(num_blocks: int, low: float, ratio: float, schedule: str) -> None:
    values = omega_0_schedule(num_blocks, low, low * ratio, schedule)
    assert len(values) == num_blocks
    for k, value in enumerate(values):
        share = k / max(num_blocks - 1, 1)
        expected = low * ratio**share if schedule == "log" else low + (low * ratio - low) * share
        assert value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("schedule", ["linear", "log"])
def test_schedule_scales_with_the_grid(schedule: str) -> None:
    small, large = omega_0_schedule(5, 1.0, 12.0, schedule), omega_0_schedule(5, 4.0, 48.0, schedule)
    assert large == pytest.approx([4 * value for value in small])


def test_rows_follow_their_block() -> None:
    kernel = make_kernel("block_diagonal", num_blocks=4, omega_0_min=2.0, omega_0_max=8.0)
    assert kernel.omega_0_per_block.tolist() == [2.0, 4.0, 6.0, 8.0]
    assert kernel.omega_0_per_block.dtype == torch.float32
    assert kernel.omega_0_per_row.tolist() == [2.0, 2.0, 4.0, 4.0, 6.0, 6.0, 8.0, 8.0]
    assert kernel.omega_0 == 5.0
    assert not any("omega_0" in key for key in kernel.state_dict())


def test_frequencies_given_outright() -> None:
    kernel = make_kernel("block_diagonal", num_blocks=2, omega_0_per_block=[9.0, 3.0])
    assert kernel.omega_0_per_block.tolist() == [9.0, 3.0]
    assert kernel.omega_0_per_row.tolist() == [9.0] * 4 + [3.0] * 4


@pytest.mark.parametrize("name", BLOCK_KERNELS)
def test_defaults(name: str) -> None:
    kernel = type(make_kernel(name))(**{**SIZES, "out_dim": 8, "L_cache": 8})
    expected = torch.linspace(1.0, 12.0, 8)
    torch.testing.assert_close(kernel.omega_0_per_block, expected)
    given = ("num_blocks", "omega_0_min", "omega_0_max", "schedule", "off_block_scale", "hidden_omega_0")
    assert [getattr(kernel, name) for name in given] == [8, 1.0, 12.0, "linear", 0.1, 1.0]


def block(tensor: Tensor, row: int, column: int, blocks: int) -> Tensor:
    return tensor.chunk(blocks, 0)[row].chunk(blocks, 1)[column]


@pytest.mark.parametrize("scale", [0.0, 0.1, 3.0])
@pytest.mark.parametrize("name", BLOCK_KERNELS)
def test_weights_between_blocks_are_scaled(name: str, scale: float) -> None:
    sizes = {"embedding_dim": 4, "mlp_hidden_dim": 8, "out_dim": 12, "num_blocks": 4}
    damped, full = (make_kernel(name, off_block_scale=value, **sizes) for value in (scale, 1.0))
    for mine, parent in zip(
        [*damped.hidden_linears, damped.out_linear], [*full.hidden_linears, full.out_linear], strict=True
    ):
        for row in range(4):
            for column in range(4):
                factor = 1.0 if row == column else scale
                expected = factor * block(parent.weight, row, column, 4)
                torch.testing.assert_close(block(mine.weight, row, column, 4), expected, rtol=1e-6, atol=0)


def test_scale_one_is_the_parent() -> None:
    per_block = [1.0, 4.0]
    child = make_kernel("block_diagonal", off_block_scale=1.0, omega_0_per_block=per_block)
    parent = make_kernel("multi_omega", omega_0_per_row=[1.0] * 4 + [4.0] * 4)
    assert all(torch.equal(*pair) for pair in zip(child.parameters(), parent.parameters(), strict=True))
    assert torch.equal(child((5, 5))[0], parent((5, 5))[0])


@pytest.mark.parametrize("name", BLOCK_KERNELS)
def test_scale_zero_is_independent_networks(name: str) -> None:
    kernel = make_kernel(name, num_blocks=4, off_block_scale=0.0)
    before, _ = kernel((5, 5))
    with torch.no_grad():
        kernel.positional_embedding.linear.weight[2:4] += 1.0  # of the second block alone
    after, _ = kernel((5, 5))
    assert torch.equal(before[..., [0, 2, 3]], after[..., [0, 2, 3]])
    assert not torch.equal(before[..., 1], after[..., 1])
    gradient = torch.autograd.grad(after[..., 3].sum(), kernel.hidden_linears[0].bias)[0]
    assert not gradient[:6].any()
    assert gradient[6:].any()


def test_training_couples_the_blocks() -> None:
    kernel = make_kernel("block_diagonal", off_block_scale=0.0)
    kernel((5, 5))[0].square().sum().backward()
    assert block(kernel.out_linear.weight.grad, 0, 1, 2).any()


@pytest.mark.parametrize(
    "rows",
    [
        [1.0, 2.0],
        [1.0, 2.0, 3.0, 4.0],
        [1.0, 0.0, 2.0],
        [1.0, -1.0, 2.0],
        [1.0, math.nan, 2.0],
        [1.0, math.inf, 2.0],
        [1.0, None, 2.0],
        [1.0, "x", 2.0],
        ["1", "2", "3"],
        "123",
        [True, True, True],
        3.0,
        None,
    ],
)
def test_bad_frequencies(rows: Any) -> None:
    with pytest.raises(ValueError, match=r"`omega_0_per_row`.* 3 "):
        MultiOmegaSIRENPositionalEmbeddingND(1, 3, L_cache=4, omega_0_per_row=rows)
    sizes = {**SIZES, "embedding_dim": 6, "mlp_hidden_dim": 6, "out_dim": 6, "L_cache": 4}
    with pytest.raises(ValueError, match=r"`omega_0_per_block`.* 3 "):
        BlockDiagonalMultiOmegaSIRENKernelND(num_blocks=3, omega_0_per_block=3.0 if rows is None else rows, **sizes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"embedding_dim": 7}, ValueError, r"`embedding_dim` \(=7\).*\(=2\)"),
        ({"mlp_hidden_dim": 9}, ValueError, r"`mlp_hidden_dim` \(=9\).*\(=2\)"),
        ({"out_dim": 5}, ValueError, r"`out_dim` \(=5\).*\(=2\)"),
        ({"num_blocks": 0}, ValueError, "`num_blocks`.*0"),
        ({"num_blocks": True}, TypeError, "`num_blocks`.*True"),
        ({"num_blocks": 2.0}, TypeError, "`num_blocks`.*2.0"),
        ({"schedule": "cosine"}, ValueError, "`schedule`.*'linear', 'log'.*'cosine'"),
        ({"schedule": "cosine", "omega_0_per_block": [1.0, 2.0]}, ValueError, "`schedule`.*'cosine'"),
        ({"schedule": None}, ValueError, "`schedule`.*None"),
        ({"omega_0_min": 0.0}, ValueError, "`omega_0_min`.*0.0"),
        ({"omega_0_min": -1.0}, ValueError, "`omega_0_min`.*-1.0"),
        ({"omega_0_max": math.inf}, ValueError, "`omega_0_max`.*inf"),
        ({"omega_0_min": "1"}, TypeError, "`omega_0_min`.*'1'"),
        ({"omega_0_min": 5.0, "omega_0_max": 2.0}, ValueError, r"`omega_0_max` \(=2.0\).*`omega_0_min` \(=5.0\)"),
        ({"off_block_scale": -0.1}, ValueError, "`off_block_scale`.*-0.1"),
        ({"off_block_scale": math.nan}, ValueError, "`off_block_scale`.*nan"),
        ({"off_block_scale": "0"}, TypeError, "`off_block_scale`.*'0'"),
        ({"off_block_scale": False}, TypeError, "`off_block_scale`.*False"),
    ],
)
@pytest.mark.parametrize("name", BLOCK_KERNELS)
def test_bad_block_arguments(name: str, changes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        type(make_kernel(name))(**{**SIZES, "L_cache": 8, "num_blocks": 2, **changes})
