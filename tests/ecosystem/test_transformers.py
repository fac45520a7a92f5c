"""Transformers: a model with continuous convolutions is initialised, saved, loaded, cast and trained as any other."""

import warnings
from pathlib import Path
from typing import Any

import kernels_core
import pytest
import torch
from models import CHANNELS, LENGTH, Net, assert_initialised_like, decay_by_name
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

with warnings.catch_warnings(action="ignore"):  # on import, libraries warn of their own affairs
    pytest.importorskip("transformers")
    from transformers import PretrainedConfig, PreTrainedModel, Trainer, TrainingArguments


class ConvConfig(PretrainedConfig):
    model_type = "continuous-convolution"

    def __init__(self, L_cache: int = LENGTH, **options: Any) -> None:
        super().__init__(**options)
        self.L_cache = L_cache


class ConvModel(PreTrainedModel):
    """The base class's `_init_weights` draws every `nn.Linear` from N(0, 0.02)."""

    config_class = ConvConfig

    def __init__(self, config: ConvConfig) -> None:
        super().__init__(config)
        self.net = Net(film=True, L_cache=config.L_cache)
        self.post_init()

    def forward(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        y = self.net(x)
        return {"logits": y} if labels is None else {"loss": (y - labels).square().mean(), "logits": y}


class ResettingModel(ConvModel):
    """Initialises what a checkpoint lacks; parameters that were loaded are not touched."""

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if type(module).__module__.startswith("kernels_") and hasattr(module, "reset_parameters"):
            module.reset_parameters()


class Float32Model(ConvModel):
    """Keeps kernels and windows in float32 whatever the dtype in which a checkpoint is loaded."""

    _keep_in_fp32_modules_strict = frozenset({"kernel", "mask"})


X = torch.randn(2, LENGTH, CHANNELS, generator=torch.Generator().manual_seed(1))


def test_post_init_leaves_kernels_as_they_were_drawn() -> None:
    model = ConvModel(ConvConfig())
    assert not model.net.first.bias.any()
    assert model.net.first.weight.std() < 0.03
    expected = Net(film=True).conv.state_dict()
    found = model.net.conv.state_dict()
    for name in expected:
        if not name.startswith("kernel.film_generator.mlp.0"):  # an nn.Linear of the usual kind
            assert torch.equal(found[name], expected[name]), name


def test_initialisers_of_every_linear_layer_leave_kernels_alone() -> None:
    def init_weights(module: nn.Module) -> None:  # as in nanoGPT
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)

    model = Net(film=True)
    model.apply(init_weights)
    for name, expected in Net(film=True).conv.state_dict().items():
        if not name.startswith("kernel.film_generator.mlp.0"):
            assert torch.equal(model.conv.state_dict()[name], expected), name


def test_a_saved_model_computes_the_same(tmp_path: Path) -> None:
    model = ConvModel(ConvConfig())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(tmp_path)
    loaded = ConvModel.from_pretrained(tmp_path)
    assert torch.equal(loaded(X)["logits"], model.eval()(X)["logits"])
    assert decay_by_name(loaded) == decay_by_name(model)


def test_what_a_checkpoint_lacks_is_initialised(tmp_path: Path) -> None:
    model = ConvModel(ConvConfig())
    model.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    kept = {name: value for name, value in load_file(file).items() if not name.startswith("net.conv")}
    lacking = [*kept]
    save_file(kept, file, metadata={"format": "pt"})
    loaded, report = ResettingModel.from_pretrained(tmp_path, output_loading_info=True)
    assert set(report["missing_keys"]) == {*model.state_dict()} - {*lacking}
    assert_initialised_like(loaded.net.conv, lambda seed: Net(seed, film=True).conv)
    assert torch.equal(loaded.net.first.weight, model.net.first.weight)


def test_what_a_checkpoint_has_is_kept(tmp_path: Path) -> None:
    model = ConvModel(ConvConfig())
    model.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    missing = {"net.conv.shortcut", "net.conv.kernel.out_linear.bias"}
    kept = {name: value + 0.5 for name, value in load_file(file).items() if name not in missing}
    save_file(kept, file, metadata={"format": "pt"})
    loaded = ResettingModel.from_pretrained(tmp_path)
    found = loaded.state_dict()
    assert {name for name in kept if not torch.equal(found[name], kept[name])} == set()
    assert not found["net.conv.kernel.out_linear.bias"].any()
    assert 0 < found["net.conv.shortcut"].abs().max() <= CHANNELS**-0.5


def test_kernels_stay_in_float32_in_a_model_loaded_in_bfloat16(tmp_path: Path) -> None:
    model = ConvModel(ConvConfig(L_cache=256))
    model.save_pretrained(tmp_path)
    loaded = Float32Model.from_pretrained(tmp_path, dtype=torch.bfloat16)
    dtypes = {name: parameter.dtype for name, parameter in loaded.named_parameters()}
    assert {d for n, d in dtypes.items() if ".kernel." in n or ".mask." in n} == {torch.float32}
    assert dtypes["net.first.weight"] == dtypes["net.conv.shortcut"] == torch.bfloat16
    y = loaded(X.bfloat16())["logits"]
    assert y.dtype == torch.bfloat16
    expected = model.eval()(X)["logits"]
    assert (y.float() - expected).norm() < 0.03 * expected.norm()
    rounded = ConvModel.from_pretrained(tmp_path, dtype=torch.bfloat16)
    with pytest.warns(UserWarning, match="keep_float32"):
        rounded(X.bfloat16())


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*pin_memory.*:UserWarning")
def test_trainer_honours_the_hints(tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    model = ConvModel(ConvConfig())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    data = [{"x": X[0], "labels": X[1]}] * 4
    arguments = TrainingArguments(
        output_dir=str(tmp_path), max_steps=2, per_device_train_batch_size=2, report_to=[], use_cpu=True,
        save_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    optimizer = torch.optim.AdamW(kernels_core.param_groups(model, lr=1e-3, weight_decay=0.05))
    decay = decay_by_name(model)
    trainer = Trainer(model, arguments, train_dataset=data, optimizers=(optimizer, None))
    trainer.train()
    names = {parameter: name for name, parameter in model.named_parameters()}
    used = {names[p]: group["weight_decay"] for group in trainer.optimizer.param_groups for p in group["params"]}
    assert used == decay
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed >= {"net.conv.kernel.out_linear.weight", "net.conv.mask.std_param", "net.conv.shortcut"}
