"""Weights on disk: `torch.save` read without pickled code, and safetensors, both bit for bit, of every module."""

from pathlib import Path
from typing import Any

import pytest
import torch
from kernel_cases import KERNELS, WINDOWS, make_kernel, make_layer, make_window
from safetensors.torch import load_model, save_model
from torch import nn

CASES: dict[str, Any] = {
    **{f"kernel {name}": lambda seed, name=name: make_kernel(name, seed=seed) for name in KERNELS},
    **{f"window {name}": lambda seed, name=name: make_window(name) for name in WINDOWS},
    **{
        f"layer {name}": lambda seed, name=name: make_layer(kernel=name, window="gaussian", seed=seed)
        for name in KERNELS
    },
}


def different(name: str, seed: int, dtype: torch.dtype) -> nn.Module:
    """A module of that case whose every entry is drawn anew, also what its constructor does not draw."""
    module: nn.Module = CASES[name](seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in module.state_dict().values():
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
    return module.to(dtype)


@pytest.mark.parametrize("way", ["torch", "safetensors"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", CASES)
def test_a_module_is_read_as_it_was_written(name: str, dtype: torch.dtype, way: str, tmp_path: Path) -> None:
    written, read = different(name, 1, dtype), different(name, 2, dtype)
    assert not any(
        torch.equal(a, b) for a, b in zip(written.state_dict().values(), read.state_dict().values(), strict=True)
    )
    if way == "torch":
        torch.save(written.state_dict(), tmp_path / "weights.pt")
        read.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True), strict=True)
    else:
        save_model(written, str(tmp_path / "weights.safetensors"))
        load_model(read, tmp_path / "weights.safetensors", strict=True)
    assert read.state_dict().keys() == written.state_dict().keys()
    for key, value in written.state_dict().items():
        assert torch.equal(read.state_dict()[key], value), key


@pytest.mark.parametrize("way", ["torch", "safetensors"])
def test_a_layer_computes_the_same_after_reading(way: str, tmp_path: Path) -> None:
    written, read = (different("layer siren", seed, torch.float32).eval() for seed in (1, 2))
    x = torch.randn(2, 6, 5, 4)
    with torch.no_grad():
        expected, before = written(x), read(x)  # the second fills its cache, which reading must drop
        if way == "torch":
            torch.save(written.state_dict(), tmp_path / "weights")
            read.load_state_dict(torch.load(tmp_path / "weights", weights_only=True))
        else:
            save_model(written, str(tmp_path / "weights"))
            load_model(read, tmp_path / "weights")
        assert not torch.equal(before, expected)
        assert torch.equal(read(x), expected)
