"""Quantisation of every `nn.Linear` of a model leaves its kernels alone."""

import copy
import warnings
from typing import Any

import pytest
import torch
from models import CHANNELS, COND, LENGTH, Net
from torch import Tensor, nn

with warnings.catch_warnings(action="ignore"):  # on import, libraries warn of their own affairs
    pytest.importorskip("torchao")
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, Int8WeightOnlyConfig, quantize_
    from torchao.utils import TorchAOBaseTensor

# Both libraries announce their own changes.
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:torch.quantize_per_tensor.*deprecated:UserWarning"
)
WEIGHT_ONLY, DYNAMIC = Int8WeightOnlyConfig, Int8DynamicActivationInt8WeightConfig


def dynamic(model: nn.Module) -> nn.Module:
    return torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)


def int8(config: Any) -> Any:
    def quantize(model: nn.Module) -> nn.Module:
        quantize_(model, config())
        return model

    return quantize


def is_quantised(linear: nn.Module) -> bool:
    return not isinstance(linear, nn.Linear) or isinstance(linear.weight, TorchAOBaseTensor)


@pytest.mark.parametrize("conditioned", [False, True])
@pytest.mark.parametrize("quantize", [dynamic, int8(WEIGHT_ONLY), int8(DYNAMIC)], ids=["torch", "weights", "all"])
def test_kernels_are_not_quantised(quantize: Any, conditioned: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, LENGTH, CHANNELS, generator=generator)
    conditioning = torch.randn(2, COND, generator=generator) if conditioned else None
    model = Net(film=True).eval()
    quantised = quantize(copy.deepcopy(model))
    assert is_quantised(quantised.first)
    assert is_quantised(quantised.last)

    def relative_error(found: Tensor, expected: Tensor) -> float:
        return ((found - expected).norm() / expected.norm()).item()

    with torch.no_grad():
        expected = model(x, conditioning=conditioning)
        for _ in range(2):
            assert 0 < relative_error(quantised(x, conditioning=conditioning), expected) < 0.05
    for linear in (*quantised.conv.kernel.hidden_linears, quantised.conv.kernel.out_linear):
        assert type(linear.weight) is nn.Parameter
        assert linear.weight.dtype == torch.float32
    with torch.no_grad():  # no part of the kernel has changed
        torch.testing.assert_close(quantised.conv(x), model.conv(x), atol=0, rtol=0)
