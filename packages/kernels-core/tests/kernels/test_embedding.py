"""The first layer of a SIREN and what all first layers share."""

import math
import re
from typing import Any

import numpy as np
import oracles_kernels as oracles
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import KERNELS, make_kernel
from kernels_core import SIRENPositionalEmbeddingND, siren_bound


@pytest.mark.parametrize(
    ("fan_in", "omega_0", "is_first", "expected"),
    [
        (1, 1.0, True, 2 * math.pi),
        (3, 30.0, True, 20 * math.pi),
        (6, 1.0, False, 1.0),
        (24, 1.0, False, 0.5),
        (24, 30.0, False, 0.5),
    ],
)
def test_bound(fan_in: int, omega_0: float, is_first: bool, expected: float) -> None:
    assert siren_bound(fan_in, omega_0, is_first=is_first) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("data_dim", [1, 2, 3])
def test_init_is_uniform_within_the_bound(data_dim: int) -> None:
    torch.manual_seed(0)
    linear = SIRENPositionalEmbeddingND(data_dim, 20000, L_cache=4, omega_0=7.0).linear
    bound = 2 * math.pi * 7.0 / data_dim
    assert linear.weight.abs().max() <= bound
    assert linear.weight.abs().max() > 0.99 * bound
    assert linear.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)
    assert abs(linear.weight.mean().item()) < 0.02 * bound
    assert not linear.bias.any()


@settings(deadline=None, max_examples=25)
@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4), use_bias=st.booleans(), seed=st.integers(0, 9))
def test_forward_is_the_sine_of_the_projection(lengths: list[int], use_bias: bool, seed: int) -> None:
    torch.manual_seed(seed)
    L_caches = [3 + d for d in range(len(lengths))]
    embedding = SIRENPositionalEmbeddingND(len(lengths), 5, L_cache=L_caches, omega_0=2.0, use_bias=use_bias)
    bias = torch.randn(5) if use_bias else torch.zeros(5)
    if use_bias:
        embedding.linear.bias.data.copy_(bias)
    features, grid = embedding(lengths)
    positions = oracles.grid([oracles.axis(*pair) for pair in zip(lengths, L_caches, strict=True)])
    expected = np.sin(positions @ embedding.linear.weight.detach().double().numpy().T + bias.numpy())
    assert features.shape == (1, *(2 * n - 1 for n in lengths), 5)
    np.testing.assert_allclose(features.detach().numpy()[0], expected, atol=3e-5)
    np.testing.assert_allclose(grid.numpy()[0], positions, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("name", KERNELS)
def test_features_are_rounded_once_to_the_weights_dtype(name: str, dtype: torch.dtype) -> None:
    embedding = make_kernel(name).positional_embedding.to(dtype)
    features, _ = embedding((8, 8))
    exact, _ = embedding.double()((8, 8))
    assert features.dtype == dtype
    torch.testing.assert_close(features.double(), exact, atol=1e-5 + torch.finfo(dtype).eps, rtol=0)


def test_arguments_read_back() -> None:
    arguments = {"data_dim": 2, "embedding_dim": 6, "L_cache": (4, 5), "omega_0": 2.5, "use_bias": False}
    embedding = SIRENPositionalEmbeddingND(**arguments)  # type: ignore[arg-type]
    assert {name: getattr(embedding, name) for name in arguments} == arguments
    assert list(embedding.state_dict()) == ["linear.weight"]
    assert embedding.linear.weight.shape == (6, 2)
    assert all(parameter._no_weight_decay is True for parameter in embedding.parameters())  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("argument", "value", "error"),
    [
        *[("data_dim", value, ValueError) for value in (0, -1)],
        *[("data_dim", value, TypeError) for value in (True, 1.0, "1", None)],
        ("embedding_dim", 0, ValueError),
        *[("embedding_dim", value, TypeError) for value in (True, 8.0, "8")],
        *[("omega_0", value, ValueError) for value in (0, -1.0, math.nan, math.inf)],
        *[("omega_0", value, TypeError) for value in (True, "30", None, [30.0])],
        *[("use_bias", value, TypeError) for value in (1, "false", None)],
    ],
)
def test_bad_arguments(argument: str, value: Any, error: type[Exception]) -> None:
    arguments: dict[str, Any] = {"data_dim": 2, "embedding_dim": 6, "L_cache": 4, "omega_0": 2.5, argument: value}
    with pytest.raises(error, match=rf"`{argument}` .*{re.escape(repr(value))}"):
        SIRENPositionalEmbeddingND(**arguments)
