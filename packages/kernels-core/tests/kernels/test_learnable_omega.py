"""Learnable frequencies: formula, bounds and their gradient, initial scales, learning-rate marks."""

import math
from typing import Any

import numpy as np
import oracles_kernels as oracles
import pytest
import torch
from kernel_cases import SIZES, float64, make_kernel
from kernels_core import (
    BlockDiagonalLearnableOmegaSIRENKernelND,
    LearnableOmegaSIRENKernelND,
    LearnableOmegaSIRENPositionalEmbeddingND,
)


def layer(data_dim: int = 1, rows: int = 4, omega_0: float = 3.0, **options: Any) -> Any:
    torch.manual_seed(0)
    return LearnableOmegaSIRENPositionalEmbeddingND(data_dim, rows, L_cache=6, omega_0=omega_0, **options)


@pytest.mark.parametrize("data_dim", [1, 2, 3])
def test_forward_matches_numpy(data_dim: int) -> None:
    kernel = make_kernel("learnable_omega", data_dim=data_dim, L_cache=6)
    with torch.no_grad():
        kernel.positional_embedding.omega_0_scale.uniform_(-0.5, 3.0)  # on both sides of the bounds
        kernel.positional_embedding.linear.bias.normal_()
    scale = kernel.positional_embedding.omega_0_scale.detach().double().numpy().clip(0.01, 2.0)
    positions = oracles.grid([oracles.axis(4, 6)] * data_dim)
    expected = oracles.siren_kernel(float64(kernel), positions, frequency=2 * math.pi * 3.0 * scale)
    values, _ = kernel((4,) * data_dim)
    np.testing.assert_allclose(values.detach().numpy()[0], expected, atol=1e-4)


@pytest.mark.parametrize("data_dim", [1, 3])
def test_init(data_dim: int) -> None:
    embedding = layer(data_dim, rows=20000, omega_0=50.0, omega_0_scale_init=0.25)
    weight = embedding.linear.weight
    assert weight.shape == (20000, data_dim)
    assert 0.99 / data_dim < weight.abs().max().item() <= 1 / data_dim
    assert weight.std().item() == pytest.approx(1 / data_dim / math.sqrt(3), rel=0.02)
    assert not embedding.linear.bias.any()
    assert embedding.omega_0_scale.shape == (20000,)
    assert embedding.omega_0_scale.unique().tolist() == [0.25]
    assert list(embedding.state_dict()) == ["omega_0_scale", "linear.weight", "linear.bias"]


def test_starts_as_a_siren_of_the_same_frequency() -> None:
    # 2 pi omega_0 * U(-1/D, 1/D) is the SIREN bound: both first layers draw from one distribution.
    plain = make_kernel("siren", omega_0=3.0).positional_embedding.linear.weight
    learnable = make_kernel("learnable_omega", omega_0=3.0, omega_0_scale_init=1.0).positional_embedding
    torch.testing.assert_close(2 * math.pi * 3.0 * learnable.linear.weight, plain)


@pytest.mark.parametrize(("scale", "used"), [(-1.0, 0.01), (0.001, 0.01), (0.5, 0.5), (2.0, 2.0), (7.0, 2.0)])
def test_scale_is_kept_in_bounds(scale: float, used: float) -> None:
    embedding, reference = layer(), layer(omega_0_scale_init=used)
    embedding.omega_0_scale.data.fill_(scale)
    assert torch.equal(embedding((6,))[0], reference((6,))[0])


