"""Accelerate: empty models, offloading and mixed precision."""

import warnings
from pathlib import Path

import kernels_core
import pytest
import torch
from models import CHANNELS, COND, LENGTH, Net, decay_by_name
from safetensors.torch import save_model
from torch import Tensor

with warnings.catch_warnings(action="ignore"):  # on import, libraries warn of their own affairs
    accelerate = pytest.importorskip("accelerate")


@pytest.fixture(autouse=True)
def fresh_process() -> None:
    """Accelerate keeps the settings of a process's first `Accelerator`."""
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, LENGTH, CHANNELS, generator=generator), torch.randn(2, COND, generator=generator)


def test_an_empty_model_loads_a_checkpoint(tmp_path: Path) -> None:
    model = Net(film=True)
    save_model(model, str(tmp_path / "model.safetensors"))
    with accelerate.init_empty_weights():
        loaded = Net(1, film=True)
    assert all(parameter.is_meta for parameter in loaded.parameters())
    accelerate.load_checkpoint_in_model(loaded, tmp_path, device_map={"": "cpu"})
    x, conditioning = batch()
    assert torch.equal(loaded(x, conditioning=conditioning), model(x, conditioning=conditioning))
    assert decay_by_name(loaded) == decay_by_name(model)


@pytest.mark.parametrize("where", ["cpu", "disk"])
@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("conditioned", [False, True])
def test_offloaded_models_compute_the_same(where: str, mode: str, conditioned: bool, tmp_path: Path) -> None:
    x, conditioning = batch()
    model = getattr(Net(film=True), mode)()
    given = conditioning if conditioned else None
    with torch.no_grad():
        expected = model(x, conditioning=given)
        if where == "cpu":
            accelerate.cpu_offload(model, execution_device=torch.device("cpu"))
        else:
            accelerate.disk_offload(model, str(tmp_path), execution_device=torch.device("cpu"))
        assert all(parameter.is_meta for parameter in model.parameters())
        for _ in range(2):
            torch.testing.assert_close(model(x, conditioning=given), expected)


def test_blocks_on_different_devices(tmp_path: Path) -> None:
    """`load_checkpoint_and_dispatch` with the convolution's weights on disk."""
    x, conditioning = batch()
    model = Net(film=True).eval()
    save_model(model, str(tmp_path / "model.safetensors"))
    with accelerate.init_empty_weights():
        empty = Net(film=True).eval()
    places = {"first": "cpu", "last": "cpu", "conv": "disk"}
    dispatched = accelerate.load_checkpoint_and_dispatch(
        empty, tmp_path, device_map=places, offload_folder=tmp_path / "disk"
    )
    with torch.no_grad():
        torch.testing.assert_close(dispatched(x, conditioning), model(x, conditioning))


def test_training_in_mixed_precision() -> None:
    accelerator = accelerate.Accelerator(cpu=True, mixed_precision="bf16")
    model = Net(film=True, L_cache=256, omega_0=100.0)
    x, conditioning = batch()
    expected = model(x, conditioning=conditioning).detach()
    decay = decay_by_name(model)
    optimizer = torch.optim.AdamW(kernels_core.param_groups(model, lr=1e-3, weight_decay=0.05))
    prepared, optimizer = accelerator.prepare(model, optimizer)
    y = prepared(x, conditioning=conditioning)
    assert (y - expected).norm() < 0.05 * expected.norm()
    accelerator.backward(y.square().mean())
    optimizer.step()
    names = {parameter: name for name, parameter in model.named_parameters()}
    assert {names[p]: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]} == decay
    assert prepared(x, conditioning=conditioning).square().mean() < y.square().mean()
