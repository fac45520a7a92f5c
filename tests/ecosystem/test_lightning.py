"""Lightning: modules whose hyperparameters describe a layer are trained, saved and loaded, also in bfloat16."""

import logging
import re
import warnings
from pathlib import Path
from typing import Any

import kernels_core
import pytest
import torch
from models import CHANNELS, KERNEL, LENGTH, WINDOW, decay_by_name
from torch import Tensor, nn

with warnings.catch_warnings(action="ignore"):  # on import, libraries warn of their own affairs
    pytest.importorskip("lightning")
    from lightning import LightningModule, Trainer

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
# Lightning advises on data loaders and announces changes of PyTorch.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers:UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning",
    "ignore:.*isinstance.treespec, LeafSpec.*:UserWarning", "ignore:.*litmodels.*:UserWarning",
)  # fmt: skip
X = torch.randn(4, LENGTH, CHANNELS, generator=torch.Generator().manual_seed(1))


class Model(LightningModule):  # type: ignore[misc]
    def __init__(self, kernel_cfg: Any = KERNEL, keep: bool = False) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.first = nn.Linear(CHANNELS, CHANNELS)
        self.conv = kernels_core.CKConvND(1, CHANNELS, kernel_cfg, WINDOW, is_causal=True)
        if keep:
            kernels_core.keep_float32(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.first(x))

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        return (self(batch[0]) - batch[0]).square().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(kernels_core.param_groups(self, lr=1e-2, weight_decay=0.05))


def trained(model: Model, folder: Path, **options: Any) -> Path:
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X), batch_size=2)
    trainer = Trainer(
        max_epochs=1, accelerator="cpu", devices=1, logger=False, enable_progress_bar=False,
        enable_model_summary=False, enable_checkpointing=False, default_root_dir=folder, **options,
    )  # fmt: skip
    trainer.fit(model, data)
    file = folder / "model.ckpt"
    trainer.save_checkpoint(file)
    return file


MAPPING = {"_target_": "kernels_core.SIRENKernelND", **KERNEL.kwargs}


@pytest.mark.parametrize("described", [KERNEL, MAPPING], ids=["LazyConfig", "mapping"])
def test_hyperparameters_describe_the_layer(described: Any, tmp_path: Path) -> None:
    model = Model(described)
    before = model.conv.kernel.out_linear.weight.detach().clone()
    file = trained(model, tmp_path)
    assert not torch.equal(model.conv.kernel.out_linear.weight, before)
    for load in (lambda: Model.load_from_checkpoint(file), lambda: Model.load_from_checkpoint(file, weights_only=True)):
        loaded = load()
        assert torch.equal(loaded(X), model(X))
        assert decay_by_name(loaded) == decay_by_name(model)
    content = torch.load(file, weights_only=True)
    assert repr(content["hyper_parameters"]["kernel_cfg"]) == repr(described)


def test_a_layer_of_another_length_warns_on_loading(tmp_path: Path) -> None:
    file = trained(Model(), tmp_path)
    with pytest.warns(UserWarning, match="another geometry") as said:
        Model.load_from_checkpoint(file, kernel_cfg=KERNEL(L_cache=2 * LENGTH))
    both = rf"`conv.*L_cache\S*\({LENGTH},\) in the checkpoint, \({2 * LENGTH},\) here"
    assert any(re.search(both, str(warning.message)) for warning in said), said


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
def test_kernels_stay_in_float32(precision: Any, tmp_path: Path) -> None:
    model = Model(KERNEL(omega_0=100.0, L_cache=8 * LENGTH), keep=True)
    trained(model, tmp_path, precision=precision)
    kept = {p.dtype for part in (model.conv.kernel, model.conv.mask) for p in part.parameters()}
    assert kept == {torch.float32}
    assert model.first.weight.dtype == (torch.bfloat16 if precision == "bf16-true" else torch.float32)


def test_casting_a_kernel_warns(tmp_path: Path) -> None:
    model = Model(KERNEL(omega_0=7.0))
    with pytest.warns(UserWarning, match="keep_float32"):
        trained(model, tmp_path, precision="bf16-true")
