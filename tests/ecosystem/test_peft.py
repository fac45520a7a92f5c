"""PEFT: low-rank adapters on the linear layers of a kernel."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from models import CHANNELS, LENGTH, Net
from torch import Tensor

with warnings.catch_warnings(action="ignore"):  # on import, libraries warn of their own affairs
    pytest.importorskip("peft")
    from peft import LoraConfig, PeftModel, get_peft_model
    from peft.tuners.lora import Linear as LoraLinear

# PEFT warns of every class that it does not know by name.
pytestmark = pytest.mark.filterwarnings("ignore:Unsupported layer type:UserWarning:peft")
EMBEDDING, HIDDEN = "conv.kernel.positional_embedding.linear", "conv.kernel.hidden_linears.0"
X = torch.randn(2, LENGTH, CHANNELS, generator=torch.Generator().manual_seed(1))


def adapters(model: Net, *targets: str) -> LoraConfig:
    config = LoraConfig(r=2, lora_alpha=4, target_modules=[*targets])
    config._register_custom_module({type(model.conv.kernel.out_linear): LoraLinear})
    return config


def with_adapters(model: Net, *targets: str) -> Any:
    """The model with adapters whose second factor is not the zero it starts with."""
    adapted = get_peft_model(model, adapters(model, *targets))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.05)
    return adapted


def relative_error(found: Tensor, expected: Tensor) -> float:
    return ((found.float() - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("target", [EMBEDDING, HIDDEN, "conv.kernel.out_linear"])
def test_adapters_change_the_kernel_and_train_alone(target: str) -> None:
    plain = Net(film=True)
    expected = plain(X).detach()
    adapted = with_adapters(Net(film=True), target)
    assert {name.split(".lora_")[0] for name, p in adapted.named_parameters() if p.requires_grad} == {
        f"base_model.model.{target}"
    }
    y = adapted(X)
    y.square().mean().backward()
    for name, parameter in adapted.named_parameters():
        assert (parameter.grad is not None and bool(parameter.grad.any())) == ("lora" in name), name
    # The adapted layer has the weight W + scale * B A.
    factors = adapted.get_submodule(f"base_model.model.{target}")
    change = 2 * factors.lora_B["default"].weight @ factors.lora_A["default"].weight
    with torch.no_grad():
        plain.get_submodule(target).weight.add_(change)
    assert relative_error(y.detach(), expected) > 1e-3
    torch.testing.assert_close(y, plain(X), atol=1e-5, rtol=1e-4)
    adapted.eval(), plain.eval()
    with torch.no_grad():
        for _ in range(2):
            torch.testing.assert_close(adapted(X), plain(X), atol=1e-5, rtol=1e-4)
        merged = adapted.merge_and_unload()
        torch.testing.assert_close(merged(X), plain(X), atol=1e-5, rtol=1e-4)
    assert list(merged.state_dict()) == list(plain.state_dict())


def test_adapters_that_are_saved_compute_the_same(tmp_path: Path) -> None:
    adapted = with_adapters(Net(), EMBEDDING, HIDDEN)
    adapted.save_pretrained(tmp_path)
    model = Net()
    loaded = PeftModel.from_pretrained(model, tmp_path, config=adapters(model, EMBEDDING, HIDDEN))
    torch.testing.assert_close(loaded(X), adapted(X))


@pytest.mark.parametrize("target", [EMBEDDING, HIDDEN])
def test_the_projection_stays_float32_under_autocast(target: str) -> None:
    model = Net(omega_0=100.0, L_cache=256)
    adapted = with_adapters(model, target)
    expected = adapted(X).detach()
    dtypes = []
    linear = adapted.get_submodule(f"base_model.model.{EMBEDDING}")
    linear.register_forward_hook(lambda module, inputs, output: dtypes.append((inputs[0].dtype, output.dtype)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = adapted(X)
    assert set(dtypes) <= {(torch.float32, torch.float32)}
    # Frequencies of 100 cycles in bfloat16 would leave nothing of the kernel.
    assert relative_error(y.detach(), expected) < 0.05