@pytest.mark.parametrize(("start", "target"), [(0.01, 0.3), (2.0, 1.7), (-0.05, 0.3), (2.1, 1.7)])
def test_scale_learns_from_the_bounds(start: float, target: float) -> None:
    embedding = layer(omega_0=0.1)
    wanted = layer(omega_0=0.1, omega_0_scale_init=target)((6,))[0].detach()
    embedding.omega_0_scale.data.fill_(start)
    optimizer = torch.optim.Adam([embedding.omega_0_scale], lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        (embedding((6,))[0] - wanted).square().mean().backward()
        assert embedding.omega_0_scale.grad.any()
        optimizer.step()
    torch.testing.assert_close(embedding.omega_0_scale, torch.full((4,), target), atol=0.05, rtol=0)


def test_product_runs_in_float32() -> None:
    embedding = layer(rows=64, omega_0=200.0)
    expected, _ = embedding((6,))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(embedding((6,))[0], expected)
    low, _ = embedding.bfloat16()((6,))
    exact, _ = embedding.double()((6,))
    # A phase of 1256 in bfloat16 is off by up to 4 radians.
    torch.testing.assert_close(low.double(), exact, atol=0.01, rtol=0)


def test_scale_per_row() -> None:
    assert layer(omega_0_scale_init=[0.1, 0.2, 0.3, 0.4]).omega_0_scale.tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize("name", ["learnable_omega", "block_diagonal_learnable"])
def test_learning_rate_marks(name: str) -> None:
    plain, marked = make_kernel(name), make_kernel(name, apply_lr_scale=True)
    assert not any(hasattr(parameter, "_lr_scale") for parameter in plain.parameters())
    scale = 1 / (2 * math.pi * marked.omega_0)
    for parameter in marked.positional_embedding.linear.parameters():
        assert parameter._lr_scale == pytest.approx(scale)
    others = [*marked.hidden_linears.parameters(), *marked.out_linear.parameters()]
    assert not any(hasattr(parameter, "_lr_scale") for parameter in others)


def test_blocks_share_the_largest_frequency() -> None:
    kernel = make_kernel("block_diagonal_learnable", num_blocks=4, omega_0_per_block=[2.0, 8.0, 4.0, 1.0])
    assert kernel.omega_0 == 8.0
    assert kernel.omega_0_per_block.tolist() == [2.0, 8.0, 4.0, 1.0]
    scale = kernel.positional_embedding.omega_0_scale
    assert scale.tolist() == [0.25, 0.25, 1.0, 1.0, 0.5, 0.5, 0.125, 0.125]
    assert scale.requires_grad
    assert not any("per_block" in key for key in kernel.state_dict())


@pytest.mark.parametrize("target", [LearnableOmegaSIRENKernelND, BlockDiagonalLearnableOmegaSIRENKernelND])
def test_arguments_read_back(target: Any) -> None:
    frequency = {"omega_0": 9.0} if target is LearnableOmegaSIRENKernelND else {"num_blocks": 2}
    bounds = {"omega_0_scale_min": 0.05, "omega_0_scale_max": 1.5, "apply_lr_scale": True}
    kernel = target(**{**SIZES, "L_cache": 8, **frequency, **bounds})
    assert {name: getattr(kernel, name) for name in (*frequency, *bounds)} == {**frequency, **bounds}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"omega_0": 0.0}, ValueError, "`omega_0`.*0.0"),
        ({"omega_0": "30"}, TypeError, "`omega_0`.*'30'"),
        ({"omega_0_scale_min": 0.0}, ValueError, "`omega_0_scale_min`.*0.0"),
        ({"omega_0_scale_min": math.nan}, ValueError, "`omega_0_scale_min`.*nan"),
        ({"omega_0_scale_max": "2"}, TypeError, "`omega_0_scale_max`.*'2'"),
        ({"omega_0_scale_min": 3.0}, ValueError, r"`omega_0_scale_max` \(=2.0\).*`omega_0_scale_min` \(=3.0\)"),
        ({"omega_0_scale_init": 5.0}, ValueError, "`omega_0_scale_init`.*0.01, 2.0.*5.0"),
        ({"omega_0_scale_init": 0.0}, ValueError, "`omega_0_scale_init`.*0.0"),
        ({"omega_0_scale_init": math.nan}, ValueError, "`omega_0_scale_init`.*nan"),
        ({"omega_0_scale_init": [1.0]}, ValueError, "`omega_0_scale_init`.* 4 "),
        ({"omega_0_scale_init": "1"}, (TypeError, ValueError), "`omega_0_scale_init`.*1"),
        ({"omega_0_scale_init": True}, (TypeError, ValueError), "`omega_0_scale_init`.*True"),
        ({"apply_lr_scale": "no"}, TypeError, "`apply_lr_scale`.*'no'"),
        ({"use_bias": 1}, TypeError, "`use_bias`.*1"),
    ],
)
def test_bad_arguments(options: dict[str, Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        layer(**options)


def test_equal_bounds_fix_the_scale() -> None:
    embedding = layer(omega_0_scale_init=0.5, omega_0_scale_min=0.5, omega_0_scale_max=0.5)
    embedding.omega_0_scale.data.fill_(1.0)
    assert torch.equal(embedding((6,))[0], layer(omega_0_scale_init=0.5)((6,))[0])
