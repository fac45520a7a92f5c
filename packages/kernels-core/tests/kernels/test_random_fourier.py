"""Random Fourier features and the network on them."""

import math
from typing import Any

import numpy as np
import oracles_kernels as oracles
import pytest
import torch
from kernel_cases import SIZES, float64, make_kernel
from kernels_core import LazyConfig, RandomFourierKernelND, RandomFourierPositionalEmbeddingND, param_groups
from torch import Tensor, nn


@pytest.mark.parametrize("data_dim", [1, 2, 3])
def test_features_are_cosines_then_sines(data_dim: int) -> None:
    torch.manual_seed(0)
    embedding = RandomFourierPositionalEmbeddingND(data_dim, 6, L_cache=5, omega_0=0.7)
    embedding.linear.bias.normal_()
    features, grid = embedding((4,) * data_dim)
    weights = float64(embedding)
    positions = oracles.grid([oracles.axis(4, 5)] * data_dim)
    phase = positions @ weights["linear.weight"].T + weights["linear.bias"]
    np.testing.assert_allclose(features.numpy()[0], np.concatenate([np.cos(phase), np.sin(phase)], -1), atol=2e-5)
    assert grid.shape == (1, *[7] * data_dim, data_dim)


def test_init() -> None:
    torch.manual_seed(0)
    embedding = RandomFourierPositionalEmbeddingND(2, 20000, L_cache=5, omega_0=3.0)
    weight = embedding.linear.weight
    assert weight.shape == (10000, 2)
    assert weight.std().item() == pytest.approx(6 * math.pi, rel=0.03)
    assert abs(weight.mean().item()) < 0.5
    kurtosis = (weight / weight.std()).pow(4).mean().item()  # 3 for a Gaussian, 1.8 for a uniform distribution
    assert kurtosis == pytest.approx(3, abs=0.2)
    assert not embedding.linear.bias.any()


def test_features_are_frozen_and_the_network_is_not() -> None:
    kernel = make_kernel("random_fourier")
    frozen = {name for name, parameter in kernel.named_parameters() if not parameter.requires_grad}
    assert frozen == {"positional_embedding.linear.weight", "positional_embedding.linear.bias"}
    trained = {id(parameter) for group in param_groups(kernel, 0.1, 0.1) for parameter in group["params"]}
    assert trained == {id(parameter) for parameter in kernel.parameters() if parameter.requires_grad}
    before = kernel.positional_embedding.linear.weight.clone()
    optimizer = torch.optim.SGD(kernel.parameters(), lr=1.0)
    kernel((5, 5))[0].square().sum().backward()
    optimizer.step()
    assert torch.equal(kernel.positional_embedding.linear.weight, before)


@pytest.mark.parametrize("num_layers", [2, 4])
@pytest.mark.parametrize("use_bias", [True, False])
def test_kernel_matches_numpy(num_layers: int, use_bias: bool) -> None:
    kernel = make_kernel("random_fourier", num_layers=num_layers, use_bias=use_bias, nonlinear_cfg=nn.Tanh)
    assert [type(module).__name__ for module in kernel.kernel_network] == ["KernelLinear", "Tanh"] * (num_layers - 1)
    names = ["positional_embedding.linear", *(f"kernel_network.{2 * i}" for i in range(num_layers - 1)), "out_linear"]
    (first, first_bias), *hidden, readout = oracles.layers(float64(kernel), names)
    phase = oracles.grid([oracles.axis(4, 8), oracles.axis(3, 8)]) @ first.T + first_bias
    h = np.concatenate([np.cos(phase), np.sin(phase)], -1)
    for weight, bias in hidden:
        h = np.tanh(h @ weight.T + bias)
    values, grid = kernel((4, 3))
    assert grid.shape == (1, 7, 5, 2)
    np.testing.assert_allclose(values.detach().numpy()[0], h @ readout[0].T + readout[1], atol=2e-5)
    torch.testing.assert_close(kernel((4, 3), torch.randn(9, 3))[0], values)


@pytest.mark.parametrize(
    "nonlinear_cfg", [nn.GELU, LazyConfig(nn.GELU)(approximate="tanh"), nn.ELU(), lambda: nn.ReLU()]
)
def test_nonlinearity_in_every_form(nonlinear_cfg: Any) -> None:
    kernel = make_kernel("random_fourier", nonlinear_cfg=nonlinear_cfg)
    assert not any(isinstance(module, nn.Linear) for module in kernel.kernel_network[1::2])
    assert kernel((3, 3))[0].shape == (1, 5, 5, 4)


def test_readout_is_scaled_by_wang() -> None:
    narrow, wide = (make_kernel("random_fourier", L_cache=L_cache) for L_cache in ((2, 2), (8, 18)))
    ratio = oracles.wang_factor((8, 18)) / oracles.wang_factor((2, 2))
    torch.testing.assert_close(wide.out_linear.weight, ratio * narrow.out_linear.weight)


def test_init_method_sees_every_weight() -> None:
    widths = []

    def init_method(width: int) -> Any:
        widths.append(width)
        return lambda weight: nn.init.constant_(weight, 2.0)

    kernel = make_kernel("random_fourier", init_method=init_method)
    assert widths == [8, 8, 4]
    assert (kernel.kernel_network[0].weight == 2).all()
    torch.testing.assert_close(kernel.out_linear.weight, torch.full((4, 8), 2.0 * oracles.wang_factor((8, 8))))


def test_gradient_reaches_the_network_alone() -> None:
    kernel = make_kernel("random_fourier")
    kernel((4, 4))[0].square().sum().backward()
    for name, parameter in kernel.named_parameters():
        assert (parameter.grad is None) == name.startswith("positional_embedding")


class Weird(nn.Module):
    """No nonlinearity: it takes an argument that nobody gives."""

    def __init__(self, slope: float) -> None:
        super().__init__()

    def forward(self, h: Tensor) -> Tensor:
        return h


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"embedding_dim": 7}, ValueError, "`embedding_dim`.*even.*7"),
        ({"embedding_dim": True}, TypeError, "`embedding_dim`.*True"),
        ({"embedding_dim": 0}, ValueError, "`embedding_dim`.*0"),
        ({"omega_0": -1.0}, ValueError, "`omega_0`.*-1.0"),
        ({"omega_0": "1"}, TypeError, "`omega_0`.*'1'"),
        ({"num_layers": 1}, ValueError, "`num_layers`.*1"),
        ({"nonlinear_cfg": Weird}, TypeError, "Weird.*slope"),
        ({"nonlinear_cfg": "gelu"}, TypeError, "'gelu'"),
        ({"nonlinear_cfg": lambda: 3}, TypeError, "`nonlinear_cfg`.*int"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments = {**SIZES, "L_cache": 8, "omega_0": 1.0, "nonlinear_cfg": nn.GELU, **changes}
    with pytest.raises(error, match=message):
        RandomFourierKernelND(**arguments)
