"""timm: its models initialise, train and average blocks with continuous convolutions like their own."""

import warnings
from typing import Any

import kernels_core
import pytest
import torch
from kernels_core import CKConvND, GaussianModulationND, LazyConfig, SIRENKernelND
from models import assert_initialised_like, decay_by_name
from torch import Tensor, nn

with warnings.catch_warnings(action="ignore"):  # on import, libraries warn of their own affairs
    pytest.importorskip("timm")
    from timm.models import VisionTransformer, named_apply
    from timm.models.vision_transformer import init_weights_vit_jax, init_weights_vit_moco, init_weights_vit_timm
    from timm.optim import create_optimizer_v2
    from timm.utils import ModelEmaV3

WIDTH, SIDE = 8, 6


class ConvMixer(nn.Module):
    """In place of attention: a 2-D continuous convolution over the patches."""

    def __init__(self, dim: int, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        kernel = LazyConfig(SIRENKernelND)(
            out_dim=dim,
            data_dim=2,
            mlp_hidden_dim=16,
            num_layers=3,
            embedding_dim=16,
            omega_0=5.0,
            L_cache=SIDE,
            use_bias=True,
        )
        self.conv = CKConvND(2, dim, kernel, LazyConfig(GaussianModulationND)(data_dim=2, num_channels=dim))

    def forward(self, x: Tensor, **masks: Any) -> Tensor:
        return self.conv(x.unflatten(1, (SIDE, SIDE))).flatten(1, 2)


def make_model(**options: Any) -> Any:
    return VisionTransformer(
        img_size=4 * SIDE,
        patch_size=4,
        embed_dim=WIDTH,
        depth=2,
        num_heads=2,
        num_classes=3,
        class_token=False,
        global_pool="avg",
        attn_layer=ConvMixer,
        **options,
    )


IMAGES = torch.randn(2, 3, 4 * SIDE, 4 * SIDE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("mode", ["jax", "moco", "reset", ""])
def test_models_initialise_their_convolutions_properly(mode: str) -> None:
    model = make_model(weight_init=mode)
    for block in model.blocks:
        assert_initialised_like(block.attn, lambda seed: ConvMixer(WIDTH))
    assert model(IMAGES).shape == (2, 3)


def test_models_made_on_meta_initialise_their_convolutions() -> None:
    with torch.device("meta"):
        model = make_model(weight_init="skip")
    model.to_empty(device="cpu")
    for parameter in model.parameters():
        parameter.data.fill_(float("nan"))
    model.init_weights(needs_reset=True)
    for block in model.blocks:
        assert_initialised_like(block.attn, lambda seed: ConvMixer(WIDTH))


@pytest.mark.parametrize("initialise", [init_weights_vit_timm, init_weights_vit_jax, init_weights_vit_moco])
@pytest.mark.parametrize("depth_first", [False, True])
def test_initialisers_applied_by_name(initialise: Any, depth_first: bool) -> None:
    mixer = ConvMixer(WIDTH)
    named_apply(initialise, mixer, depth_first=depth_first, include_root=True)
    assert_initialised_like(mixer, lambda seed: ConvMixer(WIDTH))


def test_optimizers_honour_the_hints() -> None:
    model = make_model()
    groups = kernels_core.param_groups(model, lr=1e-3, weight_decay=0.05)
    optimizer = create_optimizer_v2(groups, opt="adamw", lr=1e-3, weight_decay=0.05)
    names = {parameter: name for name, parameter in model.named_parameters()}
    used = {names[p]: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert used == decay_by_name(model)
    assert used["blocks.0.attn.conv.kernel.hidden_linears.0.weight"] == 0
    assert used["blocks.0.mlp.fc1.weight"] == 0.05
    before = model(IMAGES)
    before.square().mean().backward()
    optimizer.step()
    assert not torch.equal(model(IMAGES), before)


def test_group_functions_make_groups_of_a_model() -> None:
    model = make_model()
    optimizer = create_optimizer_v2(
        model, opt="adamw", lr=1e-3, param_group_fn=lambda m: kernels_core.param_groups(m, 1e-3, 0.05)
    )
    names = {parameter: name for name, parameter in model.named_parameters()}
    used = {names[p]: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert used == decay_by_name(model)


def test_names_for_no_weight_decay() -> None:
    """timm's own groups leave out the names that the model's method `no_weight_decay` lists."""

    class Model(VisionTransformer):  # type: ignore[misc]
        def no_weight_decay(self) -> set[str]:
            groups = kernels_core.param_groups(self, 1.0, 1.0, named=True)
            undecayed = {name for group in groups if not group["weight_decay"] for name, _ in group["params"]}
            return super().no_weight_decay() | undecayed

    model = Model(
        img_size=4 * SIDE, patch_size=4, embed_dim=WIDTH, depth=1, num_heads=2, num_classes=3, class_token=False,
        global_pool="avg", attn_layer=ConvMixer,
    )  # fmt: skip
    optimizer = create_optimizer_v2(model, opt="adamw", lr=1e-3, weight_decay=0.05)
    decay = {parameter: group["weight_decay"] for group in optimizer.param_groups for parameter in group["params"]}
    expected = decay_by_name(model)
    for name, parameter in model.named_parameters():
        if "conv." in name and parameter.ndim > 1:  # timm decays no vectors
            assert decay[parameter] == expected[name], name


def test_averaged_models() -> None:
    model = make_model()
    average = ModelEmaV3(model, decay=0.5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1)
    average.update(model)
    for name, value in average.module.state_dict().items():
        torch.testing.assert_close(value, model.state_dict()[name] - 0.05)
    with torch.no_grad():
        assert average.module.eval()(IMAGES).isfinite().all()
    assert decay_by_name(average.module.requires_grad_()) == decay_by_name(model)
