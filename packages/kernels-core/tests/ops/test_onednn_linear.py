"""A linear layer by oneDNN against PyTorch's own."""

import pytest
import torch
from kernels_core._ops import onednn_linear
from torch import Tensor


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5, 3), (2, 5, 3), (1, 3)])
def test_values_and_gradients(shape: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(0)
    operands = [torch.randn(shape), torch.randn(4, 3), *([torch.randn(4)] if bias else [])]
    found, expected = (
        with_gradients(function, operands)
        for function in (onednn_linear.one_tap_convolution, torch.nn.functional.linear)
    )
    torch.testing.assert_close(found, expected)


def with_gradients(function: object, operands: list[Tensor]) -> list[Tensor]:
    leaves = [operand.clone().requires_grad_() for operand in operands]
    values: Tensor = function(*leaves)  # type: ignore[operator]
    return [values, *torch.autograd.grad(values.square().sum(), leaves)]


def test_only_large_float32_products_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = torch.empty(64, 64)
    large = torch.empty(onednn_linear.LEAST_PRODUCTS * torch.get_num_threads() // weight.numel(), 64)
    assert onednn_linear.suits_onednn(large, weight) == torch.backends.mkldnn.is_available()
    assert not onednn_linear.suits_onednn(large[1:], weight)
    assert not onednn_linear.suits_onednn(large.double(), weight.double())
    assert not onednn_linear.suits_onednn(large.to("meta"), weight.to("meta"))
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not onednn_linear.suits_onednn(large, weight)


def test_linear_takes_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    h, weight, bias = torch.randn(5, 3), torch.randn(4, 3), torch.randn(4)
    expected = torch.nn.functional.linear(h, weight, bias)
    assert torch.equal(onednn_linear.linear(h, weight, bias), expected)
    monkeypatch.setattr(onednn_linear, "LEAST_PRODUCTS", 0)
    torch.testing.assert_close(onednn_linear.linear(h, weight, bias), expected)
